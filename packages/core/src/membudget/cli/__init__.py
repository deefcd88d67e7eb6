"""The command line, ``membudget``: one module for each command."""
