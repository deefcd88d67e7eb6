"""``membudget explain``: shows all data of a test in a run file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..errors import InvalidOptionError
from ..report.explanation_text import explanation_lines
from ..results import read_run

HELP = "show the figures of a test, its limits and where they are written, and its largest stacks"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("run", metavar="RUN", help="a run file")
    parser.add_argument(
        "test", metavar="TEST", help="the name of a test, or part of the names of several tests"
    )


def run(arguments: Namespace) -> tuple[list[str], int]:
    """Return the lines to show, and the exit status."""
    results = read_run(arguments.run).results
    found = [one for one in results if one.name == arguments.test]
    found = found or [one for one in results if arguments.test in one.name]
    if not found:
        raise InvalidOptionError(
            f"{arguments.run}: none of the {len(results)} tests has {arguments.test!r} in its name"
        )
    first, *others = ([*explanation_lines(one)] for one in found)
    return [*first, *(line for lines in others for line in ("", *lines))], 0
