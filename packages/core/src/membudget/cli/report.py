"""``membudget report``: writes run files in a form for people, or for another tool."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..host.whole_files import write_whole
from ..report.formats import FORMATS
from ..report.overview import Overview
from ..report.printable import printable
from ..results import read_run
from .compare import add_tolerance, tolerance_of
from .merge import add_runs, merged_of

HELP = "show run files as text or Markdown, or write them for a CI server or a dashboard"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_runs(parser)
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="the form of the report (default: %(default)s)",
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="the file to write (default: standard output)"
    )
    parser.add_argument(
        "--baseline", metavar="RUN", help="the run file of an earlier run, to show what changed"
    )
    add_tolerance(parser)


def run(arguments: Namespace) -> tuple[list[str], int]:
    """Return the lines to show, and the exit status."""
    baseline = None if arguments.baseline is None else read_run(arguments.baseline)
    overview = Overview(merged_of(arguments), baseline, tolerance_of(arguments))
    text = FORMATS[arguments.format](overview)
    if arguments.output is None:
        return [text.removesuffix("\n")], 0
    write_whole(arguments.output, text.encode())
    return [printable(f"{arguments.output}: {overview.headline}")], 0
