"""A block around each test: its call, or those of its phases that count."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import os
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
    LateAllocations,
    Marks,
    Measurement,
    MisuseError,
    PhasedBlock,
    Result,
    Run,
    Settings,
    Verdict,
    plugin_manager,
    warm_up_block,
)

from .budgets import BadMarkerError, budget_for, marked
from .reports import Details, set_properties, tell_marks, tell_result
from .warming_up import silence, warm_up

_RESULT_KEY = pytest.StashKey[Result]()
# What leads to a test: the frames of pytest, pluggy, unittest, asyncio and this package.
_OUTER_FILES = tuple(
    f"{Path(str(file)).parent}{os.sep}"
    for file in (_pytest.__file__, pluggy.__file__, unittest.__file__, asyncio.__file__, __file__)
)


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


class MeasuringPlugin:
    """Registered when measuring is on: puts a block around each test.

    Args:
        config: pytest's.
        settings: what the recording traces, and what holds for all tests.
        run: takes what is measured.
    """

    def __init__(self, config: pytest.Config, settings: Settings, run: Run) -> None:
        self._settings = settings
        self._run = run
        self._details = Details.of(config, settings)
        self._writes_junit = bool(getattr(config.option, "xmlpath", None))
        self._hooks: list[ModuleType] = []
        self._warming_up = False
        # Of the test at hand, where more counts than its call.
        self._phased: PhasedBlock | None = None
        self._phased_marks = Marks()

    def pytest_plugin_registered(self, plugin: object) -> None:
        """Let a conftest.py, or a plugin of pytest, have a say through membudget's own hooks.

        pytest calls this for plugins that were registered before as well.
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
        if self._warming_up or not plan.measures or plan.budget.scope.phases == ("call",):
            return (yield)
        self._phased, self._phased_marks = PhasedBlock(self._block(item, plan)), plan.marks
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
        if "teardown" not in self._plan(item).budget.scope.phases:
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
        if phased is not None and plan.marks != self._phased_marks:
            raise MisuseError(
                "a marker about memory was added to this test in its setup, which was measured "
                "already (include): write it at the test"
            )
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
        function, marks, budget = budget_for(item, self._settings)
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
                set_properties(item, measurement, verdict)

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
            self._tell(item, call, report)
            return report

    def _tell(
        self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
    ) -> None:
        if self._warming_up:
            return
        if call.when == "call":
            try:
                tell_marks(report, marked(item), is_phased=self._phased is not None)
            except BadMarkerError:  # of a fixture; the test has failed because of it
                return
        result = item.stash.get(_RESULT_KEY, None)
        if result is not None:
            del item.stash[_RESULT_KEY]
        raised = call.excinfo.value if call.excinfo is not None else None
        tell_result(report, result, raised, self._details)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        with self._run.left_out():
            if self._warming_up:
                silence(report)
            return (yield)


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
        is_measured = "call" not in plan.budget.scope.phases or "call" in phased.measured
    else:
        is_measured = _RESULT_KEY in item.stash
    if plan.budget.limits_anything and not is_measured:
        raise MisuseError(
            "this test has a limit and was not measured: something ran its function in another "
            "way than pytest does, such as a plugin that replaces item.runtest"
        )
