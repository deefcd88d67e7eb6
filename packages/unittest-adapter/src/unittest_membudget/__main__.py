"""``python -m unittest_membudget``: ``python -m unittest`` that measures every test.

Takes the arguments of ``python -m unittest``, and membudget's options.
"""

from __future__ import annotations

import argparse
import sys
import unittest

from membudget import InvalidOptionError
from membudget.runs import find_settings, own_allocators_seen

from .options import add_options
from .runner import MemoryTestRunner

_PROGRAM = "python -m unittest_membudget"


def main(arguments: list[str] | None = None) -> None:
    """Run tests as ``python -m unittest`` does, measure them, print a memory report, and exit."""
    parser = argparse.ArgumentParser(prog=_PROGRAM, add_help=False, allow_abbrev=False)
    add_options(parser)
    given, rest = parser.parse_known_args(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help"} & set(rest):
        print(parser.format_help())  # noqa: T201
    try:

        class Runner(MemoryTestRunner):
            settings = find_settings("unittest", vars(given))

        # Libraries may choose their allocator when the tests import them, so begin before that.
        with own_allocators_seen(Runner.settings):
            unittest.main(module=None, argv=[_PROGRAM, *rest], testRunner=Runner)
    except InvalidOptionError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
