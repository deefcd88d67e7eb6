"""Judging a measurement by a budget."""

from __future__ import annotations

import pytest
from membudget import Budget, Excess, Limit, Verdict
from membudget.testing import make_measurement
from membudget.verdict import judge


@pytest.mark.parametrize(("peak", "within"), [(0, True), (99, True), (100, True), (101, False)])
def test_exactly_at_the_limit_is_within(peak: int, within: bool) -> None:
    """A limit is the largest value that passes, not the first that fails."""
    assert judge(make_measurement(peak), Budget((Limit("peak_bytes", 100),))).within is within


def test_a_verdict_says_what_was_exceeded_and_by_how_much() -> None:
    limit = Limit("peak_bytes", 100)
    verdict = judge(make_measurement(130), Budget((limit,)))
    assert verdict == Verdict(Budget((limit,)), (Excess(limit, 130),))
    assert verdict.excesses[0].over == 30


def test_a_budget_without_limits_is_always_kept() -> None:
    assert judge(make_measurement(2**60), Budget()).within
    assert Budget().limit_of("peak_bytes") is None
