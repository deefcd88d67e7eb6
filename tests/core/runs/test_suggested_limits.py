"""Suggestions of a run: tests in several processes, and incomplete results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from membudget import (
    Allocation,
    Budget,
    LeakLimit,
    Limit,
    Measurement,
    MembudgetError,
    Result,
    Scope,
    Unseen,
)
from membudget.results.baseline import Baseline, Entry
from membudget.runs import Settings, SuggestedLimits, WrittenTest
from membudget.source.definitions import Definition
from membudget.suggestions import LimitNow, observed_in
from membudget.tolerance import Tolerance
from membudget.verdict import judge

MB = 1 << 20
SOURCE = "import pytest\n\n\n@pytest.mark.limit_memory('5 MB')\ndef test_it(): ...\n"
NOWHERE: dict[str, str] = {}


def result(measurement: Measurement, budget: Budget) -> Result:
    return Result("test_it", measurement, judge(measurement, budget))


OVER = result(Measurement(9 * MB, 9 * MB, 1, 0), Budget((Limit("peak_bytes", 5 * MB),)))
FIX = Settings(memray=True, memray_fix="all")


def limits(root: Path) -> SuggestedLimits:
    return SuggestedLimits(FIX, str(root), environment=NOWHERE)


def worker(root: Path) -> SuggestedLimits:
    """Return the data of a process that has imported the test."""
    known = limits(root)
    path = str(root / "test_it.py")
    known.imports(path)
    known.found("test_it", WrittenTest(Definition(path, "test_it"), None, (), path))
    return known


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "test_it.py"
    file.write_text(SOURCE)
    return file


def test_tests_of_another_process(path: Path) -> None:
    """The reporting process writes what the workers have found."""
    known = worker(path.parent)
    nested = WrittenTest(
        Definition(str(path), "A.test_it", 3),
        Definition("/elsewhere", "wrapper.<locals>.inner", 9),
        (Definition(str(path), "A"), Definition("/elsewhere", "Base")),
        str(path),
        "unittest",
        waived=True,
    )
    known.found("A.test_it", nested)
    first, second = limits(path.parent), limits(path.parent)
    first.add_json(known.to_json())
    second.add_json(first.to_json())
    assert second.to_json() == known.to_json()
    second.finish([OVER])
    assert path.read_text() == SOURCE.replace("5 MB", "12 MB")


def test_processes_that_imported_different_files(path: Path) -> None:
    """The figures of one process belong to an old source: nothing is written."""
    early, merged = worker(path.parent), limits(path.parent)
    path.write_text(SOURCE + "# more\n")
    for known in (early, worker(path.parent)):
        merged.add_json(known.to_json())
    merged.finish([OVER])
    assert "test_it.py has changed" in "".join(line.text for line in merged.lines())
    assert path.read_text() == SOURCE + "# more\n"


def test_another_version_in_another_process(path: Path) -> None:
    data = json.loads(worker(path.parent).to_json())
    with pytest.raises(MembudgetError, match="use the same version in all processes"):
        limits(path.parent).add_json(json.dumps({**data, "format": 99}))


def test_a_run_that_never_ended_has_no_lines(path: Path) -> None:
    assert list(worker(path.parent).lines()) == []


def test_where_a_limit_comes_from() -> None:
    """The same number can be written at a test, come from the settings or from a baseline."""
    (default,) = Settings(memray_default_limit=5 * MB).default_budget.limits
    baseline = Baseline("memory.json", {"test": Entry(5 * MB, 5 * MB)})
    from_baseline = baseline.limit_for("test", Tolerance())
    assert from_baseline is not None
    for limit in (default, from_baseline, Limit("peak_bytes", 5 * MB)):
        observed = observed_in(result(Measurement(1, 1, 1, 0), Budget((limit,))))
        assert observed.limits == (LimitNow("peak_bytes", 5 * MB, limit.source, limit.origin),)
    assert (default.source, from_baseline.source) == ("default", "baseline")


def test_memory_that_was_not_seen() -> None:
    """A test may need more than its figures say."""
    unseen = Measurement(1, 1, 1, 0, unseen=(Unseen("pyarrow", 50),))
    observed = observed_in(result(unseen, Budget(scope=Scope(stable=True))))
    assert observed.incomplete == "memray did not see all of its memory"
    assert observed.stable


@pytest.mark.parametrize(
    ("retained", "sizes", "used"),
    [
        (900, [], 900),  # so little was left that no stack was looked at
        (9000, [700, 300], 700),
        (9000, [3000, 2000, 700], 3000),
        (9000, [], 1024),  # a filter counts nothing of it, or nothing tells
    ],
)
def test_the_suggestion_for_limit_leaks(retained: int, sizes: list[int], used: int) -> None:
    budget = Budget(leaks=LeakLimit(1024))
    allocations = tuple(Allocation(size, 1, ()) for size in sizes)
    measured = replace(Measurement(1, 1, 1, retained), retained=allocations)
    assert observed_in(result(measured, budget)).used["leaks"] == used


def test_a_filter_of_leaks_counts() -> None:
    """Memory that it leaves out does not raise the limit."""
    budget = Budget(leaks=LeakLimit(1024, lambda stack: False))
    measured = Measurement(
        1, 1, 1, 9000, retained=(Allocation(8000, 1, ()), Allocation(500, 1, ()))
    )
    assert observed_in(result(measured, budget)).used["leaks"] == 500


def test_a_test_that_is_skipped_after_it_had_ended_gets_no_suggestion(path: Path) -> None:
    """For example in its teardown, or when it runs again: the last thing that is known counts."""
    known = worker(path.parent)
    known.ended("test_it", incomplete="it failed")
    known.leave_out("test_it", "skipped")
    known.finish([OVER])
    assert path.read_text() == SOURCE
    assert "No limit is suggested for 1 test: skipped" in [line.text for line in known.lines()]
