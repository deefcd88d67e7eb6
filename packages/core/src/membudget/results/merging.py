"""Merges several runs: the shards of a suite, or repeated runs of the same tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from typing import Any

from ..errors import IncomparableRunsError
from ..source.sources import combined
from ..verdict import Result
from .comparable import counts_the_same, differences
from .environment import Environment
from .run_file import RunFile


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
    environments = [run.environment for run in runs]
    kept: dict[str, Result] = {}
    counted_otherwise: list[str] = []
    for result in (result for run in runs for result in run.results):
        other = kept.setdefault(result.name, result)
        if not counts_the_same(result, other):
            counted_otherwise.append(result.name)
        if result.measurement.peak_bytes > other.measurement.peak_bytes:
            kept[result.name] = result
    problems = differences(environments)
    if counted_otherwise:
        others = len(set(counted_otherwise)) - 1
        more = f" and {others} other tests" if others > 1 else " and another test" * others
        problems.append(f"what counts of {counted_otherwise[0]}{more}")
    if problems and not force:
        raise IncomparableRunsError(
            f"these runs differ in {', '.join(problems)}, so that their figures cannot be compared"
        )
    sources = [run.sources for run in runs if run.sources is not None]
    return RunFile(
        _merged(environments),
        tuple(kept.values()),
        combined(sources) if len(sources) == len(runs) else None,
    )


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
