"""Several runs become one: each test once, with its largest peak."""

from __future__ import annotations

from dataclasses import replace

import pytest
from membudget import Budget, Scope
from membudget.results import Environment, IncomparableRunsError, RunFile, merge_runs
from membudget.testing import make_measurement, make_result
from membudget.verdict import judge

HERE = Environment.here(environment={})


def run(environment: Environment = HERE, **peaks: int) -> RunFile:
    results = (make_result(name, make_measurement(size)) for name, size in peaks.items())
    return RunFile(environment, tuple(results))


def peaks_of(merged: RunFile) -> list[tuple[str, int]]:
    return [(one.name, one.measurement.peak_bytes) for one in merged.results]


def test_shards_become_one_run() -> None:
    """In the order in which tests first come; of a test in several runs, the largest peak."""
    shards = [run(a=10, b=20), run(c=5), run(b=30, a=7, d=1)]
    merged = merge_runs(shards)
    assert peaks_of(merged) == [("a", 10), ("b", 30), ("c", 5), ("d", 1)]
    assert merge_runs([shards[0]]) == shards[0]


def test_what_the_environments_agree_on_stays() -> None:
    first = replace(
        HERE,
        settings=(("memray_stable", "true"), ("stacks", "3")),
        made_visible=("pyarrow",),
        workers=2,
        shard="1/2",
        commit="8f3c",
        started_at="2026-11-29T10:00:10+00:00",
        duration_seconds=20.0,
    )
    second = replace(
        first,
        settings=(("memray_stable", "true"), ("stacks", "5")),
        made_visible=("polars", "pyarrow"),
        shard="2/2",
        root="/elsewhere",
        started_at="2026-11-29T11:00:00+01:00",  # ten seconds earlier
        duration_seconds=1.5,
    )
    merged = merge_runs([run(first), run(second)]).environment
    assert merged == replace(
        first,
        settings=(("memray_stable", "true"),),
        made_visible=("polars", "pyarrow"),
        workers=4,
        shard="",
        root="",
        started_at=second.started_at,
        duration_seconds=30.0,
    )
    assert merge_runs([run(Environment()), run(Environment())]).environment == Environment()


def test_runs_that_cannot_be_compared_are_refused() -> None:
    others = (replace(HERE, python="3.9.1"), replace(HERE, memray="0.1"))
    with pytest.raises(IncomparableRunsError) as caught:
        merge_runs([run(a=1), *map(run, others)])
    assert "differ in Python (" in str(caught.value)
    assert f"memray ({HERE.memray}, 0.1)" in str(caught.value)
    assert peaks_of(merge_runs([run(a=1), run(others[0], a=2)], force=True)) == [("a", 2)]


def test_a_test_that_was_measured_in_two_ways_is_refused() -> None:
    """Its marker was changed in between, or one run was stable: the larger peak says nothing."""
    stable = judge(make_measurement(1), Budget((), Scope(stable=True)))
    plain = run(a=1, b=1, c=1, d=1)
    other = replace(plain, results=tuple(replace(one, verdict=stable) for one in plain.results))
    for n_tests, words in ((1, "a"), (2, "a and another test"), (3, "a and 2 other tests")):
        with pytest.raises(IncomparableRunsError, match=f"differ in what counts of {words}, so"):
            merge_runs([plain, replace(other, results=other.results[:n_tests])])
    assert len(merge_runs([plain, other], force=True).results) == 4
