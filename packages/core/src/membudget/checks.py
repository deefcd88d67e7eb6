"""Judging: a measurement and a budget make a verdict."""

from __future__ import annotations

from .model import Budget, Excess, Measurement, Verdict


def judge(measurement: Measurement, budget: Budget) -> Verdict:
    """Hold ``measurement`` against every limit of ``budget``; exactly at a limit is within.

    Example:
        >>> from membudget import Budget, Limit, Measurement
        >>> budget = Budget((Limit("peak_bytes", 100),))
        >>> judge(Measurement(100, 100, 1, 0), budget).within
        True
        >>> judge(Measurement(101, 101, 1, 0), budget).excesses[0].over
        1
    """
    excesses = (
        Excess(limit, measured)
        for limit in budget.limits
        if (measured := getattr(measurement, limit.figure)) > limit.maximum
    )
    return Verdict(budget, tuple(excesses))
