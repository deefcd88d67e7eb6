"""The command line: ``python -m membudget``."""
