"""``MemoryTestCase``: a ``TestCase`` with a memory limit and an assertion about memory."""

from __future__ import annotations

import functools
import inspect
import sys
import unittest
from collections.abc import Callable, Iterable
from types import CoroutineType
from typing import Any, TypeVar, overload

from membudget import Measurement, MisuseError, Verdict
from membudget.runs import Block, Decorator, exceeded_message, memory_budget, origin_of

from ._private import message_of
from .measuring import measured, request_of_the_class
from .rules import LIMIT_ATTRIBUTE, written_budget

# unittest leaves out the frames of modules with this name from tracebacks.
__unittest = True

T = TypeVar("T")


class AssertedLimit(Block):
    """What ``assertMemoryLimit`` returns: a block of a test, to be used with ``with``."""

    was_entered = False

    def _enter(self) -> None:
        self.was_entered = True
        super()._enter()


class MemoryTestMixin:
    """Adds the features of :class:`MemoryTestCase` to another ``TestCase`` base class.

    List it before the base class: ``class LoadTest(MemoryTestMixin, MyTestCase)``.
    """

    memory_limit: str | int | None = None
    """The largest peak memory of each test method of the class, such as ``"24 MB"`` or an ``int``
    of bytes; None for no limit. ``setUp`` and ``tearDown`` do not count. A limit on the method
    itself overrides it."""

    _membudget_runs_measured = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        bases = cls.__mro__
        if unittest.TestCase in bases and (
            bases.index(unittest.TestCase) < bases.index(MemoryTestMixin)
        ):
            raise TypeError(
                f"class {cls.__qualname__}: MemoryTestMixin comes after TestCase in its base "
                f"classes, so no limit would be enforced: list MemoryTestMixin first"
            )
        # Report a wrong limit when the class is created, not when its tests run.
        written_budget(cls, vars(cls).get(LIMIT_ATTRIBUTE))

    def __setattr__(self, name: str, value: object) -> None:
        if name == LIMIT_ATTRIBUTE:
            raise AttributeError(
                f"{type(self).__qualname__}.{name} cannot be set on a test, because it is read "
                f"before setUp: set it on the class, or use assertMemoryLimit"
            )
        super().__setattr__(name, value)

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run the test as ``TestCase.run`` does, with its method in a block."""
        assert isinstance(self, unittest.TestCase)
        with measured(self, request_of_the_class(self)):
            return super().run(result)  # type: ignore[misc, no-any-return]

    @overload
    def assertMemoryLimit(
        self,
        limit: str | int | None = None,
        /,
        *,
        total: str | int | None = ...,
        allocations: int | None = ...,
        retained: str | int | None = ...,
        current_thread_only: bool = ...,
        only: str | Iterable[str] | None = ...,
        ignore: str | Iterable[str] | None = ...,
        stable: bool | None = ...,
        msg: object = ...,
    ) -> AssertedLimit: ...
    @overload
    def assertMemoryLimit(
        self, limit: str | int, callable: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> T: ...
    def assertMemoryLimit(  # noqa: N802 - unittest's own style
        self,
        limit: str | int | None = None,
        callable: Callable[..., Any] | None = None,  # noqa: A002 - as assertRaises calls it
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Fail the test when a block, or the call of a callable, exceeds ``limit``.

        Args:
            limit: the largest peak allowed, such as ``"10 MB"``. With the context manager, also
                ``total=``, ``allocations=``, ``retained=``, ``only=``, ``ignore=`` and ``stable=``,
                as ``membudget.limit_memory`` has them.
            callable: called with ``args`` and ``kwargs``; await the result of an ``async def``.
                Without a callable, a context manager is returned. A test that never awaits the
                result, or never enters the context manager, ends with a MisuseError.
            current_thread_only: with the context manager: count only what this thread allocates.
            msg: with the context manager: added to the message of a failure, as in the other
                assertions of unittest.

        Returns:
            The return value of the callable, or the context manager.

        Raises:
            InvalidLimitError: immediately, for an invalid limit.
            MemoryLimitExceeded: when the block ends; an ``AssertionError``.

        Example:
            >>> case = MemoryTestCase()
            >>> with case.assertMemoryLimit("1 MB") as memory:
            ...     data = bytearray(100_000)
            >>> memory.peak_bytes >= 100_000
            True
            >>> case.assertMemoryLimit("1 MB", len, bytearray(100_000))
            100000
        """
        assert isinstance(self, unittest.TestCase)
        origin = origin_of(sys._getframe(1))
        if callable is not None:
            budget = memory_budget(limit, where="assertMemoryLimit", origin=origin)
            call = Decorator(budget, written_as="self.assertMemoryLimit")
            returned = call(_function_of(callable))(*args, **kwargs)
            if inspect.iscoroutine(returned):
                self.addCleanup(_check_awaited, returned)
            return returned
        return self._asserted_limit(limit, origin, **kwargs)

    def _asserted_limit(
        self, limit: str | int | None, origin: str, *, msg: object = None, **limits: Any
    ) -> AssertedLimit:
        assert isinstance(self, unittest.TestCase)
        budget = memory_budget(limit, **limits, where="assertMemoryLimit", origin=origin)
        block = AssertedLimit(budget, for_user=True, message=functools.partial(_message, self, msg))
        self.addCleanup(_check_entered, block)
        return block


class MemoryTestCase(MemoryTestMixin, unittest.TestCase):
    """A ``TestCase`` with a memory limit and an assertion about memory.

    Example:
        >>> class LoadTest(MemoryTestCase):
        ...     memory_limit = "24 MB"
        ...     def test_load(self):
        ...         with self.assertMemoryLimit("10 MB") as memory:
        ...             data = bytearray(1000)
        ...         self.assertLess(memory.retained_bytes, 5000)
    """


def _message(
    test: unittest.TestCase, msg: Any, subject: str, measurement: Measurement, verdict: Verdict
) -> str:
    """Put the user's ``msg`` where unittest puts it, in the first line."""
    line, *details = exceeded_message(subject, measurement, verdict).splitlines()
    return "\n".join([message_of(test, msg, line), *details])


def _function_of(callable: Callable[..., Any]) -> Callable[..., Any]:  # noqa: A002
    """Wrap a class in a function, so that the limit applies to its call and not to its tests."""
    if not isinstance(callable, type):
        return callable

    @functools.wraps(callable, updated=())
    def make(*args: Any, **kwargs: Any) -> Any:
        return callable(*args, **kwargs)

    return make


def _check_awaited(coroutine: CoroutineType[Any, Any, Any]) -> None:
    if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
        coroutine.close()
        raise MisuseError(
            "assertMemoryLimit() measured nothing, because its callable is an async def and was "
            "never awaited: await the result, in an IsolatedAsyncioTestCase"
        )


def _check_entered(block: AssertedLimit) -> None:
    if not block.was_entered:
        raise MisuseError(
            "assertMemoryLimit() measured nothing: use it in a with statement, or pass it a "
            "callable"
        )
