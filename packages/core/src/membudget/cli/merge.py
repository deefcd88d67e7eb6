"""``membudget merge``: merges several run files into one."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import IncomparableRunsError
from ..report.failure_text import counted
from ..report.printable import printable
from ..results import RunFile, merge_runs, read_run
from ..results.merging import merge_files

HELP = "merge several run files, such as those of the shards of a suite, into one"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_runs(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="the run file to write"
    )


def add_runs(parser: ArgumentParser) -> None:
    """Add the arguments that :func:`merged_of` reads."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run file")
    parser.add_argument(
        "--force", action="store_true", help="also merge runs that were measured in different ways"
    )


def merged_of(arguments: Namespace) -> RunFile:
    """Return the runs of the given files as one."""
    with _names_the_option():
        return merge_runs(list(map(read_run, arguments.runs)), force=arguments.force)


@contextmanager
def _names_the_option() -> Iterator[None]:
    try:
        yield
    except IncomparableRunsError as error:
        raise IncomparableRunsError(f"{error}; --force merges them anyway") from None


def run(arguments: Namespace) -> tuple[list[str], int]:
    """Return the lines to show, and the exit status."""
    with _names_the_option():
        n_tests = merge_files(arguments.runs, arguments.output, force=arguments.force)
    tests, runs = counted(n_tests, "test"), counted(len(arguments.runs), "run")
    return [printable(f"{arguments.output}: {tests} of {runs}")], 0
