"""Suggested limits."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from membudget import parse_size
from membudget.limit_words import LimitKind
from membudget.runs import memory_budget
from membudget.suggestions import (
    LimitNow,
    Observed,
    Suggestion,
    round_up_count,
    round_up_size,
    suggest,
    suggested_maximum,
)

MB = 1 << 20
KINDS: list[LimitKind] = ["peak_bytes", "total_bytes", "n_allocations", "retained_bytes", "leaks"]

kinds = st.sampled_from(KINDS)
figures = st.one_of(
    st.integers(0, 10**7),
    st.integers(0, 60).flatmap(lambda power: st.integers(max(0, 2**power - 3), 2**power + 3)),
    st.integers(0, 10**19),
)


def only(*observed: Observed) -> Suggestion:
    (found,) = suggest(observed)
    return found


def n_digits(text: str) -> int:
    return len(re.sub(r"\D", "", text).strip("0"))


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (99, "99 B"),
        (101, "110 B"),
        (1000, "1000 B"),
        (1001, "1 KB"),
        (1024, "1 KB"),
        (1025, "1.1 KB"),
        (int(9.9 * 1024), "9.9 KB"),
        (int(9.9 * 1024) + 1, "9.9 KB"),
        (int(9.9 * 1024) + 2, "10 KB"),
        (int(11.37 * MB), "12 MB"),
        (100 * MB, "100 MB"),
        (100 * MB + 1, "110 MB"),
        (1000 * MB + 1, "1 GB"),
        (1024**5 * 1001, "1100 PB"),
    ],
)
def test_sizes_are_rounded_up_to_two_digits(n_bytes: int, text: str) -> None:
    """Suggested limits look like limits that people write."""
    assert round_up_size(n_bytes) == text


@given(figures)
@example(1126)
@example(1023 * 1024 * 1024)
def test_a_size_is_rounded_up_to_the_smallest_sufficient_one(n_bytes: int) -> None:
    """It is never less than the bytes, and as little more as two digits allow."""
    text = round_up_size(n_bytes)
    size = parse_size(text)
    assert n_bytes <= size <= max(n_bytes * 1.1, n_bytes + 1)
    assert n_digits(text) <= 2
    assert round_up_size(size) == text


@given(kinds, figures, st.booleans())
@example("peak_bytes", 0, False)
def test_a_suggestion_is_a_valid_limit(kind: LimitKind, used: int, stable: bool) -> None:
    """Whatever was used, limit_memory accepts the suggestion, and the test is within it."""
    now = LimitNow(kind, 1)
    found = only(Observed("test", {kind: used}, (now,), stable))
    if kind == "n_allocations":
        read = int(found.suggested_text)
        assert memory_budget(allocations=read).limits[0].maximum == read
    else:
        read = parse_size(found.suggested_text)
    assert read == found.maximum >= used * (1.1 if stable or kind == "leaks" else 1.2) * 0.999999
    assert n_digits(found.suggested_text) <= 2


@given(kinds, figures, figures, st.booleans())
def test_a_larger_use_never_gets_a_smaller_limit(
    kind: LimitKind, one: int, two: int, stable: bool
) -> None:
    """And default figures get at least as much room as stable ones."""
    less, more = sorted([one, two])
    assert suggested_maximum(kind, less, stable=stable) <= suggested_maximum(
        kind, more, stable=stable
    )
    assert suggested_maximum(kind, one, stable=True) <= suggested_maximum(kind, one, stable=False)


@given(kinds, figures, st.booleans())
def test_a_suggested_limit_fits(kind: LimitKind, used: int, stable: bool) -> None:
    """After writing the suggested limits, the same measurement suggests no change."""
    maximum = suggested_maximum(kind, used, stable=stable)
    again = only(Observed("test", {kind: used}, (LimitNow(kind, maximum),), stable))
    assert (again.need, again.maximum) == ("keep", maximum)


@given(st.lists(st.tuples(figures, st.booleans()), min_size=1, max_size=5))
def test_the_largest_of_several_runs_counts(runs: list[tuple[int, bool]]) -> None:
    found = only(*(Observed("test", {"peak_bytes": used}, stable=stable) for used, stable in runs))
    assert found.used == max(used for used, _ in runs)
    stable = all(stable for _, stable in runs)
    assert found.maximum == suggested_maximum("peak_bytes", found.used, stable=stable)
    assert (f"largest of {len(runs)} runs" in found.why) == (len(runs) > 1)


@given(figures)
def test_counts_are_rounded_like_sizes(count: int) -> None:
    rounded = round_up_count(count)
    assert count <= rounded <= count * 1.1 + 1
    assert n_digits(str(rounded)) <= 2


@pytest.mark.parametrize(
    ("used", "limit", "stable", "need", "words"),
    [
        (9 * MB, 8 * MB, False, "raise", "over its limit; used + 20% + 1 MB"),
        (9 * MB, 10 * MB - 1, False, "raise", "too tight, 1.0MiB left"),
        (9 * MB, 10 * MB, False, "keep", "fits"),
        (9 * MB, 12 * MB, False, "keep", "fits"),
        (9 * MB, 13 * MB, False, "lower", "more room than it needs"),
        (9 * MB, 9 * MB + 4095, True, "raise", "too tight, 4.0KiB left"),
        (9 * MB, 9 * MB + 4096, True, "keep", "fits; used + 10% + 4 KB"),
        (9 * MB, 11 * MB, True, "lower", "more room"),
        (8 * MB, 8 * MB, True, "raise", "too tight, 0.0B left"),
    ],
)
def test_the_need_of_a_limit(used: int, limit: int, stable: bool, need: str, words: str) -> None:
    """A limit that leaves enough room is kept; a limit that noise will break is raised."""
    now = LimitNow("peak_bytes", limit)
    found = only(Observed("test", {"peak_bytes": used}, (now,), stable))
    assert found.need == need
    assert words in found.why


def test_each_limit_of_a_test_has_its_row() -> None:
    """Not only the peak; without rows for figures that are not limited or not measured."""
    limits = (
        LimitNow("total_bytes", MB),
        LimitNow("n_allocations", 1000, origin="test_a.py:3"),
        LimitNow("retained_bytes", MB),
        LimitNow("leaks", 1024),
    )
    used: dict[LimitKind, int] = {
        "peak_bytes": 5,
        "total_bytes": 2 * MB - 5,
        "n_allocations": 12345,
        "leaks": 4000,
    }
    rows = suggest([Observed("test", used, limits)])
    assert [(row.kind, row.used_text, row.now_text, row.suggested_text) for row in rows] == [
        ("total_bytes", "2.0MiB", "1.0MiB", "3.4 MB"),
        ("n_allocations", "12,345", "1,000", "15_000"),
        ("leaks", "3.9KiB", "1.0KiB", "8.3 KB"),
    ]
    assert rows[1].now is limits[1]
    assert rows[1].why == "over its limit; used + 20% + 100"


def test_a_test_without_limits_gets_one_on_its_peak() -> None:
    (row,) = suggest([Observed("test", {"peak_bytes": 5, "total_bytes": 9})])
    assert (row.need, row.kind, row.now, row.now_text) == ("add", "peak_bytes", None, "")


def test_the_limits_of_the_last_run_count() -> None:
    """If a limit has changed between two runs, the old one is not shown."""
    earlier = Observed("test", {"peak_bytes": 9 * MB}, (LimitNow("peak_bytes", MB),))
    later = Observed("test", {"peak_bytes": 8 * MB}, (LimitNow("peak_bytes", 12 * MB),))
    assert only(earlier, later).need == "keep"
    assert [row.test for row in suggest([Observed("b", {}), Observed("a", {"peak_bytes": 1})])] == [
        "a"
    ]


def test_one_complete_run_of_a_test_is_enough() -> None:
    """A failure in one of several runs does not keep its figures from being used."""
    failed = Observed("test", {"peak_bytes": 1}, incomplete="it failed")
    passed = Observed("test", {"peak_bytes": 2})
    assert only(failed).incomplete == "it failed"
    assert only(failed).why.endswith("but it failed, so it may need more")
    for both in (only(failed, passed), only(passed, failed)):
        assert (both.incomplete, both.used) == ("", 2)
