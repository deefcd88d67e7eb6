"""Running a test once before it is measured, for stable figures."""

from __future__ import annotations

import warnings

import pytest

from ._private import run_unreported
from .reports import carried, carry


def warm_up(item: pytest.Item) -> None:
    """Run a test: its function-scoped fixtures are set up and torn down, the others stay.

    Nothing of this run is reported: the run that follows shows whether the test passes.
    pytest-rerunfailures runs tests in the same way.
    """
    with warnings.catch_warnings(record=True):
        run_unreported(item)


def silence(report: pytest.TestReport) -> None:
    """Take out of a report what would be shown: subtests report by themselves, and at once."""
    report.outcome, report.when = "passed", "setup"
    report.longrepr = None
    report.sections = []
    carry(report, warms_up=True)


def is_silenced(report: pytest.CollectReport | pytest.TestReport) -> bool:
    """Whether a report is one of a test that only warmed up; also one that came from a worker."""
    return carried(report).get("warms_up", False)
