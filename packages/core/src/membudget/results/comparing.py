"""Compares two runs: the figures of each test, and the stacks that grew."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ..measurement import Allocation, Figure, Frame, Measurement
from ..sites import key_of
from ..tolerance import Tolerance
from ..verdict import Result
from .comparable import counts_the_same, differences
from .reading import ResultFigures, RunReader, Stacks, no_collections
from .run_file import RunFile

EXACT: Final = Tolerance()
Change: TypeAlias = Literal["new", "gone", "grew", "shrank", "same"]
"""How a figure changed."""
CHANGES: Final[tuple[Change, ...]] = ("grew", "new", "shrank", "gone")
"""The changes that reports show, in their order."""

_Pair: TypeAlias = tuple[Result | ResultFigures, Callable[[], Measurement | Stacks]]
"""What is compared of a result, and a function that returns its stacks, which are rarely needed."""

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
    return list(_all_changes(_pairs_of(old), _pairs_of(new), tolerance))


def compare_files(
    old: str, new: str, tolerance: Tolerance = EXACT
) -> tuple[list[FigureChange], list[str]]:
    """Compare the figures of two run files as :func:`compare_runs` does; of large files, too.

    Of each result, only what is compared is read.

    Returns:
        The changes, and why the figures cannot be compared, see
        :func:`membudget.results.differences`.

    Raises:
        OSError, RunFileError: a file cannot be read; see :func:`membudget.results.read_run`.
    """
    readers = [RunReader(path, reads_sources=False) for path in (old, new)]
    with no_collections():
        before, after = map(_pairs_in, readers)
        changes = list(_all_changes(before, after, tolerance))
    return changes, differences([reader.environment for reader in readers])


def _pairs_of(run: RunFile) -> Iterator[_Pair]:
    for result in run.results:
        yield result, functools.partial(getattr, result, "measurement")


def _pairs_in(reader: RunReader) -> Iterator[_Pair]:
    for stored in reader.results():
        yield stored.figures(), stored.later_stacks()


def _all_changes(
    old: Iterable[_Pair], new: Iterable[_Pair], tolerance: Tolerance
) -> Iterator[FigureChange]:
    before = {pair[0].name: pair for pair in old}
    for pair in new:
        result = pair[0]
        earlier = before.pop(result.name, None)
        if earlier is None:
            peak = result.measurement.peak_bytes
            yield FigureChange(result.name, "peak_bytes", None, peak, "new")
        else:
            yield from _changes(earlier, pair, tolerance)
    for result, _ in before.values():
        peak = result.measurement.peak_bytes
        yield FigureChange(result.name, "peak_bytes", peak, None, "gone")


def compared_figures(result: Result | ResultFigures) -> tuple[Figure, ...]:
    """Return the figures of a test that are compared: its peak, and the others that it limits."""
    limited = (limit.figure for limit in result.verdict.budget.limits)
    return tuple(dict.fromkeys(("peak_bytes", *limited)))


def _changes(old_pair: _Pair, new_pair: _Pair, tolerance: Tolerance) -> Iterator[FigureChange]:
    old, old_stacks = old_pair
    new, new_stacks = new_pair
    comparable = counts_the_same(old.verdict.budget.scope, new.verdict.budget.scope)
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
            before, after = getattr(old_stacks(), kept), getattr(new_stacks(), kept)
            stacks_known = bool(after) and (bool(before) or was == 0)
            if stacks_known:
                stacks = _stacks_that_grew(before, after)
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
