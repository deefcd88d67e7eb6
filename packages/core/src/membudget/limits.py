"""``limit_memory`` and ``measure_memory``: what users write.

Each is a context manager and a decorator of ``def`` and ``async def``.
"""

from __future__ import annotations

import linecache
import re
import sys
from types import FrameType

from .blocks import Block
from .errors import InvalidSizeError
from .model import Budget, Limit
from .sizes import parse_size


class measure_memory(Block):  # noqa: N801 - reads like the function that it is used as
    """Measure a block, as a context manager or as a decorator.

    Args:
        current_thread_only: count only what the thread that opens the block allocates.

    Example:
        >>> with measure_memory() as memory:
        ...     data = bytearray(100_000)
        >>> memory.peak_bytes >= 100_000
        True
    """

    def __init__(self, *, current_thread_only: bool = False) -> None:
        super().__init__(Budget((), current_thread_only))


class limit_memory(Block):  # noqa: N801
    """Limit the peak memory of a block, as a context manager or as a decorator.

    The block may use exactly the limit. What was allocated before the block does not count, in
    either direction; what blocks inside it allocate counts in both.

    Args:
        limit: the largest peak allowed, such as ``"24 MB"``, or an ``int`` of bytes; see
            :func:`membudget.parse_size`. 1 KB = 1 KiB = 1024 bytes.
        current_thread_only: count only what the thread that opens the block allocates.

    Raises:
        InvalidSizeError: at once, for a limit that is no size.
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

    _adapters_may_take_over = True

    def __init__(self, limit: str | int, *, current_thread_only: bool = False) -> None:
        try:
            budget = memory_budget(limit, current_thread_only=current_thread_only)
        except InvalidSizeError as error:
            raise InvalidSizeError(f"{_decorated(sys._getframe(1))}{error}") from None
        super().__init__(budget)


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
    limit: str | int, *, current_thread_only: bool = False, where: str = "limit_memory"
) -> Budget:
    """Return the budget that the arguments of ``limit_memory`` stand for.

    Args:
        limit, current_thread_only: see :class:`limit_memory`.
        where: where the limit was written; it begins the message of the error.

    Raises:
        InvalidSizeError: for a limit that is no size.
    """
    return Budget((Limit("peak_bytes", parse_size(limit, where=where)),), current_thread_only)
