"""Merges several runs: the shards of a suite, or repeated runs of the same tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from typing import Any, Final, Generic, TypeVar

from ..budget import Scope
from ..errors import IncomparableRunsError
from ..source.sources import Sources, combined
from ..verdict import Result
from .comparable import counts_the_same, differences
from .environment import Environment
from .reading import RunReader, no_collections
from .run_file import RunFile
from .writing import file_lines, write_lines

T = TypeVar("T")


def merge_runs(runs: Sequence[RunFile], *, force: bool = False) -> RunFile:
    """Return the results of several runs as one run.

    If a test is in several runs, the result with the largest peak is kept.

    Args:
        runs: the runs, at least one.
        force: also merge runs whose figures cannot be compared.

    Returns:
        A run with the tests in the order of their first result, and with the values on which all
        environments agree. It begins with the first run and ends with the last.

    Raises:
        IncomparableRunsError: the runs were measured in different ways, such as with and without
            stable figures, and ``force`` is false.

    Example:
        >>> from membudget.testing import make_measurement, make_result
        >>> shards = [
        ...     RunFile(Environment(), (make_result("test_load", make_measurement(size)),))
        ...     for size in (100, 300, 200)
        ... ]
        >>> [result.measurement.peak_bytes for result in merge_runs(shards).results]
        [300]
    """
    largest: _Largest[Result] = _Largest()
    for result in (result for run in runs for result in run.results):
        scope = result.verdict.budget.scope
        largest.add(result.name, result.measurement.peak_bytes, scope, result)
    environments = [run.environment for run in runs]
    _check(environments, largest.counted_otherwise, force=force)
    sources = _combined([run.sources for run in runs])
    return RunFile(_merged(environments), tuple(largest.values()), sources)


def merge_files(paths: Sequence[str], output: str, *, force: bool = False) -> int:
    """Merge run files as :func:`merge_runs` does; of large files, too.

    Of each result, only its text is kept, and of that only what decides is read.

    Args:
        paths: the paths of the files, at least one.
        output: the path of the file to write.
        force: also merge runs whose figures cannot be compared.

    Returns:
        How many results were written.

    Raises:
        OSError, RunFileError: a file cannot be read; see :func:`membudget.results.read_run`.
        IncomparableRunsError: the runs were measured in different ways, and ``force`` is false.
    """
    readers = [RunReader(path) for path in paths]
    largest: _Largest[str] = _Largest()
    with no_collections():
        for stored in (stored for reader in readers for stored in reader.results()):
            figures = stored.figures()
            scope = figures.verdict.budget.scope
            largest.add(figures.name, figures.measurement.peak_bytes, scope, stored.line())
        environments = [reader.environment for reader in readers]
        _check(environments, largest.counted_otherwise, force=force)
        sources = _combined([reader.sources for reader in readers])
        write_lines(output, lambda: file_lines(_merged(environments), largest.values(), sources))
    return len(largest.values())


class _Largest(Generic[T]):
    """Of each test, the value that belongs to its largest peak.

    Attributes:
        counted_otherwise: the tests of which not the same memory counted each time.
    """

    def __init__(self) -> None:
        self.counted_otherwise: Final[list[str]] = []
        self._kept: dict[str, tuple[int, Scope, T]] = {}

    def add(self, name: str, peak_bytes: int, scope: Scope, value: T) -> None:
        """Add a result of a test."""
        new = (peak_bytes, scope, value)
        other_peak, other_scope, _ = self._kept.setdefault(name, new)
        if not counts_the_same(scope, other_scope):
            self.counted_otherwise.append(name)
        if peak_bytes > other_peak:
            self._kept[name] = new

    def values(self) -> list[T]:
        """Return the values, in the order in which their tests first came."""
        return [value for _, _, value in self._kept.values()]


def _check(
    environments: Sequence[Environment], counted_otherwise: Sequence[str], *, force: bool
) -> None:
    """Refuse to merge runs that were measured in different ways, unless it is forced."""
    problems = differences(environments)
    if counted_otherwise:
        others = len(set(counted_otherwise)) - 1
        more = f" and {others} other tests" if others > 1 else " and another test" * others
        problems.append(f"what counts of {counted_otherwise[0]}{more}")
    if problems and not force:
        raise IncomparableRunsError(
            f"these runs differ in {', '.join(problems)}, so that their figures cannot be compared"
        )


def _combined(sources: Sequence[Sources | None]) -> Sources | None:
    known = [one for one in sources if one is not None]
    return combined(known) if len(known) == len(sources) else None


def _merged(environments: Sequence[Environment]) -> Environment:
    first = min(environments, key=lambda one: one.started)
    ends = [one.started + one.duration_seconds for one in environments]
    return replace(
        Environment(**{one.name: _common(one.name, environments) for one in fields(Environment)}),
        settings=tuple(
            pair
            for pair in environments[0].settings
            if all(pair in one.settings for one in environments)
        ),
        made_visible=tuple(sorted({name for one in environments for name in one.made_visible})),
        workers=sum(one.workers for one in environments),
        started_at=first.started_at,
        duration_seconds=round(max(ends) - first.started, 3) if first.started else 0.0,
    )


def _common(name: str, environments: Sequence[Environment]) -> Any:
    """Return the value of a field if all environments agree; otherwise its default: unknown."""
    values = {getattr(one, name) for one in environments}
    default = next(one.default for one in fields(Environment) if one.name == name)
    assert default is not MISSING
    return values.pop() if len(values) == 1 else default
