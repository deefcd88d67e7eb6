"""A block around each test's call, its verdict in the test's report, the report at the end."""

from __future__ import annotations

import collections
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
    KeptCaptures,
    LateAllocations,
    Marks,
    Measurement,
    MemoryLimitExceeded,
    MisuseError,
    RecordingError,
    Result,
    Run,
    Settings,
    Verdict,
    budget_of,
    enforcement_is_on,
    report_failure,
    report_json,
    report_text,
)

from .budgets import KEEPS_OUT, BadMarkerError, marked

SECTION = "memray-max-memory"
LEAK_SECTION = "memray-leaked-memory"
_RESULT_KEY = pytest.StashKey[Result]()
_REPORT_ATTRIBUTE = "membudget_result"
_WORKER_RESULTS = "membudget_results"
_WORKER_PREFIX = "membudget_bin_prefix"
_WAIVER_ATTRIBUTE = "membudget_waiver"
_KEPT_OUT_ATTRIBUTE = "membudget_kept_out"
_NOT_MEASURABLE_ATTRIBUTE = "membudget_not_measurable"
_EXCEEDED_ATTRIBUTE = "membudget_exceeded"
_MARKUP: dict[str, dict[str, bool]] = {
    "": {},
    "over": {"red": True, "bold": True},
    "near": {"yellow": True, "bold": True},
    "failed": {"red": True},
    "waived": {"cyan": True},
}


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
        self._workeroutput: dict[str, Any] | None = getattr(config, "workeroutput", None)
        self._run = Run(settings.most_allocations, _kept_captures(config, settings))
        self._results: list[Result] = []
        self._waivers: dict[str, str] = {}
        self._failed: set[str] = set()
        self._unmeasured: dict[str, str] = {}
        self._writes_junit = bool(getattr(config.option, "xmlpath", None))
        verbosity = config.get_verbosity("memray")
        self._n_allocations = (
            None if verbosity > 1 else 0 if verbosity < 0 else report_failure.N_ALLOCATIONS
        )

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        if self._run.captures is not None:
            node.workerinput[_WORKER_PREFIX] = self._run.captures.prefix

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
            path = self._settings.memray_json
            try:
                Path(path).write_text(report_json.results_to_text(self._results), encoding="utf-8")
            except OSError as error:
                problem = f"--memray-json: cannot write to {path!r}: {error}"
                raise pytest.UsageError(problem) from error

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        for data in getattr(node, "workeroutput", {}).get(_WORKER_RESULTS, ()):
            self._run.add_result(report_json.result_from_json(data))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item.get_closest_marker(KEEPS_OUT) or not marked(item).measured:
            self._run.stop_recording()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        __tracebackhide__ = True

        def keep(measurement: Measurement, verdict: Verdict, late: LateAllocations) -> None:
            item.stash[_RESULT_KEY] = self._run.add(item.nodeid, measurement, verdict, late)
            if self._writes_junit:
                _set_properties(item, measurement, verdict)

        function = getattr(item, "obj", None) if isinstance(item, pytest.Function) else None
        own, function = budget_of(function) if function is not None else (None, None)
        marks = marked(item)
        budget = (own or Budget()).within(marks.budget or Budget())
        if marks.waiver is None:
            budget = budget.or_default(self._settings.default_budget)
        if not marks.measured or not (self._settings.memray or budget.limits_anything):
            return (yield)
        block = Block(
            budget,
            subject="Test",
            trace=self._settings.trace,
            always_allocations=self._settings.memray,
            keep_capture=self._run.path_of(item.nodeid),
            on_measured=keep,
        )
        if not isinstance(item, pytest.Function) or function is None:
            with block:
                return (yield)
        # Around the function and nothing else: fixtures, and what plugins do, stay outside.
        with _function_replaced(item, block(function)):
            outcome = yield
        _check_enforced(item, marks, budget)
        return outcome

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when != "call":
            return report
        try:
            marks = marked(item)
        except BadMarkerError:  # of a fixture; the test has failed because of it
            return report
        if marks.waiver is not None and marks.budget is None:
            setattr(report, _WAIVER_ATTRIBUTE, marks.waiver)
        if not marks.measured:
            setattr(report, _KEPT_OUT_ATTRIBUTE, True)
        raised = call.excinfo.value if call.excinfo is not None else None
        if isinstance(raised, RecordingError):
            setattr(report, _NOT_MEASURABLE_ATTRIBUTE, True)
        result = item.stash.get(_RESULT_KEY, None)
        if result is None:
            return report
        del item.stash[_RESULT_KEY]
        # Plain data, so that it reaches the reporting process under pytest-xdist.
        setattr(report, _REPORT_ATTRIBUTE, report_json.result_to_json(result))
        if report.failed and isinstance(raised, MemoryLimitExceeded):
            setattr(report, _EXCEEDED_ATTRIBUTE, True)
            if raised.verdict == result.verdict:
                # The test's own budget: its one line and its section say all there is to say.
                # A block inside the test keeps its traceback, which shows which one it was.
                report.longrepr = report_failure.exceeded_line("Test", result.verdict)
                section = report_failure.exceeded_section(
                    "Test",
                    raised.measurement,
                    raised.verdict,
                    n_frames=self._settings.stacks,
                    n_allocations=self._n_allocations,
                )
                title = SECTION if result.verdict.excesses else LEAK_SECTION
                report.sections.append((title, section))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, str] | None:
        if report.failed and getattr(report, _EXCEEDED_ATTRIBUTE, False):
            return "failed", "M", "MEMORY PROBLEMS"
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid
        if hasattr(report, _WAIVER_ATTRIBUTE):
            self._waivers[name] = getattr(report, _WAIVER_ATTRIBUTE)
        data: dict[str, Any] | None = getattr(report, _REPORT_ATTRIBUTE, None)
        if report.when == "call":
            self._failed.discard(name)
            if report.failed and not hasattr(report, _EXCEEDED_ATTRIBUTE):
                self._failed.add(name)
        reason = _why_not_measured(report, data is not None)
        if reason:
            self._unmeasured[name] = reason
        elif data is not None:
            self._unmeasured.pop(name, None)
        # Measured in another process: a worker of pytest-xdist, or a child of pytest-forked.
        if data is not None and (hasattr(report, "node") or name not in self._run):
            self._run.add_result(report_json.result_from_json(data))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._settings.hide_memray_summary or not self._settings.memray:
            return
        terminalreporter.write_line("")
        terminalreporter.write_sep("=", report_text.TITLE)
        terminal = terminalreporter.config.get_terminal_writer()
        for line in report_text.report_lines(
            self._results,
            most_allocations=self._settings.most_allocations,
            symbols=report_text.can_show_symbols(sys.stdout),
            failed=self._failed,
            waivers=self._waivers,
            width=terminal.fullwidth if sys.stdout.isatty() else 0,
        ):
            terminalreporter.write_line(line.text, **_MARKUP[line.tells])
        if self._settings.memray_margins:
            for line in report_text.margin_lines(self._results):
                terminalreporter.write_line(line.text, **_MARKUP[line.tells])
        for text in report_text.summary_lines(
            len(self._results),
            self._settings.most_allocations,
            waivers=self._waivers,
            unmeasured=collections.Counter(self._unmeasured.values()),
            captures=self._run.captures.pattern if self._run.captures is not None else "",
        ):
            terminalreporter.write_line(text)


def _check_enforced(item: pytest.Item, marks: Marks, budget: Budget) -> None:
    """Fail a test that passed, and whose limits nobody held against anything."""
    __tracebackhide__ = True
    if marked(item) != marks:
        raise MisuseError(
            "a marker about memory was added to this test while it ran, when its limits were "
            "known already: add it in a fixture, or write 'with limit_memory(...)'"
        )
    if budget.limits_anything and _RESULT_KEY not in item.stash:
        raise MisuseError(
            "this test has a limit and was not measured: something ran its function in another "
            "way than pytest does, such as a plugin that replaces item.runtest"
        )


def _kept_captures(config: pytest.Config, settings: Settings) -> KeptCaptures | None:
    """Return where to keep captures; a worker of pytest-xdist has the prefix of its run."""
    if not (settings.memray and settings.memray_bin_path):
        return None
    workerinput: dict[str, Any] = getattr(config, "workerinput", {})
    prefix = workerinput.get(_WORKER_PREFIX, settings.memray_bin_prefix)
    return KeptCaptures(settings.memray_bin_path, prefix)


def _set_properties(item: pytest.Item, measurement: Measurement, verdict: Verdict) -> None:
    """Give the test the properties of its measurement, for JUnit XML; those of the last rerun."""
    figures = {
        f"memray_{figure}": getattr(measurement, figure)
        for figure in ("peak_bytes", "total_bytes", "n_allocations", "retained_bytes")
    }
    limits = {f"memray_limit_{limit.figure}": limit.maximum for limit in verdict.budget.limits}
    if verdict.budget.leaks is not None:
        limits["memray_limit_leaks"] = verdict.budget.leaks.maximum
    others = [one for one in item.user_properties if not one[0].startswith("memray_")]
    item.user_properties[:] = [*others, *figures.items(), *limits.items()]


def _why_not_measured(report: pytest.TestReport, measured: bool) -> str:
    """Say why a report has no measurement; empty where it has one, or another report will tell."""
    if measured or report.when == "teardown":
        return ""
    if hasattr(report, _KEPT_OUT_ATTRIBUTE):
        return "no_memray"
    if hasattr(report, _NOT_MEASURABLE_ATTRIBUTE):
        return "could not be measured"
    if report.when in ("setup", "call"):  # setUp of a TestCase is in its call
        if report.skipped:
            return "skipped"
        if report.failed:
            return "failed in setup"
        return "run by another plugin" if report.when == "call" else ""
    return "lost with a crashed worker"  # pytest-xdist reports these in no phase
