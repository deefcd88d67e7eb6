"""``limit_memory``, ``limit_leaks`` and ``measure_memory``: what users write.

Each is a context manager and a decorator of ``def`` and ``async def``.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable
from sys import _getframe
from types import FrameType

from .block import Block
from .budget import Budget
from .budget_arguments import Patterns, _scope, leak_budget, memory_budget, object_budget
from .decorating import Decorator, F
from .errors import InvalidLimitError
from .host.origins import origin_of
from .measurement import Stack


class _Written(Block):
    """What users write: a block that is also a decorator."""

    def __call__(self, func: F) -> F:
        """Decorate a function, see :class:`membudget.decorating.Decorator`."""
        name = type(self).__name__
        return Decorator(self.budget, name)(func)


class measure_memory(_Written):  # noqa: N801 - reads like the function that it is used as
    """Measure a block, as a context manager or as a decorator.

    Args:
        current_thread_only, only, ignore, stable: what counts, see :class:`limit_memory`.

    Raises:
        InvalidLimitError: at once, for an invalid pattern.

    Example:
        >>> with measure_memory() as memory:
        ...     data = bytearray(100_000)
        >>> memory.peak_bytes >= 100_000
        True
    """

    def __init__(
        self,
        *,
        current_thread_only: bool = False,
        only: Patterns = None,
        ignore: Patterns = None,
        stable: bool | None = None,
    ) -> None:
        scope = _scope(
            "measure_memory",
            current_thread_only=current_thread_only,
            only=only,
            ignore=ignore,
            stable=stable,
        )
        super().__init__(Budget((), scope), for_user=True)


class _WrittenLimit(_Written):
    """Base of the limits that users write: warns if one is never used."""

    def __init__(self, budget: Budget, frame: FrameType) -> None:
        place = frame.f_code.co_filename, frame.f_lineno
        super().__init__(budget, for_user=True, place=place)
        self._watch()

    def __call__(self, func: F) -> F:
        """Decorate a function, see :class:`membudget.decorating.Decorator`."""
        self._counts_as_used()
        name = type(self).__name__
        return Decorator(self.budget, name, self.place, adapters_may_take_over=True)(func)


class limit_memory(_WrittenLimit):  # noqa: N801
    """Limit the memory of a block, as a context manager or as a decorator.

    The block may use exactly the limit. Memory allocated before the block is ignored, and freeing
    it does not lower the figure. What an inner block allocates counts in the outer block too. At
    least one of the limits must be given.

    Args:
        limit: the largest peak allowed, such as ``"24 MB"``, or an ``int`` of bytes; see
            :func:`membudget.parse_size`. 1 KB = 1 KiB = 1024 bytes.
        total: the largest total of all allocations, a size.
        allocations: the largest number of allocations, an ``int``.
        retained: how much memory of the block may still be alive at its end, a size.
        current_thread_only: count only what the thread that opens the block allocates.
        only: count only stacks with a frame in a module or a path, such as ``"mypkg.*"``, or in one
            of a list; see :mod:`membudget.stack_filter`.
        ignore: do not count stacks with a frame in a module or a path, or in one of a list.
        include: the phases of a test that count, such as ``"setup,call,teardown"``, if an adapter
            runs the test; ``"call"`` by default.
        stable: count Python's objects instead of arenas, collect garbage around the block, and
            call a decorated function once before it is measured, so that the same work gives the
            same figures. It costs time; see docs/stable.md.

    Raises:
        InvalidLimitError: at once, for an invalid size, count, pattern or phase, or if no limit is
            given; when the block ends, if no code that ``only`` names is loaded.
        MemoryLimitExceeded: when the block ends, see :class:`Block`.

    Example:
        >>> with limit_memory("1 MB") as memory:
        ...     data = bytearray(100_000)
        >>> memory.retained_bytes >= 100_000
        True
        >>> @limit_memory("1 MB")
        ... def load():
        ...     return bytearray(100_000)
        >>> len(load())
        100000
    """

    def __init__(
        self,
        limit: str | int | None = None,
        *,
        total: str | int | None = None,
        allocations: int | None = None,
        retained: str | int | None = None,
        current_thread_only: bool = False,
        only: Patterns = None,
        ignore: Patterns = None,
        include: str | None = None,
        stable: bool | None = None,
    ) -> None:
        try:
            budget = memory_budget(
                limit,
                total=total,
                allocations=allocations,
                retained=retained,
                current_thread_only=current_thread_only,
                only=only,
                ignore=ignore,
                include=include,
                stable=stable,
                origin=origin_of(_getframe(1)),
            )
        except InvalidLimitError as error:
            raise type(error)(f"{_decorated(_getframe(1))}{error}") from None
        super().__init__(budget, _getframe(1))


class limit_leaks(_WrittenLimit):  # noqa: N801
    """Limit what each call stack leaks, as a context manager or as a decorator.

    Python's own objects are traced, and garbage is collected when the block ends. Memory of the
    block that is still alive then is summed by call stack.

    Args:
        location_limit: how much one stack may retain, such as ``"1 KB"``. Caches that fill during
            the first call look like leaks: leave room, call the code once before, or filter.
        filter_fn: called with the :class:`membudget.Stack` of each stack that retained more. The
            stack does not count if it returns something false.
        current_thread_only: count only what the thread that opens the block allocates.

    Raises:
        InvalidLimitError: at once, for an invalid size, or a filter that is not callable.
        MemoryLimitExceeded: when the block ends, see :class:`Block`.
        FilterError: when the block ends, if the filter raised an exception.

    Example:
        >>> kept = []
        >>> with limit_leaks("1 MB"):
        ...     kept.append(bytearray(1000))
    """

    def __init__(
        self,
        location_limit: str | int,
        *,
        filter_fn: Callable[[Stack], object] | None = None,
        current_thread_only: bool = False,
    ) -> None:
        try:
            budget = leak_budget(
                location_limit,
                filter_fn=filter_fn,
                current_thread_only=current_thread_only,
                origin=origin_of(_getframe(1)),
            )
        except InvalidLimitError as error:
            raise type(error)(f"{_decorated(_getframe(1))}{error}") from None
        super().__init__(budget, _getframe(1))


class limit_leaked_objects(_WrittenLimit):  # noqa: N801
    """Forbid leaked objects, as a context manager or as a decorator.

    Garbage is collected when the block ends. Objects that any thread made in the block and that
    are alive then are counted by type and by the stack that made them. The return value of a
    decorated function is still alive, and so are the variables of a function with a ``with`` block.
    If the body raises, leaked objects are not checked, because the traceback keeps them alive.

    Args:
        filter_fn: called with each of the objects. The object does not count if it returns
            something false; use it for caches that fill during the first call.

    Raises:
        UnsupportedLimitError: at once, before CPython 3.13.3, which does not report objects, or
            without the reader in C. It is an InvalidLimitError.
        InvalidLimitError: at once, for a filter that is not callable.
        MemoryLimitExceeded: when the block ends, see :class:`Block`.
        FilterError: when the block ends, if the filter raised an exception.
        MisuseError: when the block ends, if another block is open around it.
    """

    def __init__(self, *, filter_fn: Callable[[object], object] | None = None) -> None:
        try:
            budget = object_budget(filter_fn=filter_fn, origin=origin_of(_getframe(1)))
        except InvalidLimitError as error:
            raise type(error)(f"{_decorated(_getframe(1))}{error}") from None
        super().__init__(budget, _getframe(1))


def _decorated(frame: FrameType) -> str:
    """Return the name of the function or class below a decorator, for a message; or nothing."""
    # A wrong limit of a test is an error of its whole module, and the summary of a test framework
    # has only the message. A decorator knows its function only when it is called with it, which
    # never happens here, so the name is read from the source.
    for number in range(frame.f_lineno, frame.f_lineno + 20):
        line = linecache.getline(frame.f_code.co_filename, number)
        found = re.match(r"\s*(?:async\s+def|def|class)\s+(\w+)", line)
        if found:
            outer = frame.f_locals.get("__qualname__")  # in the body of a class
            return f"{outer}.{found[1]}: " if outer else f"{found[1]}: "
        if number == frame.f_lineno and not line.lstrip().startswith("@"):
            break
    return ""
