"""Compares two runs: the figures of each test, and the stacks that grew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ..measurement import Allocation, Figure, Frame
from ..sites import key_of
from ..tolerance import Tolerance
from ..verdict import Result
from .comparable import counts_the_same
from .run_file import RunFile

EXACT: Final = Tolerance()
Change: TypeAlias = Literal["new", "gone", "grew", "shrank", "same"]
"""How a figure changed."""
CHANGES: Final[tuple[Change, ...]] = ("grew", "new", "shrank", "gone")
"""The changes that reports show, in their order."""

# A total and a count have no stacks of their own.
_STACKS_OF: Final = {"peak_bytes": "allocations", "retained_bytes": "retained"}


@dataclass(frozen=True, slots=True)
class StackChange:
    """A stack that has more memory than before.

    Attributes:
        stack: the stack in the newer run, innermost frame first.
        old_bytes: its memory in the older run; 0 for a new stack.
        new_bytes: its memory in the newer run.
    """

    stack: tuple[Frame, ...]
    old_bytes: int
    new_bytes: int


@dataclass(frozen=True, slots=True)
class FigureChange:
    """One figure of one test in two runs.

    Attributes:
        test: the name of the test.
        figure: which figure.
        old, new: in bytes, or a count; None if the run does not have the test.
        change: how it changed.
        stacks: for a peak or retained memory that grew, the stacks that are new or grew; those that
            grew most come first.
        stacks_known: whether both runs have the stacks to compare.
        counts_the_same: whether the same memory counted in both runs.
    """

    test: str
    figure: Figure
    old: int | None
    new: int | None
    change: Change
    stacks: tuple[StackChange, ...] = ()
    stacks_known: bool = True
    counts_the_same: bool = True


def compare_runs(old: RunFile, new: RunFile, tolerance: Tolerance = EXACT) -> list[FigureChange]:
    """Compare the figures of two runs, test by test.

    Args:
        old, new: the runs.
        tolerance: how much figures may differ and still count as the same.

    Returns:
        The peak of each test, and the other figures that it limits in the newer run; in the order
        of the newer run, with tests that are gone at the end.

    Example:
        >>> from membudget.results import Environment
        >>> from membudget.testing import make_measurement, make_result
        >>> runs = [
        ...     RunFile(Environment(), (make_result("test_load", make_measurement(size)),))
        ...     for size in (100, 300)
        ... ]
        >>> [(one.test, one.old, one.new, one.change) for one in compare_runs(*runs)]
        [('test_load', 100, 300, 'grew')]
    """
    before = {result.name: result for result in old.results}
    changes: list[FigureChange] = []
    for result in new.results:
        earlier = before.pop(result.name, None)
        if earlier is None:
            peak = result.measurement.peak_bytes
            changes.append(FigureChange(result.name, "peak_bytes", None, peak, "new"))
        else:
            changes.extend(_changes(earlier, result, tolerance))
    for result in before.values():
        peak = result.measurement.peak_bytes
        changes.append(FigureChange(result.name, "peak_bytes", peak, None, "gone"))
    return changes


def compared_figures(result: Result) -> tuple[Figure, ...]:
    """Return the figures of a test that are compared: its peak, and the others that it limits."""
    limited = (limit.figure for limit in result.verdict.budget.limits)
    return tuple(dict.fromkeys(("peak_bytes", *limited)))


def _changes(old: Result, new: Result, tolerance: Tolerance) -> Iterator[FigureChange]:
    for figure in compared_figures(new):
        was: int = getattr(old.measurement, figure)
        now: int = getattr(new.measurement, figure)
        change: Change = "same"
        if not tolerance.covers(figure, was, now):
            change = "grew" if now > was else "shrank"
        stacks: tuple[StackChange, ...] = ()
        stacks_known = True
        if change == "grew" and figure in _STACKS_OF:
            kept = _STACKS_OF[figure]
            before, after = getattr(old.measurement, kept), getattr(new.measurement, kept)
            stacks_known = bool(after) and (bool(before) or was == 0)
            if stacks_known:
                stacks = _stacks_that_grew(before, after)
        comparable = counts_the_same(old, new)
        yield FigureChange(new.name, figure, was, now, change, stacks, stacks_known, comparable)


def _stacks_that_grew(
    old: Iterable[Allocation], new: Iterable[Allocation]
) -> tuple[StackChange, ...]:
    """Match stacks by the files and functions in them: lines move when a file is edited."""
    before: dict[tuple[tuple[str, str], ...], int] = {}
    after: dict[tuple[tuple[str, str], ...], StackChange] = {}
    for one in old:
        key = _key(one.stack)
        before[key] = before.get(key, 0) + one.size_bytes
    for one in new:
        key = _key(one.stack)
        so_far = after[key].new_bytes if key in after else 0
        after[key] = StackChange(one.stack, before.get(key, 0), so_far + one.size_bytes)
    grown = (one for one in after.values() if one.new_bytes > one.old_bytes)
    return tuple(sorted(grown, key=lambda one: one.old_bytes - one.new_bytes))


def _key(stack: tuple[Frame, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(map(key_of, stack))
