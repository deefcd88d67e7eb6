"""Limits, the budget that they form, and how budgets combine."""

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
        include: one or several of ``setup``, ``call`` and ``teardown``, separated by commas.
        where: the start of the error message: what the phases are for.

    Raises:
        InvalidLimitError: another name, or none.

    Example:
        >>> parse_phases("call, setup", where="include")
        ('setup', 'call')
    """
    named = [name.strip() for name in include.split(",")] if isinstance(include, str) else [""]
    if not set(named) <= set(PHASES):
        raise InvalidLimitError(
            f"{where}: {include!r} does not name phases of a test: use {', '.join(PHASES)}, or "
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
        baseline: for a limit from an earlier run: the largest allocations at its peak, by the line
            that made them.
    """

    figure: Figure
    maximum: int
    origin: str = field(default="", compare=False)
    source: LimitSource = field(default="written", compare=False)
    baseline: tuple[Allocation, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class LeakLimit:
    """How much memory of one stack may still be alive at the end of the block.

    Attributes:
        maximum: in bytes.
        filter_fn: returns whether a stack counts; None if all of them do.
        origin: where the limit is written; empty if unknown.
    """

    maximum: int
    filter_fn: Callable[[Stack], object] | None = None
    origin: str = field(default="", compare=False)

    def counts(self, allocation: Allocation) -> bool:
        """Whether the retained memory of a stack counts.

        Raises:
            FilterError: the filter raised something.
        """
        stack = Stack(allocation.stack)
        return self.filter_fn is None or ask_filter(
            self.filter_fn, stack, whose="the filter_fn of limit_leaks"
        )

    def __reduce__(self) -> tuple[type[LeakLimit], tuple[int, None, str]]:
        # A filter is a function, which often cannot be pickled.
        return LeakLimit, (self.maximum, None, self.origin)


@dataclass(frozen=True, slots=True)
class ObjectLimit:
    """A limit that allows no leaked objects: none made in the block may be alive at its end.

    Attributes:
        filter_fn: returns whether an object counts; None if all of them do.
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
    """Which memory of a block counts, and how it is counted.

    Attributes:
        current_thread_only: count only what the thread that opened the block allocates.
        only: patterns (see :mod:`membudget.stack_filter`); count only stacks with a frame that one
            of them matches. Empty for all stacks.
        ignore: patterns; do not count stacks with a frame that one of them matches.
        include: the phases of a test that count; empty if unset (default: the call).
        stable: count objects instead of arenas, and collect garbage around the block, so that the
            same work gives the same figures; None if unset (default: False).
    """

    current_thread_only: bool = False
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    include: tuple[Phase, ...] = ()
    stable: bool | None = None

    def combined_with(self, outer: Scope) -> Scope:
        """Return this scope, with its unset values taken from ``outer``."""
        stable = outer.stable if self.stable is None else self.stable
        return replace(self, include=self.include or outer.include, stable=stable)

    def differences(self, other: Scope) -> list[str]:
        """Return the names of the attributes in which two scopes differ, except ``stable``."""
        names = (field.name for field in fields(self) if field.name != "stable")
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of a test that count: those of ``include``, or the call."""
        return self.include or ("call",)

    @property
    def filters_stacks(self) -> bool:
        """Whether only some stacks count."""
        return bool(self.only or self.ignore)


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits that apply to one block.

    Attributes:
        limits: at most one for each figure; without any, the block is only measured.
        scope: which memory counts.
        leaks: the limit on the retained memory of a single stack; None if there is none.
        objects: the limit on leaked objects; None if there is none. Its scope is the block.
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

    @property
    def limits_what_stays(self) -> bool:
        """Whether it limits what a block leaves behind."""
        return self.objects is not None or self.most_retained_bytes is not None

    @property
    def most_retained_bytes(self) -> int | None:
        """How many bytes a block may leave behind without exceeding a limit on any of them.

        None if no limit is in bytes.
        """
        retained = self.limit_of("retained_bytes")
        limits = [one.maximum for one in (retained, self.leaks) if one is not None]
        return min(limits, default=None)

    def limit_of(self, figure: Figure) -> Limit | None:
        """Return the limit on ``figure``, or None."""
        return next((limit for limit in self.limits if limit.figure == figure), None)

    def combined_with(self, outer: Budget) -> Budget:
        """Return this budget, with the limits of ``outer`` on figures that it does not limit.

        Raises:
            InvalidLimitError: limits of both would apply, but their scopes differ.

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
                f"two limits that both apply differ in {', '.join(differences)}, but the block is "
                f"measured only once: give both the same value"
            )
        limits = (*self.limits, *added.limits)
        scope = self.scope if self.limits_memory else outer.scope
        scope = scope.combined_with(self.scope).combined_with(outer.scope)
        return Budget(limits, scope, self.leaks or added.leaks, self.objects or added.objects)

    def minus(self, other: Budget) -> Budget:
        """Return this budget without the limits on figures that ``other`` limits."""
        figures = {limit.figure for limit in other.limits}
        kept = tuple(limit for limit in self.limits if limit.figure not in figures)
        return replace(
            self,
            limits=kept,
            leaks=self.leaks if other.leaks is None else None,
            objects=self.objects if other.objects is None else None,
        )

    def with_default(self, default: Budget) -> Budget:
        """Return this budget, with the limits of a default on figures that it does not limit.

        Raises:
            InvalidLimitError: the default would apply, but this budget leaves some memory out.
        """
        narrower = Scope(self.scope.current_thread_only, self.scope.only, self.scope.ignore)
        added = default.minus(self)
        if self.limits_memory and added.limits_anything and narrower != Scope():
            raise InvalidLimitError(
                f"the default limit also applies, to all memory, but this limit leaves some out "
                f"({', '.join(narrower.differences(Scope()))}): limit the peak here too, or waive "
                f"the default (no_memory_limit)"
            )
        return self.combined_with(replace(default, scope=self.scope))

    def with_baseline(self, limit: Limit | None) -> Budget:
        """Return this budget with the limit from the baseline, unless it limits the same figure."""
        if limit is None or self.limit_of(limit.figure) is not None:
            return self
        return replace(self, limits=(*self.limits, limit))

    def with_scope(self, outer: Scope) -> Budget:
        """Return this budget, with the unset values of its scope taken from ``outer``."""
        return replace(self, scope=self.scope.combined_with(outer))
