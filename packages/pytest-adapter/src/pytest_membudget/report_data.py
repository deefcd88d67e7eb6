"""The memory data that pytest's reports take to the reporting process."""

from __future__ import annotations

from typing import TypedDict, Unpack

import pytest

_ATTRIBUTE = "membudget"


class ReportData(TypedDict, total=False):
    """The memory data that a report takes to the reporting process.

    Values that may be more than plain ASCII are JSON text: pytest-xdist sends no names that are
    not UTF-8, and no subclasses of int and str.
    """

    rules_known: bool
    """Whether the rules of the test are included."""
    waiver: str
    """Why the test has no limit, as JSON."""
    kept_out: bool
    """Whether the test is marked as not to be measured."""
    is_phased: bool
    """Whether more than the call of the test is measured."""
    never_ran: bool
    """Whether the test returned work that nothing ran."""
    result: str
    """The result, as JSON; empty if it is within the limits and stays in this process."""
    is_over: bool
    """Whether the result is over the limit of the test."""
    exceeded: bool
    """Whether the test failed because of its limit, or the limit of a block in it."""
    not_measurable: bool
    """Whether an error prevented the measurement."""
    warms_up: bool
    """Whether the report is from a warm-up run."""
    is_limited: bool
    """Whether the test has a limit, in a run that enforces none."""


def data_of(report: pytest.TestReport | pytest.CollectReport) -> ReportData:
    """Return the memory data of a report; empty if it has none."""
    found: ReportData = vars(report).get(_ATTRIBUTE, {})
    return found


def add_data(report: pytest.TestReport, **more: Unpack[ReportData]) -> None:
    """Add memory data to a report."""
    vars(report).setdefault(_ATTRIBUTE, {}).update(more)
