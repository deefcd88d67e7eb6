"""Running a test once before it is measured, for stable figures."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

try:
    from _pytest.subtests import failed_subtests_key
except ImportError:  # before pytest 9
    failed_subtests_key = None  # type: ignore[assignment]

_SILENCED = "membudget_warming_up"


def warm_up(item: pytest.Item) -> None:
    """Run a test: its function-scoped fixtures are set up and torn down, the others stay.

    What comes of it is for the run that follows to show, so nothing is reported of this one. As
    pytest-rerunfailures does it. Not with ``--pdb``, which would open the debugger twice.
    """
    if item.config.getoption("usepdb"):
        return
    properties = list(item.user_properties)
    failed_subtests: Any = {}
    if failed_subtests_key is not None:
        failed_subtests = item.config.stash.get(failed_subtests_key, {})
    counted = dict(failed_subtests)
    with warnings.catch_warnings(record=True):
        # Of the next item, pytest only looks at the collectors that it shares with this one.
        runtestprotocol(item, log=False, nextitem=item.parent)  # type: ignore[arg-type]
    item.user_properties[:] = properties
    item._report_sections.clear()
    failed_subtests.clear()
    failed_subtests.update(counted)


def silence(report: pytest.TestReport) -> None:
    """Take out of a report what would be shown: subtests report by themselves, and at once."""
    report.outcome, report.when = "passed", "setup"
    report.longrepr = None
    report.sections = []
    setattr(report, _SILENCED, True)


def is_silenced(report: pytest.CollectReport | pytest.TestReport) -> bool:
    """Whether a report is one of a test that only warmed up; also one that came from a worker."""
    return hasattr(report, _SILENCED)
