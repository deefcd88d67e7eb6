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
        InvalidLimitError: at once, for a pattern that is none.

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
    """A limit that users write: a warning names it if it is never used."""

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

    The block may use exactly the limit. What was allocated before the block does not count, in
    either direction; what blocks inside it allocate counts in both. Each limit may be left out,
    not all of them.

    Args:
        limit: the largest peak allowed, such as ``"24 MB"``, or an ``int`` of bytes; see
            :func:`membudget.parse_size`. 1 KB = 1 KiB = 1024 bytes.
        total: how many bytes may be allocated in all, a size as well.
        allocations: how many allocations may be made, an ``int``.
        retained: how much of what the block allocated may still be alive at its end, a size.
        current_thread_only: count only what the thread that opens the block allocates.
        only: count only stacks that go through a module or a path, such as ``"mypkg.*"``, or one
            of several; see :mod:`membudget.stack_filter`.
        ignore: do not count stacks that go through a module or a path, or one of several.
        include: the phases of a test that count, such as ``"setup,call,teardown"``; for tests that
            an adapter runs, and ``"call"`` where nobody says.
        stable: count Python's objects instead of the arenas that they lie in, collect garbage
            around the block, and call a decorated function once before it is measured: the same
            work then gives the same figures. It costs time; see docs/guide.md.

    Raises:
        InvalidLimitError: at once, for a limit that is no size or no count, for no limit, or for a
            pattern or a phase that is none; when the block ends, for an ``only`` of which nothing
            is loaded.
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
    """Limit what single call stacks leave behind, as a context manager or as a decorator.

    Python's own objects are traced for it, and garbage is collected when the block ends. What is
    still alive then, allocated in the block, is summed by call stack.

    Args:
        location_limit: how much one stack may leave, such as ``"1 KB"``. Caches that fill in the
            first call are leaks to it: leave room, call once before, or filter.
        filter_fn: called with the :class:`membudget.Stack` of each stack that left more; those for
            which it returns something false do not count.
        current_thread_only: count only what the thread that opens the block allocates.

    Raises:
        InvalidLimitError: at once, for a limit that is no size, or a filter that cannot be called.
        MemoryLimitExceeded: when the block ends, see :class:`Block`.
        FilterError: when the block ends, and the filter raised something.

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
    """Limit what objects a block leaves behind to none, as a context manager or as a decorator.

    Garbage is collected when the block ends. What is alive then of the objects that were made in
    the block, in any thread, is summed up by type and by the stack that made it. What a decorated
    function returns is alive, and so are the variables of the function that has a ``with`` block.
    When the body raises something, nothing is said of objects: its traceback holds them.

    Args:
        filter_fn: called with each of the objects; those for which it returns something false do
            not count. Such as caches that fill in the first call.

    Raises:
        UnsupportedLimitError: at once, before CPython 3.13.3, which does not tell of objects; or
            without the reader in C. It is an InvalidLimitError.
        InvalidLimitError: at once, for a filter that cannot be called.
        MemoryLimitExceeded: when the block ends, see :class:`Block`.
        FilterError: when the block ends, and the filter raised something.
        MisuseError: when the block ends, and another one is open around it.
    """

    def __init__(self, *, filter_fn: Callable[[object], object] | None = None) -> None:
        try:
            budget = object_budget(filter_fn=filter_fn, origin=origin_of(_getframe(1)))
        except InvalidLimitError as error:
            raise type(error)(f"{_decorated(_getframe(1))}{error}") from None
        super().__init__(budget, _getframe(1))


def _decorated(frame: FrameType) -> str:
    """Name what a decorator that is being made stands above, for a message; empty if nothing."""
    for number in range(frame.f_lineno, frame.f_lineno + 20):
        line = linecache.getline(frame.f_code.co_filename, number)
        found = re.match(r"\s*(?:async\s+def|def|class)\s+(\w+)", line)
        if found:
            outer = frame.f_locals.get("__qualname__")  # in the body of a class
            return f"{outer}.{found[1]}: " if outer else f"{found[1]}: "
        if number == frame.f_lineno and not line.lstrip().startswith("@"):
            break
    return ""
