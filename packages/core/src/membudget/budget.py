"""What is allowed: limits, the budget that they make, and how budgets combine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Final, Literal, TypeAlias, get_args

from .errors import InvalidLimitError
from .measurement import Allocation, Figure, Stack
from .user_filters import ask_filter

Phase: TypeAlias = Literal["setup", "call", "teardown"]
"""A phase of a test."""
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
"""The phases of a test, in their order."""


def parse_phases(include: str, *, where: str) -> tuple[Phase, ...]:
    """Return the phases of a test that ``include`` names, in their order.

    Args:
        include: one or several of ``setup``, ``call`` and ``teardown``, with commas between them.
        where: what they are for; it begins the message of the error.

    Raises:
        InvalidLimitError: something else is named, or nothing.

    Example:
        >>> parse_phases("call, setup", where="include")
        ('setup', 'call')
    """
    named = [name.strip() for name in include.split(",")] if isinstance(include, str) else [""]
    if not set(named) <= set(PHASES):
        raise InvalidLimitError(
            f"{where}: {include!r} does not name phases of a test: write {', '.join(PHASES)}, or "
            f"several of them, such as 'setup,call'"
        )
    return tuple(phase for phase in PHASES if phase in named)


LimitSource: TypeAlias = Literal["written", "default", "baseline"]
"""Where a limit comes from, see :class:`Limit`."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One threshold: a figure may be at most ``maximum``.

    Attributes:
        figure: which one.
        maximum: in bytes; a count, for ``n_allocations``.
        origin: where the limit is written, such as ``"tests/test_orders.py:12"``; empty if unknown.
        source: ``"written"`` at the test, its class or its module; ``"default"``, from settings;
            ``"baseline"``, from the figures of an earlier run.
        baseline: of a limit that comes from an earlier run: the largest of what was alive at the
            peak then, by the line that allocated it.
    """

    figure: Figure
    maximum: int
    origin: str = field(default="", compare=False)
    source: LimitSource = field(default="written", compare=False)
    baseline: tuple[Allocation, ...] = field(default=(), compare=False)


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

    def counts(self, allocation: Allocation) -> bool:
        """Whether what a stack left counts.

        Raises:
            FilterError: the filter raised something.
        """
        stack = Stack(allocation.stack)
        return self.filter_fn is None or ask_filter(
            self.filter_fn, stack, whose="the filter_fn of limit_leaks"
        )

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

    def counts(self, each: object) -> bool:
        """Whether an object counts.

        Raises:
            FilterError: the filter raised something.
        """
        return self.filter_fn is None or ask_filter(
            self.filter_fn, each, whose="the filter_fn of limit_leaked_objects"
        )

    def __reduce__(self) -> tuple[type[ObjectLimit], tuple[None, str]]:
        return ObjectLimit, (None, self.origin)


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a block counts, and how it is counted.

    Attributes:
        current_thread_only: count only what the thread that opened the block allocates.
        only: patterns (see :mod:`membudget.stack_filter`); count only stacks with a frame that one
            of them matches. Empty for all stacks.
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

    def combined_with(self, outer: Scope) -> Scope:
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

    def combined_with(self, outer: Budget) -> Budget:
        """Return this budget, with the limits of ``outer`` on figures that it says nothing about.

        Raises:
            InvalidLimitError: the two differ in what counts, and limits of both would hold.

        Example:
            >>> closest = Budget((Limit("peak_bytes", 10),))
            >>> outer = Budget((Limit("peak_bytes", 99), Limit("total_bytes", 50)))
            >>> [limit.maximum for limit in closest.combined_with(outer).limits]
            [10, 50]
        """
        if not self.limits_anything:
            return outer
        added = outer.minus(self)
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
        scope = scope.combined_with(self.scope).combined_with(outer.scope)
        return Budget(limits, scope, self.leaks or added.leaks, self.objects or added.objects)

    def minus(self, other: Budget) -> Budget:
        """Return this budget without limits on what ``other`` limits."""
        figures = {limit.figure for limit in other.limits}
        kept = tuple(limit for limit in self.limits if limit.figure not in figures)
        return replace(
            self,
            limits=kept,
            leaks=self.leaks if other.leaks is None else None,
            objects=self.objects if other.objects is None else None,
        )

    def with_default(self, default: Budget) -> Budget:
        """Return this budget within a default.

        Raises:
            InvalidLimitError: the default would hold, and not all counts that counts for it.
        """
        narrower = Scope(self.scope.current_thread_only, self.scope.only, self.scope.ignore)
        added = default.minus(self)
        if self.limits_memory and added.limits_anything and narrower != Scope():
            raise InvalidLimitError(
                f"the default limit holds as well, for all memory, and this one leaves some out "
                f"({', '.join(narrower.differences(Scope()))}): limit the peak as well, or waive "
                f"the default (no_memory_limit)"
            )
        return self.combined_with(replace(default, scope=self.scope))

    def with_baseline(self, limit: Limit | None) -> Budget:
        """Return this budget with the limit that an earlier run makes; a closer one wins."""
        if limit is None or self.limit_of(limit.figure) is not None:
            return self
        return replace(self, limits=(*self.limits, limit))

    def with_scope(self, outer: Scope) -> Budget:
        """Return this budget, with what its scope leaves open taken from ``outer``."""
        return replace(self, scope=self.scope.combined_with(outer))
