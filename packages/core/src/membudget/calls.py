"""Functions whose calls run in context managers: what is common to ``def`` and ``async def``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

from .verdict import MemoryLimitExceeded

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
