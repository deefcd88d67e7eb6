"""A block around each test's call, its verdict in the test's report, the report at the end."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import inspect
import os
import sys
import unittest
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import _pytest
import pluggy
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
    PhasedBlock,
    RecordingError,
    Result,
    Run,
    Settings,
    Verdict,
    budget_of,
    enforcement_is_on,
    plugin_manager,
    report_failure,
    report_json,
    report_text,
    warm_up_block,
)

from .budgets import BadMarkerError, marked
from .warming_up import is_silenced, silence, warm_up

SECTION = "memray-max-memory"
LEAK_SECTION = "memray-leaked-memory"
OBJECT_SECTION = "memray-tracked-objects"
_RESULT_KEY = pytest.StashKey[Result]()
_REPORT_ATTRIBUTE = "membudget_result"
_WORKER_RESULTS = "membudget_results"
_WORKER_PREFIX = "membudget_bin_prefix"
_WAIVER_ATTRIBUTE = "membudget_waiver"
_KEPT_OUT_ATTRIBUTE = "membudget_kept_out"
_NOT_MEASURABLE_ATTRIBUTE = "membudget_not_measurable"
_EXCEEDED_ATTRIBUTE = "membudget_exceeded"
_PHASED_ATTRIBUTE = "membudget_phased"
# What leads to a test: the frames of pytest, pluggy, unittest, asyncio and this package.
_OUTER_FILES = tuple(
    f"{Path(str(file)).parent}{os.sep}"
    for file in (_pytest.__file__, pluggy.__file__, unittest.__file__, asyncio.__file__, __file__)
)
_MARKUP: dict[str, dict[str, bool]] = {
    "": {},
    "over": {"red": True, "bold": True},
    "near": {"yellow": True, "bold": True},
    "failed": {"red": True},
    "waived": {"cyan": True},
}


@contextlib.contextmanager
def _function_replaced(item: Any, function: Callable[..., object]) -> Iterator[None]:
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


def _write_json(path: str, results: list[Result]) -> str:
    """Write a JSON file, if there is a path for one; return what went wrong."""
    if path:
        try:
            Path(path).write_text(report_json.results_to_text(results), encoding="utf-8")
        except OSError as error:
            return f"--memray-json: cannot write to {path!r}: {error}"
    return ""


@dataclasses.dataclass(frozen=True)
class _Plan:
    """How a test is measured.

    Attributes:
        function: what is called and measured; None for the whole call of the item.
        marks: what is written at the test.
        budget: what holds.
        measures_all: whether tests without a limit are measured.
    """

    function: Callable[..., object] | None
    marks: Marks
    budget: Budget
    measures_all: bool

    @property
    def keeps_out(self) -> bool:
        return not self.marks.measured

    @property
    def measures(self) -> bool:
        if not self.marks.measured or self.budget.limits_anything:
            return self.marks.measured
        # Calling a generator function runs nothing yet: a plugin may run it, or nobody does.
        is_generator = inspect.isgeneratorfunction(self.function)
        is_generator |= inspect.isasyncgenfunction(self.function)
        return self.measures_all and not is_generator


class NotMeasuringPlugin:
    """Registered when measuring is asked for and cannot be: says so, and costs nothing."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._json = "" if hasattr(config, "workeroutput") else settings.memray_json

    def pytest_sessionfinish(self) -> None:
        # Nobody shall take the results of an earlier run for those of this one.
        problem = _write_json(self._json, [])
        if problem:
            raise pytest.UsageError(problem)

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
        self._phased: PhasedBlock | None = None  # of the test at hand
        self._warming_up = False
        self._writes_junit = bool(getattr(config.option, "xmlpath", None))
        verbosity = config.get_verbosity("memray")
        self._n_allocations = (
            None if verbosity > 1 else 0 if verbosity < 0 else report_failure.N_ALLOCATIONS
        )

    def pytest_plugin_registered(self, plugin: object) -> None:
        """Let a conftest.py, or a plugin of pytest, have a say through membudget's own hooks.

        pytest calls this for plugins that were registered before as well.
        """
        if isinstance(plugin, ModuleType) and any(
            hasattr(value, "membudget_impl") for value in vars(plugin).values()
        ):
            plugin_manager().register(plugin)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        if self._run.captures is not None:
            node.workerinput[_WORKER_PREFIX] = self._run.captures.prefix

    def pytest_sessionstart(self) -> None:
        self._run.begin()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        self._results = self._run.end()
        problem = None
        if self._workeroutput is not None:
            # What was read only now travels to the reporting process on its own.
            self._workeroutput[_WORKER_RESULTS] = [
                report_json.result_to_json(result)
                for result in self._results
                if result.measurement.allocations
            ]
        else:
            problem = _write_json(self._settings.memray_json, self._results)
        finished = yield
        if problem:
            # Not before: the failures of the run are printed meanwhile, and no error may hide them.
            raise pytest.UsageError(problem)
        return finished

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        for data in getattr(node, "workeroutput", {}).get(_WORKER_RESULTS, ()):
            self._run.add_result(report_json.result_from_json(data))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        plan = self._plan(item)
        # Items of other kinds need not be such that they can run again: a doctest is not.
        if isinstance(item, pytest.Function) and plan.measures and plan.budget.scope.stable:
            self._warming_up = True
            try:
                warm_up(item)
            finally:
                self._warming_up = False
        try:
            return (yield)
        finally:
            self._abandon_phases()

    def _abandon_phases(self) -> None:
        if self._phased is not None:
            self._phased.abandon()
            self._phased = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        __tracebackhide__ = True
        plan = self._plan(item)
        if plan.keeps_out:
            self._run.stop_recording()
        self._abandon_phases()  # of an earlier run of this test
        if self._warming_up or not plan.measures or plan.budget.scope.include == ("call",):
            return (yield)
        self._phased = PhasedBlock(self._block(item, plan))
        if _is_test_case(item):  # its setUp and tearDown are in pytest's call
            return (yield)
        with self._phased.phase("setup", counts=False):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any]
    ) -> Generator[None, object, object]:
        # A fixture of the class, the module or the session is not the test's own, whose turn it
        # happens to be.
        left_out = contextlib.ExitStack()
        if fixturedef.scope == "function":
            with self._counting(True):
                return (yield)
        fixturedef.addfinalizer(left_out.close)  # the first to be added is the last to be called
        with self._counting(False):
            value = yield
        fixturedef.addfinalizer(lambda: left_out.enter_context(self._counting(False)))
        return value

    def _counting(self, counts: bool) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._phased is None else self._phased.counting(counts)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        __tracebackhide__ = True
        if self._phased is None or _is_test_case(item):
            return (yield)
        if "teardown" not in self._plan(item).budget.scope.include:
            self._abandon_phases()  # where its setup failed
            return (yield)
        with self._phased.phase("teardown"):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        __tracebackhide__ = True
        plan = self._plan(item)
        if not plan.measures:
            return (yield)
        phased = self._phased
        block = self._block(item, plan)
        if plan.function is None:
            with block if phased is None else phased.phase("call"):
                return (yield)
        # Around the function and nothing else: fixtures, and what plugins do, stay outside.
        function = block(plan.function) if phased is None else phased.around(plan.function)
        with contextlib.ExitStack() as replaced:
            replaced.enter_context(_function_replaced(item, function))
            if phased is not None and _is_test_case(item):
                replaced.enter_context(phased.around_test_case(getattr(item, "instance", None)))
            outcome = yield
        if not self._warming_up:
            _check_enforced(item, plan, phased)
        return outcome

    def _plan(self, item: pytest.Item) -> _Plan:
        """Say how a test is measured, as far as its markers say so by now."""
        function = getattr(item, "obj", None) if isinstance(item, pytest.Function) else None
        own, function = budget_of(function) if function is not None else (None, None)
        marks = marked(item)
        budget = (own or Budget()).within(marks.budget or Budget()).in_scope(self._settings.scope)
        if marks.waiver is None:
            budget = budget.or_default(self._settings.default_budget)
        if item.config.getoption("trace", False):
            function = None  # the debugger opens in what is called: let that be the test's own
        return _Plan(function, marks, budget, self._settings.memray)

    def _block(self, item: pytest.Item, plan: _Plan) -> Block:
        """Make the block of a test; of one that only warms up, a block that nobody hears of."""
        if self._warming_up:
            return warm_up_block(self._settings.trace)

        def keep(measurement: Measurement, verdict: Verdict, late: LateAllocations) -> None:
            phases = {} if self._phased is None else self._phased.measured
            result = self._run.add(item.nodeid, measurement, verdict, late, phases)
            item.stash[_RESULT_KEY] = result
            if self._writes_junit:
                _set_properties(item, measurement, verdict)

        return Block(
            plan.budget,
            subject="Test",
            trace=self._settings.trace,
            always_allocations=self._settings.memray,
            keep_capture=self._run.path_of(item.nodeid),
            outer_files=_OUTER_FILES,
            on_measured=keep,
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        # A subtest is reported in the call of its test, which is none of its doing.
        with self._run.left_out():
            report = yield
        if self._warming_up:
            return report
        if call.when == "call":
            try:
                marks = marked(item)
            except BadMarkerError:  # of a fixture; the test has failed because of it
                return report
            if marks.waiver is not None and marks.budget is None:
                setattr(report, _WAIVER_ATTRIBUTE, marks.waiver)
            if not marks.measured:
                setattr(report, _KEPT_OUT_ATTRIBUTE, True)
            if self._phased is not None:
                setattr(report, _PHASED_ATTRIBUTE, True)
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
                leaked = LEAK_SECTION if result.verdict.leaks else OBJECT_SECTION
                title = SECTION if result.verdict.excesses else leaked
                report.sections.append((title, section))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, str] | None:
        if is_silenced(report):
            return "", "", ""
        if report.failed and getattr(report, _EXCEEDED_ATTRIBUTE, False):
            return "failed", "M", "MEMORY PROBLEMS"
        return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        with self._run.left_out():
            if self._warming_up:
                silence(report)
            if not is_silenced(report):
                self._take_note(report)
            return (yield)

    def _take_note(self, report: pytest.TestReport) -> None:
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


def _is_test_case(item: pytest.Item) -> bool:
    return isinstance(getattr(item, "instance", None), unittest.TestCase)


def _check_enforced(item: pytest.Item, plan: _Plan, phased: PhasedBlock | None) -> None:
    """Fail a test that passed, and whose limits nobody held against anything."""
    __tracebackhide__ = True
    if marked(item) != plan.marks:
        raise MisuseError(
            "a marker about memory was added to this test while it ran, when its limits were "
            "known already: add it in a fixture, or write 'with limit_memory(...)'"
        )
    if phased is not None:
        is_measured = "call" not in plan.budget.scope.include or "call" in phased.measured
    else:
        is_measured = _RESULT_KEY in item.stash
    if plan.budget.limits_anything and not is_measured:
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
    if verdict.budget.objects is not None:
        limits["memray_leaked_objects"] = sum(one.n_objects for one in verdict.leaked_objects)
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
        # A block over several phases tells with the report of its last one.
        is_told = report.when == "setup" or hasattr(report, _PHASED_ATTRIBUTE)
        return "" if is_told else "run by another plugin"
    return "lost with a crashed worker"  # pytest-xdist reports these in no phase
