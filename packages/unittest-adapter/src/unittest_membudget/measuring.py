"""A block around the test method of one test, and where its budget comes from."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import os
import unittest
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from membudget import (
    Block,
    Budget,
    InvalidLimitError,
    LateStacks,
    Marks,
    Measurement,
    MemoryLimitExceeded,
    MisuseError,
    Phase,
    PhasedBlock,
    Scope,
    Settings,
    TraceSettings,
    Verdict,
    budget_of,
    delivering_verdicts,
    measures,
    measuring_is_on,
    report_failure,
)

from .collecting import asked_for
from .marks import CLASS_BUDGET, MEASURING, RUNS_MEASURED, marks_of
from .warming_up import warm_up

# unittest leaves out the frames of modules with this name from tracebacks.
__unittest = True

# What leads to a test: the frames of unittest, of asyncio and of this package.
_OUTER_FILES: Final = tuple(
    f"{Path(str(file)).parent}{os.sep}" for file in (unittest.__file__, asyncio.__file__, __file__)
)

Listener: TypeAlias = Callable[
    [Measurement, Verdict, LateStacks | None, Mapping[Phase, Measurement]], None
]


class _Measuring:
    """The measuring of one test: who asked for it (its class, its runner, or both), and how."""

    def __init__(self, test: unittest.TestCase, marks: Marks, enforced: Budget) -> None:
        self._test = test
        self._marks = marks
        self._enforced = enforced  # where it is written, in a block of its own
        self._listeners: list[Listener] = []
        self._trace: TraceSettings | None = None
        self._default = Budget()
        self._scope = Scope()
        self._n_frames = report_failure.N_FRAMES
        self._keep_capture = ""
        self._begins: Callable[[], None] | None = None
        self._told: list[tuple[Measurement, Verdict, LateStacks | None]] = []
        self._over: tuple[Measurement, Verdict] | None = None
        self._phased: PhasedBlock | None = None
        self.around = contextlib.ExitStack()

    def add(
        self,
        listener: Listener | None,
        settings: Settings | None,
        keep_capture: str,
        begins: Callable[[], None] | None = None,
    ) -> None:
        """Take note of one who asks."""
        self._begins = self._begins or begins
        if listener is not None:
            self._listeners.append(listener)
        if settings is not None:
            self._trace = settings.trace
            self._default = settings.default_budget
            self._scope = settings.scope
            self._n_frames = settings.stacks
        self._keep_capture = keep_capture or self._keep_capture

    @property
    def _budget(self) -> Budget:
        # When the test begins, all who asked are known.
        budget = (self._marks.budget or Budget()).in_scope(self._scope)
        if self._marks.waiver is None:
            budget = budget.or_default(self._default)
        return budget.without(self._enforced)

    def set_up(self, set_up: Callable[[], object]) -> None:
        """Set a test up: where unittest does so, and all that is measured is still to come."""
        scope = self._budget.scope
        if scope.stable and measuring_is_on():
            warm_up(self._test, self._trace)
        if scope.phases == ("call",):
            set_up()
            return
        self._phased = PhasedBlock(self._block())
        self.around.callback(self._phased.abandon)
        self.around.enter_context(self._phased.around_test_case(self._test, set_up))
        self._test._callSetUp()  # type: ignore[attr-defined]

    def call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a test method that runs in a block; :meth:`tell` what came of it afterwards."""
        if self._begins is not None:
            self._begins()
        if self._phased is not None:
            return self._phased.around(function)
        block = self._block()
        if not self._listeners and not block.budget.limits_anything:
            return function  # a class that only has the assertion
        if block.budget.scope.phases != ("call",):
            raise MisuseError(
                f"the budget of this test includes its {', '.join(block.budget.scope.phases)}, "
                f"and {type(self._test).__qualname__} is not set up as unittest does it"
            )
        return block(function)

    def __reduce__(self) -> str:
        # Django leaves out of a test what cannot be pickled, and would follow what can.
        raise TypeError(f"{type(self).__name__} cannot be pickled")

    def tell(self, result: object = None) -> None:
        """Tell those who asked, unless a method returned what is still to come.

        A test that returns a Deferred of Twisted's has yet to do what it does.
        """
        phases = {} if self._phased is None else self._phased.measured
        while self._told:
            measured = self._told.pop()
            if not inspect.isawaitable(result):
                for listener in self._listeners:
                    listener(*measured, phases)

    def raise_if_over(self) -> None:
        """Raise what the block of the test raised, once more: something has caught it.

        Raises:
            MemoryLimitExceeded: the test is over its limit.
        """
        if self._over is not None:
            measurement, verdict = self._over
            raise MemoryLimitExceeded(self._message("Test", *self._over), measurement, verdict)

    def _message(self, subject: str, measurement: Measurement, verdict: Verdict) -> str:
        return report_failure.exceeded_message(
            subject, measurement, verdict, n_frames=self._n_frames
        )

    def _note(self, measurement: Measurement, verdict: Verdict, late: LateStacks | None) -> None:
        self._told.append((measurement, verdict, late))
        if not verdict.within:
            self._over = (measurement, verdict)

    def _block(self) -> Block:
        return Block(
            self._budget,
            subject="Test",
            trace=self._trace,
            always_allocations=bool(self._listeners),
            keep_capture=self._keep_capture,
            outer_files=_OUTER_FILES,
            message=self._message,
            on_measured=self._note,
        )


@contextlib.contextmanager
def measured(
    test: unittest.TestCase,
    listener: Listener | None = None,
    settings: Settings | None = None,
    keep_capture: str = "",
    begins: Callable[[], None] | None = None,
) -> Iterator[bool]:
    """Run the test method of ``test`` in a block while this lasts; ``setUp`` stays outside.

    The class of a test and its runner may both ask for this; the test still runs in one block, and
    each listener hears of it.

    Args:
        test: the test.
        listener: hears of what was measured.
        settings: what the recording traces, and the default limit.
        keep_capture: where to keep the capture of the block; empty for nowhere.
        begins: called before the block.

    Yields:
        Whether the test is measured.
    """
    measuring: _Measuring | None = getattr(test, MEASURING, None)
    if measuring is not None:
        measuring.add(listener, settings, keep_capture)
        yield True
        return
    # A test may be anything that calls the result, and need have no method.
    name: str = getattr(test, "_testMethodName", "")
    method = getattr(test, name, None)
    try:
        marks = marks_of(type(test), name)
    except InvalidLimitError as error:
        # Written after the class was made, which checks it: an error of this test alone.
        with _replaced(test, {name: functools.partial(_refuse, error)}):
            yield True
        return
    # unittest makes tests without a method for modules it cannot import.
    if method is None or not _can_be_measured(marks, method):
        yield False
        return
    if measures(method):  # pytest does
        yield True
        return
    own, bare = budget_of(method)
    # Below another decorator, a budget is enforced where it stands, in a block of its own.
    measuring = _Measuring(test, marks, own if own is not None and bare == method else Budget())
    measuring.add(listener, settings, keep_capture, begins)
    run = _in_block(method, bare, measuring)
    replaced: dict[str, Any] = {MEASURING: measuring, name: run}
    call, set_up = getattr(test, "_callTestMethod", None), getattr(test, "_callSetUp", None)
    if call is not None:
        # Python 3.12.1 looks the method up before it tells the result that the test starts.
        replaced["_callTestMethod"] = _calling(call, run, measuring)
    if set_up is not None:
        replaced["_callSetUp"] = lambda: measuring.set_up(set_up)
    with _replaced(test, replaced):
        try:
            with measuring.around:
                yield True
        finally:
            measuring.tell()


def _calling(
    call: Callable[..., Any], run: Callable[..., Any], measuring: _Measuring
) -> Callable[[object], None]:
    """Return a ``_callTestMethod``; a function that cannot be pickled, as Django needs it."""

    def call_test_method(_: object) -> None:
        call(run)
        measuring.raise_if_over()  # the class of the test may have caught what the block raised

    return call_test_method


@contextlib.contextmanager
def _replaced(test: unittest.TestCase, attributes: dict[str, Any]) -> Iterator[None]:
    before = dict(vars(test))
    vars(test).update(attributes)
    try:
        yield
    finally:
        # Whatever the test has done to its attributes: some delete all of them in tearDown.
        for name in attributes:
            if name in before:
                vars(test)[name] = before[name]
            else:
                vars(test).pop(name, None)


def _refuse(error: Exception) -> None:
    raise error


def _can_be_measured(marks: Marks, method: Callable[..., Any]) -> bool:
    """Whether there is something to measure: a generator runs nothing when unittest calls it."""
    is_generator = inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method)
    return marks.measured and not (is_generator and marks.budget is None)


def _in_block(
    method: Callable[..., Any], bare: Callable[..., Any], measuring: _Measuring
) -> Callable[..., Any]:
    run: Callable[..., Any]
    if inspect.iscoroutinefunction(bare):

        @functools.wraps(bare)
        async def run(*args: Any) -> Any:
            try:
                with delivering_verdicts():
                    return await measuring.call(bare)(*args)
            finally:
                measuring.tell()

    else:

        @functools.wraps(bare)
        def run(*args: Any) -> Any:
            result = None
            try:
                with delivering_verdicts():
                    result = measuring.call(bare)(*args)
                return result
            finally:
                measuring.tell(result)

    # Tests look at their own method. It is none: with that, a test could not be pickled, which
    # Django does to those with subtests.
    if inspect.ismethod(bare):
        vars(run).update(__self__=bare.__self__, __func__=bare.__func__)
    # What decorators above the budget have left, such as that a failure is expected.
    for name, value in getattr(method, "__dict__", {}).items():
        if name.startswith("__unittest_"):
            setattr(run, name, value)
    return run


def put_budget_on(cls: type[unittest.TestCase], budget: Budget) -> None:
    """Make ``budget`` the default of the tests of ``cls``, with any runner."""
    setattr(cls, CLASS_BUDGET, budget)
    if getattr(cls, RUNS_MEASURED, False):
        return
    run: Any = cls.run

    @functools.wraps(run)
    def run_in_block(
        self: unittest.TestCase, result: unittest.TestResult | None = None
    ) -> unittest.TestResult | None:
        with measured(self, **asked_for(self)):
            finished: unittest.TestResult | None = run(self, result)
            return finished

    cls.run = run_in_block  # type: ignore[method-assign]
    setattr(cls, RUNS_MEASURED, True)
