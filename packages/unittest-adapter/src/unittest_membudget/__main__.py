"""``python -m unittest_membudget``: ``python -m unittest`` that measures every test.

Takes the arguments of ``python -m unittest`` and the options of membudget's table besides.
"""

from __future__ import annotations

import argparse
import sys
import unittest

from membudget import OPTIONS, InvalidOptionError, Settings, resolve

from .runner import MemoryTestRunner

_PROGRAM = "python -m unittest_membudget"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, add_help=False, allow_abbrev=False)
    group = parser.add_argument_group("memory budgets")
    for option in OPTIONS:
        if option.only_for not in ("", "unittest"):
            continue
        if option.name == "memray":
            group.add_argument(
                option.flag, action="store_true", help="Always on here; taken for pytest's sake"
            )
        elif isinstance(option.default, bool):
            group.add_argument(option.flag, action="store_true", default=None, help=option.help)
        else:
            group.add_argument(option.flag, metavar=option.metavar, help=option.help)
    return parser


def _settings(given: argparse.Namespace, parser: argparse.ArgumentParser) -> Settings:
    try:
        return resolve(config={}, command_line=vars(given), config_name="")
    except InvalidOptionError as error:
        parser.error(str(error))


def main(arguments: list[str] | None = None) -> None:
    """Run tests as ``python -m unittest`` does, measure them, print a memory report, and exit."""
    parser = _parser()
    given, rest = parser.parse_known_args(sys.argv[1:] if arguments is None else arguments)

    class Runner(MemoryTestRunner):
        settings = _settings(given, parser)

    if {"-h", "--help"} & set(rest):
        print(parser.format_help())  # noqa: T201
    unittest.main(
        module=None,
        argv=[_PROGRAM, *rest],
        testRunner=Runner,
    )


if __name__ == "__main__":
    main()
