"""All tests of a run in a table, one in a line, with the largest peak first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ..limit_words import limit_uses
from ..sizes import format_size
from ..verdict import Result
from .overview import failed_otherwise, largest_first, words_in_text
from .printable import printable, without_directories
from .run_text import Line, Tells, tells_of
from .tables import numbers_aligned

HEADINGS: Final = ("peak", "limit", "used", "total", "allocs", "left")
"""What the columns before the test show; "left" is the memory that the test left behind."""


def table_of_tests(results: Iterable[Result], *, width: int = 0) -> Iterator[Line]:
    """Yield a table of tests, with the words about their limits after their names.

    Args:
        results: the results, in any order.
        width: how many columns the terminal has, to shorten the paths of tests to fit; 0 shows
            them in full.
    """
    ranked = largest_first(results)
    if not ranked:
        return
    words = [words_in_text(one) for one in ranked]
    # A dot stands for the name, whose room depends on the columns before it.
    rows = [(*HEADINGS, "."), *((*figure_cells(one), ".") for one in ranked)]
    heading, *lines = (line.removesuffix(".") for line in numbers_aligned(rows))
    yield Line(f"{heading}test")
    for result, line, said in zip(ranked, lines, words, strict=True):
        after = f"  {said}" if said else ""
        name = printable(result.name)
        if width:
            name = without_directories(name, width - len(line) - len(after))
        yield Line(f"{line}{name}{after}", _tells(result))


def figure_cells(result: Result) -> tuple[str, ...]:
    """Return the cells of a test in the table, without its name."""
    measurement = result.measurement
    limit, percent = "-", "-"
    for use in limit_uses(result):
        if use.limit.figure == "peak_bytes":
            limit, percent = format_size(use.limit.maximum), use.percent
    return (
        format_size(measurement.peak_bytes),
        limit,
        percent,
        format_size(measurement.total_bytes),
        f"{measurement.n_allocations:,}",
        format_size(measurement.retained_bytes),
    )


def _tells(result: Result) -> Tells:
    if not result.verdict.within:
        return "over"
    if failed_otherwise(result):
        return "failed"
    return tells_of([word for use in limit_uses(result) for word in use.words])
