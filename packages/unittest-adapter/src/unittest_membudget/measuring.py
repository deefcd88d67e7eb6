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
    Measurement,
    Settings,
    TraceSettings,
    Verdict,
    budget_of,
    memory_budget,
    report_text,
)

from .collecting import listener_for
from .marks import KEPT_OUT, WAIVER

LIMIT_ATTRIBUTE: Final = "memory_limit"
"""The attribute in which a MemoryTestCase class writes its limit."""

# unittest leaves out the frames of modules with this name from tracebacks.
__unittest = True

_CLASS_BUDGET: Final = "_membudget_class_budget"
_RUNS_MEASURED: Final = "_membudget_runs_measured"
_MEASURING: Final = "_membudget_measuring"

Listener: TypeAlias = Callable[[Measurement, Verdict, LateAllocations], None]


class _Measuring:
    """Who asked for the measuring of a test: its class, its runner, or both."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.trace: TraceSettings | None = None
        self.default = Budget()
        self.n_frames = report_text.N_FRAMES
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
    if method is None or _kept_out(test, method):
        yield False
        return
    measuring = _Measuring()
    measuring.add(listener, settings, keep_capture)
    run = _in_block(test, method, measuring)
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


def _in_block(
    test: unittest.TestCase, method: Callable[..., Any], measuring: _Measuring
) -> Callable[..., Any]:
    budget, bare = budget_of(method)
    if budget is None and hasattr(method, WAIVER):
        budget = Budget()
    elif budget is not None and bare == method:
        # Below another decorator, a budget is enforced where it stands, in a block of its own.
        budget = Budget()

    def in_block() -> Callable[..., Any]:
        # Made when the test is called: by then, all who asked are known.
        block = Block(
            budget if budget is not None else class_budget(test, measuring.default),
            subject="Test",
            trace=measuring.trace,
            always_allocations=bool(measuring.listeners),
            keep_capture=measuring.keep_capture,
            message=functools.partial(report_text.exceeded_message, n_frames=measuring.n_frames),
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

    return run


def class_budget(test: unittest.TestCase, default: Budget) -> Budget:
    """Return the budget of the closest class that has one, or ``default``."""
    for holder in (test, *type(test).__mro__):
        attributes = vars(holder)
        if WAIVER in attributes:
            return Budget()
        if _CLASS_BUDGET in attributes:
            budget: Budget = attributes[_CLASS_BUDGET]
            return budget
        if LIMIT_ATTRIBUTE in attributes and getattr(test, _RUNS_MEASURED, False):
            if holder.__module__ == __package__ + ".case":
                break  # MemoryTestCase itself says nothing
            return written_budget(type(test), attributes[LIMIT_ATTRIBUTE])
    return default


def waiver_of(test: unittest.TestCase) -> str | None:
    """Return why limits from further out do not count for a test; None where they do.

    The closest limit or waiver counts.
    """
    # Of the class: that of the instance may be the one that measures.
    method = getattr(type(test), test._testMethodName, None)
    if method is not None and budget_of(method)[0] is not None:
        return None
    for holder in (method, *type(test).__mro__):
        attributes = getattr(holder, "__dict__", {})
        if WAIVER in attributes:
            waiver: str = attributes[WAIVER]
            return waiver
        if _CLASS_BUDGET in attributes or attributes.get(LIMIT_ATTRIBUTE) is not None:
            return None
    return None


def _kept_out(test: unittest.TestCase, method: Callable[..., Any]) -> bool:
    return bool(getattr(method, KEPT_OUT, False) or getattr(test, KEPT_OUT, False))


def written_budget(cls: type, limit: str | int | None) -> Budget:
    """Return the budget of a ``memory_limit`` attribute; None stands for no limit.

    Raises:
        InvalidSizeError: the limit is no size; the message names the class.
    """
    if limit is None:
        return Budget()
    return memory_budget(limit, where=f"{cls.__qualname__}.{LIMIT_ATTRIBUTE}")


def put_budget_on(cls: type[unittest.TestCase], budget: Budget) -> None:
    """Make ``budget`` the default of the tests of ``cls``, with any runner."""
    setattr(cls, _CLASS_BUDGET, budget)
    run_measured(cls)


def run_measured(cls: type[Any]) -> None:
    """Make every test of ``cls`` run in a block of its own, with any runner."""
    if getattr(cls, _RUNS_MEASURED, False):
        return
    run = cls.run

    @functools.wraps(run)
    def run_in_block(
        self: unittest.TestCase, result: unittest.TestResult | None = None
    ) -> unittest.TestResult | None:
        with measured(self, listener_for(self)):
            finished: unittest.TestResult | None = run(self, result)
            return finished

    cls.run = run_in_block
    setattr(cls, _RUNS_MEASURED, True)
