"""``limit_memory`` and ``measure_memory``: what users write.

Each is a context manager and a decorator of ``def`` and ``async def``.
"""

from __future__ import annotations

from .blocks import Block
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
        super().__init__(memory_budget(limit, current_thread_only=current_thread_only))


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
