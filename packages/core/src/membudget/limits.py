"""``limit_memory``, ``limit_leaks`` and ``measure_memory``: what users write.

Each is a context manager and a decorator of ``def`` and ``async def``.
"""

from __future__ import annotations

import linecache
import re
import sys
from collections.abc import Callable, Iterable
from sys import _getframe
from types import FrameType
from typing import Final, TypeAlias, cast

from .blocks import Block, F
from .errors import InvalidLimitError, UnsupportedLimitError
from .model import Budget, Figure, LeakLimit, Limit, ObjectLimit, Scope, Stack
from .origins import origin_of
from .patterns import check_patterns
from .phases import parse_phases
from .recording.platform import runs_here
from .recording.scanner import scanner_problem
from .sizes import parse_size
from .unused_limits import watch

Patterns: TypeAlias = str | Iterable[str] | None
OLDEST_PYTHON_WITH_OBJECTS: Final = (3, 13, 3)
"""From memray's documentation of ``Tracker(track_object_lifetimes=True)``."""


class measure_memory(Block):  # noqa: N801 - reads like the function that it is used as
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

    _written_as = "measure_memory"

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
        super().__init__(Budget((), scope))


class _WrittenLimit(Block):
    """What the limits have in common that users write: somebody notices when one is never used."""

    _adapters_may_take_over = True

    def __call__(self, func: F) -> F:
        """Decorate a function, see :class:`Block`."""
        self._counts_as_used()
        return super().__call__(func)


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
            of several; see :mod:`membudget.patterns`.
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
        super().__init__(budget)
        self._watched = watch(self, _getframe(1))


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

    _written_as = "limit_leaks"

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
        super().__init__(budget)
        self._watched = watch(self, _getframe(1))


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

    _written_as = "limit_leaked_objects"

    def __init__(self, *, filter_fn: Callable[[object], object] | None = None) -> None:
        try:
            budget = object_budget(filter_fn=filter_fn, origin=origin_of(_getframe(1)))
        except InvalidLimitError as error:
            raise type(error)(f"{_decorated(_getframe(1))}{error}") from None
        super().__init__(budget)
        self._watched = watch(self, _getframe(1))


def object_budget(
    *,
    filter_fn: Callable[[object], object] | None = None,
    where: str = "limit_leaked_objects",
    origin: str = "",
) -> Budget:
    """Return the budget that the arguments of ``limit_leaked_objects`` stand for.

    Args:
        filter_fn: see :class:`limit_leaked_objects`.
        where: what the limit was written with; it begins the message of the error.
        origin: where the limit was written, see :class:`Limit`.

    Raises:
        InvalidLimitError: for a filter that cannot be called, or where objects cannot be tracked.
    """
    if filter_fn is not None and not callable(filter_fn):
        raise InvalidLimitError(f"{where}, filter_fn: {filter_fn!r} cannot be called")
    if runs_here() and sys.version_info < OLDEST_PYTHON_WITH_OBJECTS:
        wanted = ".".join(map(str, OLDEST_PYTHON_WITH_OBJECTS))
        version = ".".join(map(str, sys.version_info[:3]))
        raise UnsupportedLimitError(
            f"{where}: only CPython {wanted} and later say which objects are made and destroyed, "
            f"and this is {version}"
        )
    problem = scanner_problem() if runs_here() else None
    if problem is not None:
        raise UnsupportedLimitError(f"{where}: objects are read in C, and {problem}")
    return Budget(objects=ObjectLimit(filter_fn, origin))


def leak_budget(
    location_limit: str | int,
    *,
    filter_fn: Callable[[Stack], object] | None = None,
    current_thread_only: bool = False,
    where: str = "limit_leaks",
    origin: str = "",
) -> Budget:
    """Return the budget that the arguments of ``limit_leaks`` stand for.

    Args:
        location_limit, filter_fn, current_thread_only: see :class:`limit_leaks`.
        where: what the limit was written with; it begins the message of the error.
        origin: where the limit was written, see :class:`Limit`.

    Raises:
        InvalidLimitError: for a limit that is no size, or a filter that cannot be called.
    """
    if filter_fn is not None and not callable(filter_fn):
        raise InvalidLimitError(f"{where}, filter_fn: {filter_fn!r} cannot be called")
    leaks = LeakLimit(parse_size(location_limit, where=where), filter_fn, origin)
    return Budget((), _scope(where, current_thread_only=current_thread_only), leaks)


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


def memory_budget(
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
    where: str = "limit_memory",
    origin: str = "",
) -> Budget:
    """Return the budget that the arguments of ``limit_memory`` stand for.

    Args:
        limit, total, allocations, retained, current_thread_only, only, ignore, include, stable:
            see :class:`limit_memory`.
        where: what the limit was written with; it begins the message of the error.
        origin: where the limit was written, see :class:`Limit`.

    Raises:
        InvalidLimitError: for a limit that is no size or no count, for no limit at all, or for a
            pattern or a phase that is none.
    """
    limits: list[Limit] = []
    for name, figure, size in (
        ("", "peak_bytes", limit),
        (", total", "total_bytes", total),
        (", retained", "retained_bytes", retained),
    ):
        if size is not None:
            maximum = parse_size(size, where=f"{where}{name}")
            limits.append(Limit(cast(Figure, figure), maximum, origin))
    if allocations is not None:
        if not isinstance(allocations, int) or isinstance(allocations, bool) or allocations < 0:
            raise InvalidLimitError(
                f"{where}, allocations: {allocations!r} is not a count: write an int, 0 or more"
            )
        limits.append(Limit("n_allocations", int(allocations), origin))
    if not limits:
        raise InvalidLimitError(
            f"{where}: say what is limited: a size for the peak, or total=, allocations= or "
            f"retained="
        )
    scope = _scope(
        where,
        current_thread_only=current_thread_only,
        only=only,
        ignore=ignore,
        include=include,
        stable=stable,
    )
    return Budget(tuple(limits), scope)


def _scope(
    where: str,
    *,
    current_thread_only: bool,
    only: Patterns = None,
    ignore: Patterns = None,
    include: str | None = None,
    stable: bool | None = None,
) -> Scope:
    for name, switch in (("current_thread_only", current_thread_only), ("stable", stable)):
        if not isinstance(switch, bool | None) or (switch is None and name != "stable"):
            raise InvalidLimitError(f"{where}, {name}: {switch!r} is neither True nor False")
    return Scope(
        current_thread_only,
        () if only is None else check_patterns(only, where=f"{where}, only"),
        () if ignore is None else check_patterns(ignore, where=f"{where}, ignore"),
        () if include is None else parse_phases(include, where=f"{where}, include"),
        stable,
    )
