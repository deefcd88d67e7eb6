"""What was observed in a block: its figures, and the stacks that allocated the memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Figure: TypeAlias = Literal["peak_bytes", "total_bytes", "n_allocations", "retained_bytes"]
"""The name of a figure of :class:`Measurement` that can be limited."""


ARENA_BYTES: Final = 1 << 20
"""The size of an arena, in which CPython keeps small objects (ARENA_BITS in Objects/obmalloc.c)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of a stack trace."""

    function: str
    filename: str
    lineno: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """Memory that one stack allocated, and that was alive at the peak or the end of a block.

    Attributes:
        size_bytes: how many bytes were alive.
        n_allocations: in how many allocations.
        stack: the Python stack trace, innermost frame first, up to the block. Empty if no Python
            code was running.
        other_threads_bytes: how much of it was allocated by other threads than that of the block.
        other_tasks_bytes: how much of it was allocated by other tasks or callbacks in the event
            loop of the block, as far as stacks show that.
        arena_bytes: how much of it is arenas. Python maps a new arena when a small object does not
            fit into the existing ones.
    """

    size_bytes: int
    n_allocations: int
    stack: tuple[Frame, ...]
    other_threads_bytes: int = 0
    other_tasks_bytes: int = 0
    arena_bytes: int = 0


def type_name(each: object) -> str:
    """Return the name of an object's type as reports show it: with its module, unless built in."""
    kind = type(each)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


@dataclass(frozen=True, slots=True)
class LeakedObjects:
    """Objects of one type that one stack of a block made, and that were alive at its end.

    Attributes:
        type_name: the type, with its module.
        n_objects: how many.
        stack: where they were made, innermost frame first; empty if no Python code was running.
        example: the representation of one of them, cut to a line.
    """

    type_name: str
    n_objects: int
    stack: tuple[Frame, ...]
    example: str


@dataclass(frozen=True, slots=True)
class Unseen:
    """Memory that was allocated during a block, but is not in its figures.

    Attributes:
        library: the library whose own allocator provided it; empty if it is only known that the
            process grew.
        size_bytes: the most that it can be; None if that is unknown.
    """

    library: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Curve:
    """How much memory a block had over time. It begins at the start of the block.

    It is accurate to some 20 milliseconds: the thread that scans long blocks notes the time that
    often.

    Attributes:
        bucket_ms: the length of a stretch of time, in milliseconds.
        maxima: the largest number of bytes that was alive in each stretch, at most 120 of them.
            The largest of all is ``peak_bytes``.
    """

    bucket_ms: int
    maxima: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was observed in one block.

    Attributes:
        peak_bytes: the largest number of bytes allocated by the block that were alive at one time.
        total_bytes: all bytes that the block ever allocated.
        n_allocations: how many allocations it made; a free does not count.
        retained_bytes: bytes allocated in the block and still alive at its end.
        size_histogram: how many allocations had each magnitude: item ``i`` counts the sizes
            from ``2**(i-1)`` to ``2**i - 1`` bytes, item 0 the allocations of zero bytes.
        allocations: what was alive at the peak, by stack, largest first. Empty unless the block
            exceeded its budget or is shown in a report.
        retained: what was still alive at the end, by stack, largest first. Empty unless the block
            exceeded a limit on ``retained_bytes`` or its budget limits leaks.
        leaked_objects: the objects that the block made and that are still alive, the most frequent
            first. Empty unless the budget limits them; only objects that its filter keeps.
        stacks_problem: why ``allocations`` and ``retained`` are missing; empty if nothing is
            missing.
        unmatched: the patterns of ``only`` and ``ignore`` that matched no stack, as
            ``only='mypkg'``.
        lost_stacks: whether memory has no stack because the program replaced Python's profile
            function, which memray needs to follow stacks. Known only if ``allocations`` is set, or
            the block has patterns.
        unseen: signs of memory that memray did not see and that the figures do not count.
        curve: how much was alive over time. None unless ``allocations`` is set; None as well for
            a block of less than some 20 milliseconds, and where no thread scans long blocks. Not
            compared.
    """

    peak_bytes: int
    total_bytes: int
    n_allocations: int
    retained_bytes: int
    size_histogram: tuple[int, ...] = ()
    allocations: tuple[Allocation, ...] = ()
    retained: tuple[Allocation, ...] = ()
    leaked_objects: tuple[LeakedObjects, ...] = ()
    stacks_problem: str = ""
    unmatched: tuple[str, ...] = ()
    lost_stacks: bool = False
    unseen: tuple[Unseen, ...] = ()
    curve: Curve | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack trace, the argument of filters.

    Attributes:
        frames: innermost frame first.
    """

    frames: tuple[Frame, ...]
