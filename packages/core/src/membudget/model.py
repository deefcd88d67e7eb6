"""The data of a measured block: what was observed, what was allowed, and what follows.

Frozen and plain: nothing here needs memray, so reports and tests can make these by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Literal, TypeAlias

from .errors import InvalidLimitError
from .phases import Phase

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
        other_threads_bytes: how much of it other threads allocated than the one of the block.
        other_tasks_bytes: how much of it something else allocated that ran in the event loop of the
            block, as far as stacks show that.
    """

    size_bytes: int
    n_allocations: int
    stack: tuple[Frame, ...]
    other_threads_bytes: int = 0
    other_tasks_bytes: int = 0


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
    """

    peak_bytes: int
    total_bytes: int
    n_allocations: int
    retained_bytes: int
    size_histogram: tuple[int, ...] = ()
    allocations: tuple[Allocation, ...] = ()
    retained: tuple[Allocation, ...] = ()
    leaked_objects: tuple[LeakedObjects, ...] = ()


@dataclass(frozen=True, slots=True)
class Limit:
    """One threshold: a figure may be at most ``maximum``.

    Attributes:
        figure: which one.
        maximum: in bytes; a count, for ``n_allocations``.
        origin: where the limit is written, such as ``"tests/test_orders.py:12"``; empty if unknown.
    """

    figure: Figure
    maximum: int
    origin: str = field(default="", compare=False)


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
        origin: where the limit is written; empty if unknown.
    """

    maximum: int
    filter_fn: Callable[[Stack], object] | None = None
    origin: str = field(default="", compare=False)

    def __reduce__(self) -> tuple[type[LeakLimit], tuple[int, None, str]]:
        # A filter is code of its process, and often cannot be pickled.
        return LeakLimit, (self.maximum, None, self.origin)


@dataclass(frozen=True, slots=True)
class ObjectLimit:
    """That no object may be alive at the end of the block that was made in it.

    Attributes:
        filter_fn: whether an object counts; None where all of them do.
        origin: where the limit is written; empty if unknown.
    """

    filter_fn: Callable[[object], object] | None = None
    origin: str = field(default="", compare=False)

    def __reduce__(self) -> tuple[type[ObjectLimit], tuple[None, str]]:
        return ObjectLimit, (None, self.origin)


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a block counts, and how it is counted.

    Attributes:
        current_thread_only: count only what the thread that opened the block allocates.
        only: patterns (see :mod:`membudget.patterns`); count only stacks with a frame that one of
            them matches. Empty for all stacks.
        ignore: patterns; do not count stacks with a frame that one of them matches.
        include: the phases of a test that count; empty where nobody says, which is the call.
        stable: count objects and not arenas, and collect garbage around the block, so that the same
            work gives the same figures; None where nobody says, which is not.
    """

    current_thread_only: bool = False
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    include: tuple[Phase, ...] = ()
    stable: bool | None = None

    def filled_from(self, outer: Scope) -> Scope:
        """Return this scope, with what nobody says in it taken from ``outer``."""
        stable = outer.stable if self.stable is None else self.stable
        return replace(self, include=self.include or outer.include, stable=stable)

    def differences(self, other: Scope) -> list[str]:
        """Return the names of what counts for one of the two, and not for the other."""
        names = (field.name for field in fields(self) if field.name != "stable")
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of a test that count, where nobody else says."""
        return self.include or ("call",)

    @property
    def filters_stacks(self) -> bool:
        """Whether it depends on its stack whether an allocation counts."""
        return bool(self.only or self.ignore)


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits that hold for one block.

    Attributes:
        limits: at most one for each figure; none means that the block is only measured.
        scope: what counts.
        leaks: the limit on what single stacks leave behind; None for none.
        objects: the limit on objects that are left behind; None for none. Its scope is the block.
    """

    limits: tuple[Limit, ...] = ()
    scope: Scope = Scope()
    leaks: LeakLimit | None = None
    objects: ObjectLimit | None = None

    @property
    def limits_anything(self) -> bool:
        """Whether a block can exceed it."""
        return self.limits_memory or self.objects is not None

    @property
    def limits_memory(self) -> bool:
        """Whether it has limits for which its scope matters."""
        return bool(self.limits) or self.leaks is not None

    def limit_of(self, figure: Figure) -> Limit | None:
        """Return the limit on ``figure``, or None."""
        return next((limit for limit in self.limits if limit.figure == figure), None)

    def within(self, outer: Budget) -> Budget:
        """Return this budget, with the limits of ``outer`` on figures that it says nothing about.

        Raises:
            InvalidLimitError: the two differ in what counts, and limits of both would hold.

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
        differences = self.scope.differences(outer.scope)
        if differences and self.limits_memory and added.limits_memory:
            raise InvalidLimitError(
                f"two limits that both hold differ in {', '.join(differences)}, and a block is "
                f"measured once: give both the same"
            )
        limits = (*self.limits, *added.limits)
        scope = self.scope if self.limits_memory else outer.scope
        scope = scope.filled_from(self.scope).filled_from(outer.scope)
        return Budget(limits, scope, self.leaks or added.leaks, self.objects or added.objects)

    def without(self, other: Budget) -> Budget:
        """Return this budget without limits on what ``other`` limits."""
        figures = {limit.figure for limit in other.limits}
        kept = tuple(limit for limit in self.limits if limit.figure not in figures)
        return replace(
            self,
            limits=kept,
            leaks=self.leaks if other.leaks is None else None,
            objects=self.objects if other.objects is None else None,
        )

    def or_default(self, default: Budget) -> Budget:
        """Return this budget within a default.

        Raises:
            InvalidLimitError: the default would hold, and not all counts that counts for it.
        """
        narrower = Scope(self.scope.current_thread_only, self.scope.only, self.scope.ignore)
        added = default.without(self)
        if self.limits_memory and added.limits_anything and narrower != Scope():
            raise InvalidLimitError(
                f"the default limit holds as well, for all memory, and this one leaves some out "
                f"({', '.join(narrower.differences(Scope()))}): limit the peak as well, or waive "
                f"the default (no_memory_limit)"
            )
        return self.within(replace(default, scope=self.scope))

    def in_scope(self, outer: Scope) -> Budget:
        """Return this budget, with what its scope leaves open taken from ``outer``."""
        return replace(self, scope=self.scope.filled_from(outer))


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
        track_objects: which objects are made and destroyed as well; changes no figure.
    """

    native_traces: bool = False
    trace_python_allocators: bool = False
    track_objects: bool = False


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
        leaked_objects: the objects that were left behind, where none may be.
    """

    budget: Budget
    excesses: tuple[Excess, ...] = ()
    leaks: tuple[Allocation, ...] = ()
    leaked_objects: tuple[LeakedObjects, ...] = ()

    @property
    def within(self) -> bool:
        """Whether every limit holds."""
        return not (self.excesses or self.leaks or self.leaked_objects)


@dataclass(frozen=True, slots=True)
class Result:
    """One measured block with the name under which a report shows it.

    Attributes:
        name: the name.
        measurement, verdict: of the block.
        phases: what each phase of the test has used on its own, where the block lies over several.
    """

    name: str
    measurement: Measurement
    verdict: Verdict
    phases: tuple[tuple[Phase, Measurement], ...] = ()
