"""A block around each test's call, its verdict in the test's report, the report at the end."""

from __future__ import annotations

import contextlib
import inspect
import sys
import unittest
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from membudget import (
    Block,
    Budget,
    LateAllocations,
    Measurement,
    MemoryLimitExceeded,
    Result,
    Run,
    Settings,
    Verdict,
    budget_of,
    enforcement_is_on,
    report_json,
    report_text,
)

from .budgets import marked

SECTION = "memray-max-memory"
_RESULT_KEY = pytest.StashKey[Result]()
_REPORT_ATTRIBUTE = "membudget_result"
_WORKER_RESULTS = "membudget_results"
_WAIVER_ATTRIBUTE = "membudget_waiver"
_KEPT_OUT_ATTRIBUTE = "membudget_kept_out"
_EXCEEDED_ATTRIBUTE = "membudget_exceeded"


@contextlib.contextmanager
def _function_replaced(item: pytest.Function, function: Callable[..., object]) -> Iterator[None]:
    original, instance = item.obj, item.instance
    item.obj = function
    # pytest leaves async methods of TestCase classes to the class, which looks them up by name.
    looked_up = isinstance(instance, unittest.TestCase) and inspect.iscoroutinefunction(function)
    if looked_up:
        setattr(instance, item.name, function)
    try:
        yield
    finally:
        item.obj = original
        if looked_up:
            delattr(instance, item.name)


class NotMeasuringPlugin:
    """Registered when measuring is asked for and cannot be: says so, and costs nothing."""

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_line("")
        terminalreporter.write_sep("=", report_text.TITLE)
        reason = "memray does not run here"
        if not enforcement_is_on():
            reason = "MEMBUDGET=off in the environment"
        terminalreporter.write_line(f"Nothing was measured: {reason}")


class MeasuringPlugin:
    """Registered when measuring is on."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._settings = settings
        self._run = Run(settings.most_allocations)
        self._results: list[Result] = []
        self._waivers: dict[str, str] = {}
        self._n_kept_out = 0
        self._workeroutput: dict[str, Any] | None = getattr(config, "workeroutput", None)

    def pytest_sessionstart(self) -> None:
        self._run.begin()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._results = self._run.end()
        if self._workeroutput is not None:
            # What was read only now travels to the reporting process on its own.
            self._workeroutput[_WORKER_RESULTS] = [
                report_json.result_to_json(result)
                for result in self._results
                if result.measurement.allocations
            ]
        elif self._settings.memray_json:
            text = report_json.results_to_text(self._results)
            Path(self._settings.memray_json).write_text(text, encoding="utf-8")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        for data in getattr(node, "workeroutput", {}).get(_WORKER_RESULTS, ()):
            self._run.add_result(report_json.result_from_json(data))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if not marked(item).measured:
            self._run.stop_recording()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        __tracebackhide__ = True

        def keep(measurement: Measurement, verdict: Verdict, late: LateAllocations) -> None:
            item.stash[_RESULT_KEY] = self._run.add(item.nodeid, measurement, verdict, late)

        function = getattr(item, "obj", None) if isinstance(item, pytest.Function) else None
        budget, function = budget_of(function) if function is not None else (None, None)
        marks = marked(item)
        if budget is None:
            budget = marks.budget
        if budget is None and marks.waiver is None:
            budget = self._settings.default_budget
        if not marks.measured or not (self._settings.memray or (budget and budget.limits)):
            return (yield)
        block = Block(
            budget or Budget(),
            subject="Test",
            trace=self._settings.trace,
            always_allocations=self._settings.memray,
            on_measured=keep,
        )
        if not isinstance(item, pytest.Function) or function is None:
            with block:
                return (yield)
        # Around the function and nothing else: fixtures, and what plugins do, stay outside.
        with _function_replaced(item, block(function)):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when != "call":
            return report
        marks = marked(item)
        if marks.waiver is not None:
            setattr(report, _WAIVER_ATTRIBUTE, marks.waiver)
        if not marks.measured:
            setattr(report, _KEPT_OUT_ATTRIBUTE, True)
        result = item.stash.get(_RESULT_KEY, None)
        if result is None:
            return report
        del item.stash[_RESULT_KEY]
        # Plain data, so that it reaches the reporting process under pytest-xdist.
        setattr(report, _REPORT_ATTRIBUTE, report_json.result_to_json(result))
        raised = call.excinfo.value if call.excinfo is not None else None
        if report.failed and isinstance(raised, MemoryLimitExceeded):
            setattr(report, _EXCEEDED_ATTRIBUTE, True)
            if raised.verdict == result.verdict:
                # The test's own budget: its one line and its section say all there is to say.
                # A block inside the test keeps its traceback, which shows which one it was.
                report.longrepr = report_text.exceeded_line("Test", result.verdict)
                section = report_text.exceeded_section(
                    "Test", result.measurement, result.verdict, n_frames=self._settings.stacks
                )
                report.sections.append((SECTION, section))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, str] | None:
        if report.failed and getattr(report, _EXCEEDED_ATTRIBUTE, False):
            return "failed", "M", "MEMORY PROBLEMS"
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, _WAIVER_ATTRIBUTE):
            self._waivers[report.nodeid] = getattr(report, _WAIVER_ATTRIBUTE)
        self._n_kept_out += hasattr(report, _KEPT_OUT_ATTRIBUTE)
        data: dict[str, Any] | None = getattr(report, _REPORT_ATTRIBUTE, None)
        # Measured in another process: a worker of pytest-xdist, or a child of pytest-forked.
        if data is not None and (hasattr(report, "node") or report.nodeid not in self._run):
            self._run.add_result(report_json.result_from_json(data))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._settings.hide_memray_summary or not self._settings.memray:
            return
        terminalreporter.write_line("")
        terminalreporter.write_sep("=", report_text.TITLE)
        for line in report_text.report_lines(
            self._results,
            most_allocations=self._settings.most_allocations,
            symbols=report_text.can_show_symbols(sys.stdout),
        ):
            terminalreporter.write_line(line)
        for line in report_text.summary_lines(
            len(self._results),
            self._settings.most_allocations,
            self._waivers,
            self._n_kept_out,
        ):
            terminalreporter.write_line(line)
