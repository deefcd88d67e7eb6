"""The options of membudget's table on a command line of ``argparse``."""

from __future__ import annotations

import argparse

from membudget import OPTIONS


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser; one that was not given is None."""
    group = parser.add_argument_group("memory budgets")
    for option in OPTIONS:
        if option.only_for not in ("", "unittest"):
            continue
        if option.name == "memray":
            group.add_argument(
                option.flag,
                action="store_true",
                default=None,
                help="Always on here; taken for pytest's sake",
            )
        elif isinstance(option.default, bool):
            group.add_argument(option.flag, action="store_true", default=None, help=option.help)
        else:
            group.add_argument(option.flag, metavar=option.metavar, help=option.help)
