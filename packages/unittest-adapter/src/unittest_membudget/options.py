"""The options of membudget's table on a command line of ``argparse``."""

from __future__ import annotations

import argparse

from membudget.runs import add_options as add_each


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser, as a group of their own; one that was not given is None."""
    group = parser.add_argument_group("memory budgets")
    add_each(group.add_argument, "unittest")
