"""A block around the test method of one test, and where its budget comes from."""

from __future__ import annotations

import contextlib
import functools
import inspect
import unittest
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from membudget import (
    Block,
    Budget,
    LateAllocations,
    Marks,
    Measurement,
    Settings,
    TraceSettings,
    Verdict,
    budget_of,
    measures,
    report_failure,
)

from .collecting import asked_for
from .marks import CLASS_BUDGET, RUNS_MEASURED, marks_of

# unittest leaves out the frames of modules with this name from tracebacks.
__unittest = True

_MEASURING: Final = "_membudget_measuring"

Listener: TypeAlias = Callable[[Measurement, Verdict, LateAllocations], None]


class _Measuring:
    """Who asked for the measuring of a test: its class, its runner, or both."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.trace: TraceSettings | None = None
        self.default = Budget()
        self.n_frames = report_failure.N_FRAMES
        self.keep_capture = ""

    def add(self, listener: Listener | None, settings: Settings | None, keep_capture: str) -> None:
        if listener is not None:
            self.listeners.append(listener)
        if settings is not None:
            self.trace = settings.trace
            self.default = settings.default_budget
            self.n_frames = settings.stacks
        self.keep_capture = keep_capture or self.keep_capture

    def tell(self, *measured: Any) -> None:
        for listener in self.listeners:
            listener(*measured)


@contextlib.contextmanager
def measured(
    test: unittest.TestCase,
    listener: Listener | None = None,
    settings: Settings | None = None,
    keep_capture: str = "",
) -> Iterator[bool]:
    """Run the test method of ``test`` in a block while this lasts; ``setUp`` stays outside.

    The class of a test and its runner may both ask for this; the test still runs in one block, and
    each listener hears of it.

    Args:
        test: the test.
        listener: hears of what was measured.
        settings: what the recording traces, and the default limit.
        keep_capture: where to keep the capture of the block; empty for nowhere.

    Yields:
        Whether the test is measured.
    """
    measuring: _Measuring | None = getattr(test, _MEASURING, None)
    if measuring is not None:
        measuring.add(listener, settings, keep_capture)
        yield True
        return
    name: str = test._testMethodName
    method = getattr(test, name, None)
    # unittest makes tests without a method for modules it cannot import.
    marks = marks_of(type(test), name)
    if method is None or not _can_be_measured(marks, method):
        yield False
        return
    if measures(method):  # pytest does
        yield True
        return
    measuring = _Measuring()
    measuring.add(listener, settings, keep_capture)
    run = _in_block(method, marks, measuring)
    replaced: dict[str, Any] = {_MEASURING: measuring, name: run}
    call = getattr(test, "_callTestMethod", None)
    if call is not None:
        # Python 3.12.1 looks the method up before it tells the result that the test starts.
        replaced["_callTestMethod"] = lambda _: call(run)
    before = dict(vars(test))
    vars(test).update(replaced)
    try:
        yield True
    finally:
        for attribute in replaced:
            if attribute in before:
                setattr(test, attribute, before[attribute])
            else:
                delattr(test, attribute)


def _can_be_measured(marks: Marks, method: Callable[..., Any]) -> bool:
    """Whether there is something to measure: a generator runs nothing when unittest calls it."""
    is_generator = inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method)
    return marks.measured and not (is_generator and marks.budget is None)


def _in_block(
    method: Callable[..., Any], marks: Marks, measuring: _Measuring
) -> Callable[..., Any]:
    own, bare = budget_of(method)
    # Below another decorator, a budget is enforced where it stands, in a block of its own.
    enforced = own if own is not None and bare == method else Budget()

    def in_block() -> Callable[..., Any]:
        # Made when the test is called: by then, all who asked are known.
        budget = marks.budget or Budget()
        if marks.waiver is None:
            budget = budget.or_default(measuring.default)
        block = Block(
            budget.without(enforced),
            subject="Test",
            trace=measuring.trace,
            always_allocations=bool(measuring.listeners),
            keep_capture=measuring.keep_capture,
            message=functools.partial(report_failure.exceeded_message, n_frames=measuring.n_frames),
            on_measured=measuring.tell,
        )
        return block(bare)

    run: Callable[..., Any]
    if inspect.iscoroutinefunction(bare):

        @functools.wraps(bare)
        async def run(*args: Any) -> Any:
            return await in_block()(*args)

    else:

        @functools.wraps(bare)
        def run(*args: Any) -> Any:
            return in_block()(*args)

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
