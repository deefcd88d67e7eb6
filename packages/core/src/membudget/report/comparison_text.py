"""The changes between two runs as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ..results.comparing import CHANGES, FigureChange, StackChange
from ..sizes import format_size
from ..tolerance import Tolerance
from .failure_text import N_FRAMES, amount, caller_lines, counted, place_of, with_figure
from .printable import printable
from .run_text import Line
from .tables import aligned

N_STACKS: Final = 3
"""How many stacks are listed for a figure that grew."""
_HEADINGS: Final = ("test", "old", "new", "change")


def comparison_lines(
    changes: Iterable[FigureChange], tolerance: Tolerance, differences: Sequence[str] = ()
) -> Iterator[Line]:
    """Yield a table of the figures that changed; those that grew come first.

    Args:
        changes: the return value of :func:`membudget.results.compare_runs`.
        tolerance: the tolerance that was passed to it.
        differences: why the figures cannot be compared, see :func:`membudget.results.differences`.
    """
    changes = list(changes)
    if differences:
        yield Line(f"The runs differ in {', '.join(map(printable, differences))}", "near")
        yield Line("Their figures may differ for that reason alone", "near")
    shown = [one for change in CHANGES for one in changes if one.change == change]
    if shown:
        heading, *rows = aligned([_HEADINGS, *map(change_row, shown)])
        yield Line(heading)
        for one, row in zip(shown, rows, strict=True):
            yield Line(row, "over" if one.change == "grew" else "")
            yield from _stack_lines(one)
    words = change_counts(changes)
    summary = f"{counted(len(changes), 'figure')} compared{': ' if words else ''}{words}"
    yield Line(f"{summary}; tolerance {tolerance}")


def change_counts(changes: Iterable[FigureChange]) -> str:
    """Return how many figures changed in each way."""
    counts = Counter(one.change for one in changes)
    return ", ".join(f"{counts[one]:,} {one}" for one in (*CHANGES, "same") if counts[one])


def change_row(one: FigureChange) -> tuple[str, str, str, str]:
    """Return the cells of a table: the test, the old and the new figure, and the difference."""
    old = "-" if one.old is None else amount(one.figure, one.old)
    new = "-" if one.new is None else amount(one.figure, one.new)
    return printable(with_figure(one.test, one.figure)), old, new, _change_words(one)


def _change_words(one: FigureChange) -> str:
    if one.old is None or one.new is None:
        return one.change
    difference = amount(one.figure, abs(one.new - one.old))
    percent = f" ({100 * abs(one.new - one.old) / one.old:.0f}%)" if one.old else ""
    words = f"{one.change} by {difference}{percent}"
    return words if one.counts_the_same else f"{words}; what counts has changed"


def _stack_lines(one: FigureChange) -> Iterator[Line]:
    if one.change == "grew" and not one.stacks_known:
        yield Line("\tno stacks to compare: both runs need them (--most-allocations=0)")
    for stack in one.stacks[:N_STACKS]:
        yield from _one_stack(stack)
    rest = one.stacks[N_STACKS:]
    if rest:
        grown = sum(stack.new_bytes - stack.old_bytes for stack in rest)
        yield Line(f"\t- and {len(rest)} more grew by {format_size(grown)}")


def _one_stack(change: StackChange) -> Iterator[Line]:
    first = place_of(change.stack[0]) if change.stack else "<outside of Python code>"
    sizes = format_size(change.new_bytes)
    if change.old_bytes:
        sizes = f"{format_size(change.old_bytes)} to {sizes}"
    yield Line(f"\t- {'grew' if change.old_bytes else 'new'}: {first} -> {sizes}")
    for text in caller_lines(change.stack, N_FRAMES):
        yield Line(text)
