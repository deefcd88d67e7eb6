"""Runs a test twice, for stable figures: before it is measured, or if it is over a limit."""

from __future__ import annotations

import warnings

import pytest
from membudget.runs import collect_garbage, new_garbage_collected

from ._private import run_again, run_unreported
from .report_data import add_data, data_of


def warm_up(item: pytest.Item) -> None:
    """Run a test and tear down its function-scoped fixtures; the other fixtures stay.

    This run is not reported: the run that follows shows whether the test passes.
    pytest-rerunfailures runs tests in the same way.
    """
    with new_garbage_collected(), warnings.catch_warnings(record=True):
        run_unreported(item)


def run_warm(item: pytest.Item, properties: list[tuple[str, object]]) -> None:
    """During the call of a test that was over a limit in its first run: run it again.

    That run decides. The call of the test takes as long as both.

    Args:
        item: the test.
        properties: its properties before it was set up.
    """
    collect_garbage()
    run_again(item, properties)


def silence(report: pytest.TestReport) -> None:
    """Remove everything visible from a report of a warm-up run: subtests report immediately."""
    report.outcome, report.when = "passed", "setup"
    report.longrepr = None
    report.sections = []
    add_data(report, warms_up=True)


def is_silenced(report: pytest.CollectReport | pytest.TestReport) -> bool:
    """Whether a report is from a warm-up run, in this process or in a worker."""
    return data_of(report).get("warms_up", False)
