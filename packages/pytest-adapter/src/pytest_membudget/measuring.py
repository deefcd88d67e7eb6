"""Puts a block around each test: around its call, or around the phases that count."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import unittest
from collections.abc import Callable, Generator, Iterator
from types import ModuleType
from typing import Any

import pluggy
import pytest
from membudget import Measurement, MisuseError, Result, Verdict, plugin_manager
from membudget.runs import (
    WAIVER,
    Block,
    Budget,
    LateStacks,
    PhasedBlock,
    Run,
    TestRules,
    budget_of,
    directories_of,
    has_nothing_to_measure,
    in_block,
    phases_of_test_case,
    warm_up_block,
)

from ._private import pytest_itself
from .item_rules import BadMarkerError, rules_of_item
from .kept_by_pytest import moved_out
from .open_calls import OpenCall
from .report_data import data_of
from .reports import (
    Details,
    add_result,
    add_rules,
    insist_on_verdict,
    refuse_unmeasured,
    set_properties,
)
from .warm_up import run_warm, silence, warm_up

_RESULT_KEY = pytest.StashKey[Result]()
_PASSED = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
_WORKER_UNREPORTED = "membudget_unreported"
# Packages that run tests in a way that is measured, see tests/pytest_adapter.
_KNOWN_TO_MEASURE = ("_pytest", "anyio", "pytest_asyncio", "pytest_rerunfailures", "xdist", "")
_OUTER_FILES = directories_of(
    pytest_itself.__file__,
    pluggy.__file__,
    unittest.__file__,
    __file__,
    packages=["asyncio"],  # importing it takes long
)


@contextlib.contextmanager
def _function_replaced(item: Any, function: Callable[..., object]) -> Iterator[None]:
    original, instance = item.obj, item.instance
    item.obj = function
    # A TestCase looks up its method by name, and not every runtest stores item.obj under that name:
    # pytest itself does not for async methods, and pytest-django replaces the code that does.
    attributes = vars(instance) if isinstance(instance, unittest.TestCase) else {}
    before = dict(attributes)
    attributes[item.name] = function
    try:
        yield
    finally:
        item.obj = original
        attributes.pop(item.name, None)  # pytest's own runtest removes it as well
        if item.name in before:
            attributes[item.name] = before[item.name]


@dataclasses.dataclass(frozen=True, slots=True)
class _Plan:
    """How a test is measured.

    Attributes:
        function: the function that is called and measured; None for the whole call of the item.
        rules: the rules declared for the test.
        budget: the budget that follows from the rules and the settings.
        measures: whether the test is measured.
    """

    function: Callable[..., object] | None
    rules: TestRules
    budget: Budget
    measures: bool


class MeasuringPlugin:
    """Puts a block around each test; registered when measuring is on.

    Args:
        config: pytest's.
        run: collects the results; its settings apply to all tests.
    """

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._settings = run.settings
        self._run = run
        self._details = Details.of(config, run)
        self._writes_junit = bool(getattr(config.option, "xmlpath", None))
        self._hooks: list[ModuleType] = []
        self._warming_up = False
        self._is_warm = False  # the current test has run before
        self._runs_again = False  # because it was over a limit in its first run
        self._provisional: list[Block] = []  # of the first run
        self._properties: list[tuple[str, object]] = []  # of the current test, before its setup
        self._in_call = False
        self._never_ran = False  # the work that the test function returned, see OpenCall
        self._has_failed = False  # the current test, in a phase that is already reported
        # Raised by the setup of a test that warmed up; such a test is not set up again.
        self._failed_setup: BaseException | None = None
        # For the current test, if more than its call counts.
        self._phased: PhasedBlock | None = None
        self._phased_rules = TestRules()
        # Results over a limit that are in no report yet, by test.
        self._to_report: dict[str, Result] = {}
        self._unreported: list[str] = []  # tests of such results when the run ends
        self._items: dict[str, pytest.Item] = {}

    def pytest_plugin_registered(self, plugin: object) -> None:
        """Let a conftest.py or a pytest plugin implement membudget's own hooks.

        pytest also calls this for plugins that were registered earlier.
        """
        if not isinstance(plugin, ModuleType) or plugin_manager().is_registered(plugin):
            return
        functions = filter(inspect.isfunction, vars(plugin).values())
        if any(hasattr(function, "membudget_impl") for function in functions):
            plugin_manager().register(plugin)
            self._hooks.append(plugin)

    def pytest_unconfigure(self) -> None:
        while self._hooks:
            plugin_manager().unregister(self._hooks.pop())

    def pytest_sessionstart(self) -> None:
        self._run.begin()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._items = {item.nodeid: item for item in session.items}

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._failed_setup = None
        self._properties = list(item.user_properties)
        self._run.starts(item.nodeid)
        try:
            self._is_warm = self._is_to_warm_up(item)
            if self._is_warm:
                self._warming_up = True
                try:
                    warm_up(item)
                finally:
                    self._warming_up = False
            return (yield)
        finally:
            self._abandon_phases()
            self._run.ended(item.nodeid)

    def _is_to_warm_up(self, item: pytest.Item) -> bool:
        """Whether a test runs before it is measured; see :meth:`_can_run_warm` for other tests."""
        if not _can_run_twice(item):
            return False
        try:
            plan = self._plan(item)
        except BadMarkerError:  # added after the collection: the test's setup reports it
            return False
        return plan.measures and self._settings.warms_up_before(plan.budget)

    def _can_run_warm(self, item: pytest.Item, plan: _Plan) -> bool:
        """Whether a test runs again if it is over a limit: caches of its first run do not count."""
        return bool(plan.budget.scope.stable) and not self._is_warm and _can_run_twice(item)

    def _abandon_phases(self) -> None:
        if self._phased is not None:
            self._phased.abandon()
            self._phased = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        __tracebackhide__ = True
        plan = self._plan(item)
        if not plan.rules.measured:
            self._run.stop_recording()
        self._abandon_phases()  # of an earlier run of this test
        if self._warming_up or not plan.measures or plan.budget.scope.phases == ("call",):
            return (yield)
        self._phased, self._phased_rules = PhasedBlock(self._block(item, plan)), plan.rules
        if _is_test_case(item):  # its setUp and tearDown are in pytest's call
            return (yield)
        with self._phased.phase("setup", counts=False):
            return (yield)

    @pytest.hookimpl(tryfirst=True, specname="pytest_runtest_setup")
    def pytest_runtest_setup_as_before(self) -> None:
        """Skip a second setup: leftovers of the first one would only hide why that failed."""
        __tracebackhide__ = True
        if self._failed_setup is not None and not self._warming_up:
            raised, self._failed_setup = self._failed_setup, None
            raise raised

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any]
    ) -> Generator[None, object, object]:
        # A fixture of the class, the module or the session does not belong to the test that
        # happens to run when it is set up.
        left_out = contextlib.ExitStack()
        if fixturedef.scope == "function":
            with self._counting(True):
                return (yield)
        fixturedef.addfinalizer(left_out.close)  # finalizers run in reverse order: this one last
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
        if "teardown" not in self._plan(item).budget.scope.phases:
            self._abandon_phases()  # its setup failed
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
        if phased is not None and plan.rules != self._phased_rules:
            raise MisuseError(
                "a marker about memory was added to this test during its setup, which had already "
                "been measured (include): put the marker on the test itself"
            )
        self._in_call, self._never_ran = True, False
        self._provisional.clear()
        try:
            with self._measured(item, plan):
                outcome = yield
        finally:
            self._in_call = False
        if any(block.is_over for block in self._provisional):
            self._run_warm(item)
            return outcome
        if not self._warming_up:
            self._check_enforced(item, plan)
        return outcome

    def _run_warm(self, item: pytest.Item) -> None:
        __tracebackhide__ = True
        self._provisional.clear()
        self._is_warm = self._runs_again = True
        try:
            run_warm(item, self._properties)
        finally:
            self._runs_again = False

    @contextlib.contextmanager
    def _measured(self, item: pytest.Item, plan: _Plan) -> Iterator[None]:
        """Measure a call while this lasts."""
        __tracebackhide__ = True
        phased = self._phased
        function = plan.function
        if function is None:
            with self._block(item, plan) if phased is None else phased.phase("call"):
                yield
            return
        if plan.budget.limits_what_stays:
            function = moved_out(function, self._run.left_out)
        # Around the function and nothing else: fixtures and plugins stay outside.
        with contextlib.ExitStack() as around:
            if _is_test_case(item) or _is_async(function):
                if phased is None:
                    function = in_block(self._block(item, plan, around_call=True), function)
                else:
                    function = phased.around(function)
            else:
                call = OpenCall(function, lambda: self._context_of_call(item, plan))
                around.push(lambda _, raised, __: self._end_of_call(call, plan, raised))
                function = call.function
            around.enter_context(_function_replaced(item, function))
            if phased is not None and _is_test_case(item):
                around.enter_context(phases_of_test_case(phased, getattr(item, "instance", None)))
            yield

    def _context_of_call(
        self, item: pytest.Item, plan: _Plan
    ) -> contextlib.AbstractContextManager[object]:
        phased = self._phased
        return self._block(item, plan) if phased is None else phased.phase("call")

    def _end_of_call(self, call: OpenCall, plan: _Plan, raised: BaseException | None) -> None:
        __tracebackhide__ = True
        self._never_ran = call.has_never_run
        call.end(raised)
        if self._never_ran and raised is None and plan.budget.limits_anything:
            raise MisuseError(
                "this test has a limit, but it returned a generator or coroutine that was never "
                "run, so there was nothing to measure: run it in the test"
            )

    def _plan(self, item: pytest.Item) -> _Plan:
        """Return how a test is measured, according to its current markers."""
        rules, budget = rules_of_item(item, self._run)
        function = getattr(item, "obj", None) if isinstance(item, pytest.Function) else None
        if function is not None:
            function = budget_of(function)[1]
        if item.config.getoption("trace", False):
            function = None  # the debugger opens in the called function: that must be the test's
        measures = budget.limits_anything or (
            self._settings.memray and not (_is_test_case(item) and has_nothing_to_measure(function))
        )
        return _Plan(function, rules, budget, rules.measured and measures)

    def _block(self, item: pytest.Item, plan: _Plan, *, around_call: bool = False) -> Block:
        """Make the block of a test; if the test only warms up, a block that is not reported."""
        if self._warming_up:
            return warm_up_block(self._settings.trace)

        def keep(measurement: Measurement, verdict: Verdict, late: LateStacks | None) -> None:
            if self._never_ran and verdict.within:
                return
            phases = {} if self._phased is None else self._phased.measured
            result = self._run.add(
                item.nodeid, measurement, verdict, late, phases, is_warm=self._is_warm
            )
            item.stash[_RESULT_KEY] = result
            if not verdict.within:
                self._to_report[item.nodeid] = result
            if self._writes_junit:
                set_properties(item, measurement, verdict)

        is_provisional = self._can_run_warm(item, plan)
        block = Block(
            plan.budget,
            subject="Test",
            trace=self._settings.trace,
            always_allocations=self._settings.memray,
            keep_capture=self._run.path_of(item.nodeid),
            keep_evidence=self._run.evidence_of(item.nodeid),
            outer_files=_OUTER_FILES,
            around_call=around_call,
            is_provisional=is_provisional,
            on_measured=keep,
        )
        if is_provisional:
            self._provisional.append(block)
        return block

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        # A subtest is reported during the call of its test: that memory is not the test's.
        with self._run.left_out():
            report = yield
            if not self._warming_up:
                self._add_memory(item, call, report)
            elif call.when == "setup" and report.failed and call.excinfo is not None:
                self._failed_setup = call.excinfo.value
            return report

    def _add_memory(
        self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
    ) -> None:
        """Add memory data to a report, and make it a failure if the test is over its limit."""
        result = item.stash.get(_RESULT_KEY, None)
        if result is not None:
            del item.stash[_RESULT_KEY]
            self._to_report.pop(item.nodeid, None)
        raised = call.excinfo.value if call.excinfo is not None else None
        self._has_failed &= call.when != "setup"
        add_result(report, result, raised, self._details, failed_before=self._has_failed)
        insist_on_verdict(report, self._details)
        self._has_failed |= report.failed
        if call.when != "call":
            return
        try:
            plan = self._plan(item)
        except BadMarkerError:  # added by a fixture; the test has failed because of it
            return
        add_rules(report, plan.rules, is_phased=self._phased is not None, never_ran=self._never_ran)
        # During the call of a test, reports are those of its subtests.
        if report.passed and not self._in_call and not self._is_enforced(plan, result):
            refuse_unmeasured(report, _not_enforced(item))

    def _check_enforced(self, item: pytest.Item, plan: _Plan) -> None:
        """Fail a test that passed although its limits were not enforced."""
        __tracebackhide__ = True
        if rules_of_item(item, self._run).rules != plan.rules:
            raise MisuseError(
                "a marker about memory was added to this test while it ran, too late to have an "
                "effect: add it in a fixture, or use 'with limit_memory(...):' in the test"
            )
        if not self._is_enforced(plan, item.stash.get(_RESULT_KEY, None)):
            raise MisuseError(_not_enforced(item))

    def _is_enforced(self, plan: _Plan, result: Result | None) -> bool:
        if not (plan.measures and plan.budget.limits_anything) or result is not None:
            return True
        phased = self._phased
        if phased is None:
            return False
        return "call" not in plan.budget.scope.phases or "call" in phased.measured

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        with self._run.left_out():
            if self._warming_up or (self._runs_again and report.passed):
                silence(report)  # of a subtest, which is reported at once
            else:
                self._ensure_verdict(report)
            return (yield)

    def _ensure_verdict(self, report: pytest.TestReport) -> None:
        """Fail a test over its limit if another plugin has changed or replaced its report."""
        if (
            report.when == "call"
            and type(report) is pytest.TestReport
            and not data_of(report).get("rules_known")
        ):
            item = self._items.get(report.nodeid)
            if item is not None:  # another plugin has made this report by itself
                call = pytest.CallInfo[None].from_call(lambda: None, "call")
                self._add_memory(item, call, report)
        insist_on_verdict(report, self._details)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Fail the run if a test over its limit has no report."""
        self._unreported += self._to_report
        workeroutput: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if workeroutput is not None:
            workeroutput[_WORKER_UNREPORTED] = self._unreported
        elif self._unreported and session.exitstatus in _PASSED:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._unreported += getattr(node, "workeroutput", {}).get(_WORKER_UNREPORTED, ())

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name in self._unreported:
            terminalreporter.write_line(
                f"MEMORY PROBLEMS {name}: over its limit, but the run ended before its report",
                red=True,
            )


def _can_run_twice(item: pytest.Item) -> bool:
    # Items of other kinds may not be able to: a doctest is not. And --pdb would open the debugger
    # twice.
    return isinstance(item, pytest.Function) and not item.config.getoption("usepdb")


def _is_test_case(item: pytest.Item) -> bool:
    return isinstance(getattr(item, "instance", None), unittest.TestCase)


def _is_async(function: Callable[..., object]) -> bool:
    """Whether a function is ``async def``, or an object whose ``__call__`` is."""
    called = getattr(function, "__call__", None)  # noqa: B004 - the method itself is needed
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _not_enforced(item: pytest.Item) -> str:
    """Return the message for a test with a limit that nothing measured."""
    hooks = (item.ihook.pytest_pyfunc_call, item.ihook.pytest_runtest_protocol)
    modules = [type(item).runtest.__module__]
    for hook in hooks:
        modules += [
            getattr(one.function, "__module__", "")
            for one in hook.get_hookimpls()
            if not (one.wrapper or one.hookwrapper)
        ]
    others = sorted({name for name in modules if name.split(".")[0] not in _KNOWN_TO_MEASURE})
    who = f" Other code that runs tests here: {', '.join(others)}." if others else ""
    return (
        f"this test has a limit but was not measured, because something other than pytest called "
        f"its function.{who} Use 'with limit_memory(...):' in the test, or mark it {WAIVER}"
    )
