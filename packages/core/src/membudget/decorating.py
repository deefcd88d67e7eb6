"""Functions that run in blocks, and what a decorator leaves on a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import MethodType
from typing import Any, Final, TypeAlias

from .budget import Budget
from .verdict import MemoryLimitExceeded

BUDGET_ATTRIBUTE: Final = "__membudget_budget__"


class Decoration:
    """Says that a function has a budget; decorators around that function inherit it.

    Attributes:
        budget: the budget.
        wrapper: the function that enforces it.
        bare: what ``wrapper`` runs, for an adapter that enforces the budget itself; None where the
            budget stays, because an adapter enforces it already.
    """

    __slots__ = ("bare", "budget", "wrapper")

    def __init__(self, budget: Budget, wrapper: Any, bare: Any) -> None:
        self.budget = budget
        self.wrapper = wrapper
        self.bare = bare


def budget_of(func: Callable[..., Any]) -> tuple[Budget | None, Callable[..., Any]]:
    """Take the budget off a decorated function, for an adapter that runs it in its own block.

    Args:
        func: a function or a bound method.

    Returns:
        The budget of the function or None, and the function without that budget. A budget that
        cannot be taken off, because it lies below another decorator or an adapter enforces it, is
        returned with ``func`` itself.
    """
    decoration = getattr(func, BUDGET_ATTRIBUTE, None)
    if not isinstance(decoration, Decoration):
        return None, func
    if decoration.bare is None or getattr(func, "__func__", func) is not decoration.wrapper:
        return decoration.budget, func
    instance = getattr(func, "__self__", None)
    if instance is None:
        return decoration.budget, decoration.bare
    # As the wrapper calls it, with the instance first; a partial function would not bind itself.
    return decoration.budget, MethodType(decoration.bare, instance)


def measures(func: Callable[..., Any]) -> bool:
    """Whether an adapter has put a block around a function, so that another one need not."""
    decoration = getattr(func, BUDGET_ATTRIBUTE, None)
    return (
        isinstance(decoration, Decoration)
        and decoration.bare is None
        and getattr(func, "__func__", func) is decoration.wrapper
    )


Contexts: TypeAlias = Callable[[], Iterable[AbstractContextManager[Any]] | None]

# unittest leaves out the frames of modules with this name, as pytest those with __tracebackhide__:
# a traceback begins at the user's code.
__unittest = True


def run_in(
    contexts: Contexts,
    func: Callable[..., Any],
    check: Callable[[bool, Any], None] = lambda *_: None,
) -> Callable[..., Any]:
    """Return a function that calls ``func`` once in each of several contexts.

    Args:
        contexts: called for each call; one context manager for each time that ``func`` is to be
            called, whose last result is returned. None for a plain call.
        func: a ``def``, an ``async def``, or an object that can be called like one.
        check: called when a context has ended: with whether its call was awaited, and with the
            result, if that is not None.
    """
    if inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(
        getattr(func, "__call__", None)  # noqa: B004 - an object whose call is async
    ):

        @functools.wraps(func)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = _hide_unless_exceeded
            entered = contexts()
            if entered is None:
                return await func(*args, **kwargs)
            result = None
            for context in entered:
                result = None  # what an earlier call returned is let go of before the next one
                with context:
                    result = await func(*args, **kwargs)
                if result is not None:
                    check(True, result)
            return result

        return run_async

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = _hide_unless_exceeded
        entered = contexts()
        if entered is None:
            return func(*args, **kwargs)
        result = None
        for context in entered:
            result = None
            with context:
                result = func(*args, **kwargs)
            if result is not None:
                check(False, result)
        return result

    return run


def _hide_unless_exceeded(excinfo: Any) -> bool:
    """Leave our frame out of pytest's traceback, unless nothing would be left of it."""
    return not isinstance(excinfo.value, MemoryLimitExceeded)
