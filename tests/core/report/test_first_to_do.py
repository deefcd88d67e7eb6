"""What to do first after a run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from membudget import Budget, LeakLimit, Limit, Result, Unseen
from membudget.report.first_to_do import Work, first_to_do, state_of
from membudget.report.overview import Overview
from membudget.results import Environment, RunFile
from membudget.testing import make_measurement, make_result
from membudget.verdict import judge

MB = 1 << 20


def works_of(*results: Result, baseline: tuple[Result, ...] | None = None) -> dict[str, Work]:
    before = None if baseline is None else RunFile(Environment(), baseline)
    overview = Overview(RunFile(Environment(), results), before)
    return {work.name: work for work in first_to_do(overview, 2)}


def facts_of(work: Work) -> list[tuple[str, str, str]]:
    return [(one.result.name, one.facts, one.proposal) for one in work.first]


@pytest.mark.parametrize(
    ("used", "limit", "state"),
    [
        (5 * MB, 4 * MB, "over"),
        (5 * MB, 5 * MB, "tight"),
        (95 * MB, 100 * MB, "tight"),
        (5 * MB, 90 * MB, "loose"),
        (5 * MB, 8 * MB, "fits"),
        (5 * MB, None, "free"),
    ],
)
def test_the_state_of_a_test(used: int, limit: int | None, state: str) -> None:
    assert state_of(make_result("test", make_measurement(used), limit)) == state


def test_a_failure_that_is_expected_needs_no_work() -> None:
    result = replace(make_result("test", make_measurement(500), 100), outcome="skipped")
    assert state_of(result) == "fits"
    assert works_of(result) == {}


def test_a_limit_that_may_be_exceeded_unseen_is_blind() -> None:
    seen = replace(make_measurement(5), unseen=(Unseen("pyarrow", 900),))
    work = works_of(make_result("test", seen, 100))["blind"]
    assert facts_of(work) == [
        ("test", "pyarrow took 900.0B from its own allocator, which memray does not see", "")
    ]


def test_the_most_urgent_tests_come_first_and_all_are_counted() -> None:
    works = works_of(
        *(make_result(f"over{n}", make_measurement(n * MB), MB) for n in (2, 4, 3)),
        *(make_result(f"tight{n}", make_measurement(n * MB - 1), n * MB) for n in (2, 9)),
        *(make_result(f"loose{n}", make_measurement(MB), n * MB) for n in (20, 90)),
        make_result("free", make_measurement(100)),
    )
    assert [*works] == ["over", "tight", "loose", "left", "free"]
    assert works["over"].n_tests == 3
    assert facts_of(works["over"]) == [
        ("over4", "4.0MiB of 1.0MiB", "5.8 MB"),
        ("over3", "3.0MiB of 1.0MiB", "4.6 MB"),
    ]
    # Sizes that would look the same are exact.
    assert facts_of(works["tight"])[0] == ("tight9", "9,437,183 of 9,437,184 bytes", "12 MB")
    assert [one.result.name for one in works["loose"].first] == ["loose90", "loose20"]
    assert [one.result.name for one in works["left"].first] == ["tight9", "over4"]


def test_the_words_name_what_is_limited() -> None:
    measurement = make_measurement(5000, 100)
    budget = Budget((Limit("n_allocations", 1),), leaks=LeakLimit(10))
    leaks = replace(measurement, retained=measurement.allocations)
    (one,) = facts_of(works_of(Result("test", leaks, judge(leaks, budget)))["over"])
    assert one[1] == (
        "2 of 1 allocations; allowed to leak 10.0B per location but 1 location leaked more: 5.0KiB"
    )


def test_tests_that_grew_since_the_baseline() -> None:
    new = [make_result(f"test{n}", make_measurement(n * MB)) for n in (1, 2, 5)]
    old = tuple(make_result(f"test{n}", make_measurement(MB)) for n in (1, 2, 5))
    work = works_of(*new, baseline=old)["grew"]
    assert facts_of(work) == [("test5", "1.0MiB to 5.0MiB", ""), ("test2", "1.0MiB to 2.0MiB", "")]
