"""The data of a measured block: what was observed, what was allowed, and what follows.

Frozen and plain: nothing here needs memray, so reports and tests can make these by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from .errors import InvalidLimitError

Figure: TypeAlias = Literal["peak_bytes", "total_bytes", "n_allocations", "retained_bytes"]
"""The name of a figure of :class:`Measurement` that can be limited."""


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
    """

    size_bytes: int
    n_allocations: int
    stack: tuple[Frame, ...]


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
    """

    peak_bytes: int
    total_bytes: int
    n_allocations: int
    retained_bytes: int
    size_histogram: tuple[int, ...] = ()
    allocations: tuple[Allocation, ...] = ()
    retained: tuple[Allocation, ...] = ()


@dataclass(frozen=True, slots=True)
class Limit:
    """One threshold: a figure may be at most ``maximum``."""

    figure: Figure
    maximum: int


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack trace, as filters get it.

    Attributes:
        frames: innermost frame first.
    """

    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class LeakLimit:
    """How much one stack may have allocated that is still alive at the end of the block.

    Attributes:
        maximum: in bytes.
        filter_fn: whether a stack counts; None where all of them do.
    """

    maximum: int
    filter_fn: Callable[[Stack], object] | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits that hold for one block.

    Attributes:
        limits: at most one for each figure; none means that the block is only measured.
        current_thread_only: count only what the thread that opened the block allocates.
        leaks: the limit on what single stacks leave behind; None for none.
    """

    limits: tuple[Limit, ...] = ()
    current_thread_only: bool = False
    leaks: LeakLimit | None = None

    @property
    def limits_anything(self) -> bool:
        """Whether a block can exceed it."""
        return bool(self.limits) or self.leaks is not None

    def limit_of(self, figure: Figure) -> Limit | None:
        """Return the limit on ``figure``, or None."""
        return next((limit for limit in self.limits if limit.figure == figure), None)

    def within(self, outer: Budget) -> Budget:
        """Return this budget, with the limits of ``outer`` on figures that it says nothing about.

        Raises:
            InvalidLimitError: the two count different threads, and limits of both would hold.

        Example:
            >>> closest = Budget((Limit("peak_bytes", 10),))
            >>> outer = Budget((Limit("peak_bytes", 99), Limit("total_bytes", 50)))
            >>> [limit.maximum for limit in closest.within(outer).limits]
            [10, 50]
        """
        if not self.limits_anything:
            return outer
        added = outer.without(self)
        if not added.limits_anything:
            return self
        if self.current_thread_only != outer.current_thread_only:
            raise InvalidLimitError(
                "one limit counts the memory of all threads and one that of its own thread "
                "(current_thread_only), and a block is measured once: give both the same"
            )
        limits = (*self.limits, *added.limits)
        return replace(self, limits=limits, leaks=self.leaks or added.leaks)

    def without(self, other: Budget) -> Budget:
        """Return this budget without limits on what ``other`` limits."""
        figures = {limit.figure for limit in other.limits}
        kept = tuple(limit for limit in self.limits if limit.figure not in figures)
        return replace(self, limits=kept, leaks=self.leaks if other.leaks is None else None)

    def or_default(self, default: Budget) -> Budget:
        """Return this budget within a default, which counts the threads that this one counts."""
        return self.within(replace(default, current_thread_only=self.current_thread_only))


@dataclass(frozen=True, slots=True)
class Marks:
    """What is written at a test, its class or its module about its memory.

    Attributes:
        budget: that of the closest limit; None where there is none.
        waiver: the reason for which limits from further out do not count; None where they do.
        measured: whether the test may be measured at all.
    """

    budget: Budget | None = None
    waiver: str | None = None
    measured: bool = True


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """What a recording traces besides allocations and their Python stacks.

    Attributes:
        native_traces: the native stacks of allocations as well; changes no figure.
        trace_python_allocators: every object that Python's own allocators hand out, instead of the
            arenas that they take from the system.
    """

    native_traces: bool = False
    trace_python_allocators: bool = False


@dataclass(frozen=True, slots=True)
class Excess:
    """A limit that was exceeded, and by what."""

    limit: Limit
    measured: int

    @property
    def over(self) -> int:
        """By how much the limit was exceeded."""
        return self.measured - self.limit.maximum


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a budget says to a measurement.

    Attributes:
        budget: the budget.
        excesses: the limits that were exceeded.
        leaks: what was alive at the end, of the stacks that left more than they may.
    """

    budget: Budget
    excesses: tuple[Excess, ...] = ()
    leaks: tuple[Allocation, ...] = ()

    @property
    def within(self) -> bool:
        """Whether every limit holds."""
        return not self.excesses and not self.leaks


@dataclass(frozen=True, slots=True)
class Result:
    """One measured block with the name under which a report shows it."""

    name: str
    measurement: Measurement
    verdict: Verdict
