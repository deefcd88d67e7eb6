"""``membudget compare``: shows the changes between two run files."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..report.comparison_text import comparison_lines
from ..results import Tolerance, parse_tolerance
from ..results.comparing import compare_files
from ..tolerance import DEFAULT_TOLERANCE

HELP = "show the figures that changed between two run files, and the stacks that grew"
_TOLERANCE = "--tolerance"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("old", metavar="OLD", help="the run file of the earlier run")
    parser.add_argument("new", metavar="NEW", help="the run file of the later run")
    add_tolerance(parser)
    parser.add_argument(
        "--fail-on-increase", action="store_true", help="exit with status 1 if a figure grew"
    )


def add_tolerance(parser: ArgumentParser) -> None:
    """Add the argument that :func:`tolerance_of` reads."""
    parser.add_argument(
        _TOLERANCE,
        default=str(DEFAULT_TOLERANCE),
        metavar="TOLERANCE",
        help="how much a figure may differ and still count as the same: a percentage, a size, or "
        "both (default: %(default)s); 0 shows every difference",
    )


def tolerance_of(arguments: Namespace) -> Tolerance:
    """Return the given tolerance."""
    return parse_tolerance(arguments.tolerance, where=_TOLERANCE)


def run(arguments: Namespace) -> tuple[list[str], int]:
    """Return the lines to show, and the exit status."""
    tolerance = tolerance_of(arguments)
    changes, problems = compare_files(arguments.old, arguments.new, tolerance)
    lines = [line.text for line in comparison_lines(changes, tolerance, problems)]
    fails = arguments.fail_on_increase and any(one.change == "grew" for one in changes)
    return lines, int(fails)
