"""Adds membudget's options to a parser of ``argparse``."""

from __future__ import annotations

import argparse

from membudget.runs import add_options as add_each


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser, in a group; options that are not given are None."""
    group = parser.add_argument_group("memory budgets")
    add_each(group.add_argument, "unittest")
