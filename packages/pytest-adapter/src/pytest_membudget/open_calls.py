"""Calls test functions whose work may continue after they have returned."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AbstractContextManager
from typing import Any

from membudget.runs import hide_unless_exceeded


class OpenCall:
    """Calls a test function in a context, which stays open until the work of the test is done.

    A function may return a generator or a Twisted Deferred for a plugin to run: pytest-twisted
    does so.

    Args:
        function: a ``def``.
        new_context: makes the context of a call.

    Attributes:
        function: call this in its place.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        new_context: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._new_context = new_context
        self._leave: Callable[..., object] | None = None
        self._returned: object = None

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = hide_unless_exceeded
            context = self._new_context()
            # No with statement: the context may stay open. As a with statement does, look up
            # __exit__ first, so that nothing is allocated between entering and leaving.
            leave = context.__exit__
            context.__enter__()
            try:
                returned = function(*args, **kwargs)
            except BaseException as raised:
                leave(type(raised), raised, raised.__traceback__)
                raise
            if returned is not None and _is_work_to_come(returned):
                self._leave, self._returned = leave, returned
                _when_fired(returned, self.end)
            else:
                leave(None, None, None)
            return returned

        self.function = call

    @property
    def has_never_run(self) -> bool:
        """Whether the function returned work that has not been run so far."""
        return self._leave is not None and not _has_run(self._returned)

    def end(self, raised: BaseException | None) -> None:
        """Leave the context if it is open: the test has ended."""
        __tracebackhide__ = hide_unless_exceeded
        leave = self._leave
        self._leave = self._returned = None
        if leave is None:
            return
        kind = None if raised is None else type(raised)
        leave(kind, raised, None if raised is None else raised.__traceback__)


def _when_fired(returned: Any, end: Callable[[BaseException | None], None]) -> None:
    """Leave the context as soon as a Twisted Deferred has its result.

    That happens in the greenlet that called the test function. pytest runs in another greenlet,
    and memray crashes if a tracker is stopped in a greenlet that did not start it.
    """
    if not hasattr(returned, "addCallbacks"):
        return

    def succeeded(result: object) -> object:
        end(None)
        return result

    def failed(failure: Any) -> Any:
        end(failure.value)
        return failure

    returned.addCallbacks(succeeded, failed)


def _is_work_to_come(returned: object) -> bool:
    generators = (Generator, AsyncGenerator)
    return isinstance(returned, generators) or inspect.isawaitable(returned)


def _has_run(returned: object) -> bool:
    """Whether the work that a test function returned has been run.

    True for other awaitables: pytest itself fails a test that returns one that no plugin runs.
    """
    match returned:
        case Coroutine():
            return getattr(returned, "cr_frame", None) is None
        case Generator():
            return getattr(returned, "gi_frame", None) is None
        case AsyncGenerator():
            return getattr(returned, "ag_frame", None) is None
    return True
