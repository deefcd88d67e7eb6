"""What was observed in a block: figures, and the stacks behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Figure: TypeAlias = Literal["peak_bytes", "total_bytes", "n_allocations", "retained_bytes"]
"""The name of a figure of :class:`Measurement` that can be limited."""


ARENA_BYTES: Final = 1 << 20
"""What CPython maps for small objects at a time (ARENA_BITS in its Objects/obmalloc.c)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of a stack trace."""

    function: str
    filename: str
    lineno: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """Memory alive at the high watermark of a block that came from one stack.

    Attributes:
        size_bytes: how much of it was alive at the peak.
        n_allocations: in how many allocations.
        stack: the Python stack trace, innermost frame first, beginning at the block. Empty where
            no Python code was running.
        other_threads_bytes: how much of it other threads allocated than the one of the block.
        other_tasks_bytes: how much of it something else allocated that ran in the event loop of the
            block, as far as stacks show that.
        arena_bytes: how much of it is arenas: Python takes them for its small objects, when one
            more does not fit into those that it has.
    """

    size_bytes: int
    n_allocations: int
    stack: tuple[Frame, ...]
    other_threads_bytes: int = 0
    other_tasks_bytes: int = 0
    arena_bytes: int = 0


def type_name(each: object) -> str:
    """Return the name of an object's type as reports show it: with its module, if not built in."""
    kind = type(each)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


@dataclass(frozen=True, slots=True)
class LeakedObjects:
    """Objects of one type, made by one stack of a block, that were alive at its end.

    Attributes:
        type_name: the type, with its module.
        n_objects: how many.
        stack: where they were made, innermost frame first; empty where no Python code was running.
        example: what one of them looks like, cut to a line.
    """

    type_name: str
    n_objects: int
    stack: tuple[Frame, ...]
    example: str


@dataclass(frozen=True, slots=True)
class Unseen:
    """Memory that was taken during a block and that its figures do not count.

    Attributes:
        library: the library that took it from an allocator of its own; empty where all that is
            known is that the process grew.
        size_bytes: how much at most; None where nothing tells.
    """

    library: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was observed in one block.

    Attributes:
        peak_bytes: the largest number of bytes alive at one time that the block allocated.
        total_bytes: all bytes that the block ever allocated.
        n_allocations: how many allocations it made; a free is no allocation.
        retained_bytes: allocated in the block and still alive at its end.
        size_histogram: how many allocations had each magnitude: item ``i`` counts the sizes
            from ``2**(i-1)`` to ``2**i - 1`` bytes, item 0 the allocations of zero bytes.
        allocations: what was alive at the peak, by stack, largest first; recorded for a block
            that exceeded its budget or makes a report, empty for any other.
        retained: what was still alive at the end, likewise; recorded for a block that exceeded a
            limit on ``retained_bytes``, and for one whose budget limits leaks.
        leaked_objects: the objects that the block made and that are alive, most first; of a block
            whose budget limits them, and those that its filter lets through.
        stacks_problem: why ``allocations`` and ``retained`` are not there although they should be;
            empty where nothing is missing.
        unmatched: the patterns of ``only`` and ``ignore`` that matched no stack, as
            ``only='mypkg'``.
        lost_stacks: whether memory has no stack because the program replaced Python's profile
            function, through which memray follows stacks; known for what has its allocations here,
            and for a block with patterns.
        unseen: memory that memray cannot see and that the figures do not count, as far as there
            are signs of any.
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


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack trace, as filters get it.

    Attributes:
        frames: innermost frame first.
    """

    frames: tuple[Frame, ...]
