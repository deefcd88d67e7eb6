"""The program that membudget lives in: what it replaces, forks, raises, loads; and its files."""
