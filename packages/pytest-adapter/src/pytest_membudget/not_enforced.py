"""Notices about limits and settings that have no effect in a run without ``--memray``."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from membudget.runs import Settings

from .markers import has_limit_marker
from .report_data import add_data, data_of


class NotEnforcedPlugin:
    """Counts the limits that are not enforced; registered in a run that measures nothing.

    It changes no outcome, and does not check the arguments of markers.
    """

    def __init__(self, settings: Settings) -> None:
        self._has_default = settings.default_budget.limits_anything
        self._names: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "call":
            is_limited = has_limit_marker(item)
            if self._has_default if is_limited is None else is_limited:
                add_data(report, is_limited=True)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if data_of(report).get("is_limited"):
            self._names.add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._names:
            n_tests = len(self._names)
            one = "the limit of 1 test was"
            tests = one if n_tests == 1 else f"the limits of {n_tests} tests were"
            terminalreporter.write_line(
                f"Memory: {tests} not enforced. To enforce limits, run pytest --memray, or set "
                f"memray_enforce_markers = always in the ini file"
            )


class IdleSettingsPlugin:
    """Names settings that have no effect in this run, once, at the end."""

    def __init__(self, notice: str) -> None:
        self._notice = notice

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_line(self._notice)
