"""``membudget suggest``: suggests limits for the tests of run files."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..report.suggestions_text import table_lines
from ..results.reading import RunReader
from ..suggestions import Observed, observed_in, suggest
from ..verdict import Result

HELP = "suggest a limit for each test in run files; with several runs, the largest figure counts"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run files, oldest first")


def run(arguments: Namespace) -> tuple[list[str], int]:
    """Return the lines to show, and the exit status."""
    readers = [RunReader(path, reads_sources=False) for path in arguments.runs]
    results = (stored.result() for reader in readers for stored in reader.results())
    observed = [_observed(result) for result in results if result.outcome != "skipped"]
    return [line.text for line in table_lines(suggest(observed))], 0


def _observed(result: Result) -> Observed:
    # A test that failed because of its limit ran to its end, so its figures are complete.
    broken = result.outcome in ("failed", "error") and result.verdict.within
    return observed_in(result, "it failed" if broken else "")
