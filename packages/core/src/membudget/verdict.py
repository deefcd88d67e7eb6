"""Compares a measurement with a budget, and defines the error for an exceeded budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .budget import Budget, LeakLimit, Limit, Phase
from .errors import CaptureError, MembudgetError
from .measurement import Allocation, LeakedObjects, Measurement


def judge(measurement: Measurement, budget: Budget) -> Verdict:
    """Compare ``measurement`` with every limit of ``budget``; exactly the limit is allowed.

    Raises:
        FilterError: a filter of the budget raised something.

    Example:
        >>> from membudget import Budget, Limit, Measurement
        >>> budget = Budget((Limit("peak_bytes", 100),))
        >>> judge(Measurement(100, 100, 1, 0), budget).within
        True
        >>> judge(Measurement(101, 101, 1, 0), budget).excesses[0].over
        1
    """
    excesses = tuple(_excesses(measurement, budget))
    leaks = tuple(_leaks(measurement, budget.leaks))
    return Verdict(budget, excesses, leaks, measurement.leaked_objects)


def _excesses(measurement: Measurement, budget: Budget) -> Iterator[Excess]:
    for limit in budget.limits:
        measured = getattr(measurement, limit.figure)
        if measured > limit.maximum:
            yield Excess(limit, measured)


def is_blind(measurement: Measurement, budget: Budget) -> bool:
    """Whether unseen memory could have exceeded a limit that the figures do not exceed.

    Example:
        >>> from membudget import Budget, Limit, Measurement, Unseen
        >>> seen = Measurement(30, 30, 1, 0, unseen=(Unseen("pyarrow", 50),))
        >>> is_blind(seen, Budget((Limit("peak_bytes", 79),)))
        True
        >>> is_blind(seen, Budget((Limit("peak_bytes", 80),)))
        False
    """
    if not (measurement.unseen and budget.limits_memory):
        return False
    sizes = [unseen.size_bytes for unseen in measurement.unseen if unseen.size_bytes is not None]
    if len(sizes) < len(measurement.unseen) or budget.limit_of("n_allocations") is not None:
        return True
    most = sum(sizes)
    if budget.leaks is not None and most > budget.leaks.maximum:
        return True
    return any(getattr(measurement, limit.figure) + most > limit.maximum for limit in budget.limits)


def needs_stacks(measurement: Measurement, budget: Budget) -> bool:
    """Whether a verdict, or the text of a failure, needs the stacks of a block."""
    return any(_excesses(measurement, budget)) or _may_leak(measurement, budget)


def needs_retained(measurement: Measurement, budget: Budget) -> bool:
    """Whether a verdict, or the text of a failure, also needs the stacks of retained memory."""
    exceeded = (excess.limit.figure for excess in _excesses(measurement, budget))
    return "retained_bytes" in exceeded or _may_leak(measurement, budget)


def figures_decide(measurement: Measurement, budget: Budget) -> bool:
    """Whether the verdict is known without the stacks, which then only explain it."""
    return any(_excesses(measurement, budget)) or not _may_leak(measurement, budget)


def _may_leak(measurement: Measurement, budget: Budget) -> bool:
    """Whether so much memory was retained that a single stack may be over the limit."""
    return budget.leaks is not None and measurement.retained_bytes > budget.leaks.maximum


def check_stacks(measurement: Measurement, budget: Budget, *, plugins_filter: bool = False) -> None:
    """Refuse to judge a block by stacks that memray has lost, if its verdict depends on them.

    Args:
        measurement: of the block, with its stacks.
        budget: of the block.
        plugins_filter: whether a plugin decides which stacks count.

    Raises:
        CaptureError: the verdict depends on lost stacks.
    """
    if not measurement.lost_stacks:
        return
    scope, leaks = budget.scope, budget.leaks
    depends_on = [name for name in ("only", "ignore") if getattr(scope, name)]
    # Memory without a stack may be from many stacks, but looks like that of one without frames.
    if leaks is not None and any(
        not one.stack and one.size_bytes > leaks.maximum for one in measurement.retained
    ):
        depends_on.append("limit_leaks")
    if not depends_on and plugins_filter and budget.limits_anything:
        depends_on.append("a plugin's membudget_keep_allocation")
    if depends_on:
        raise CaptureError(
            f"the code in this block replaced Python's profile function (sys.setprofile, "
            f"threading.setprofile, or a profiler such as cProfile before Python 3.12), through "
            f"which memray follows stacks. Memory without a stack cannot be judged by "
            f"{' and '.join(depends_on)}: run that code without its profiler, or limit all memory"
        )


def _leaks(measurement: Measurement, limit: LeakLimit | None) -> Iterator[Allocation]:
    if limit is None:
        return
    for allocation in measurement.retained:
        if allocation.size_bytes > limit.maximum and limit.counts(allocation):
            yield allocation


class MemoryLimitExceeded(MembudgetError, AssertionError):
    """A block used more memory than its budget allows.

    An ``AssertionError``, so that every test framework calls it a failure and not an error.

    Attributes:
        measurement: what was observed in the block.
        verdict: the limits that the measurement exceeds.

    Example:
        >>> from membudget import MemoryLimitExceeded, limit_memory
        >>> try:
        ...     with limit_memory("1 KB"):
        ...         data = bytearray(4096)
        ... except MemoryLimitExceeded as exceeded:
        ...     print(exceeded.measurement.peak_bytes > 4096)
        True
    """

    def __init__(self, message: str, measurement: Measurement, verdict: Verdict) -> None:
        super().__init__(message)
        self.measurement = measurement
        self.verdict = verdict

    def __reduce__(self) -> tuple[type[MemoryLimitExceeded], tuple[str, Measurement, Verdict]]:
        # Exceptions travel between processes (multiprocessing, concurrent.futures) as pickles.
        return type(self), (str(self), self.measurement, self.verdict)


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
    """The result of comparing a measurement with a budget.

    Attributes:
        budget: the budget.
        excesses: the limits that were exceeded.
        leaks: the stacks that retained more than their limit, with the memory alive at the end.
        leaked_objects: the leaked objects, if the budget limits them.
        capture: the path of a capture that was kept because a limit was exceeded; empty for none.
    """

    budget: Budget
    excesses: tuple[Excess, ...] = ()
    leaks: tuple[Allocation, ...] = ()
    leaked_objects: tuple[LeakedObjects, ...] = ()
    capture: str = ""

    @property
    def within(self) -> bool:
        """Whether no limit was exceeded."""
        return not (self.excesses or self.leaks or self.leaked_objects)


Outcome: TypeAlias = Literal["", "passed", "failed", "skipped", "error"]
"""How a test ended; empty if unknown."""


@dataclass(frozen=True, slots=True)
class Result:
    """One measured block with the name under which a report shows it.

    Attributes:
        name: the name.
        measurement, verdict: those of the block.
        phases: the measurement of each phase of the test, if the block covers several.
        outcome: how the test ended.
        file, line: where the test is written; empty and 0 if unknown.
        worker: the process that ran it, such as ``"gw0"``; empty for the reporting process.
        attempt: the number of this run of the test, from 1: a failed test can be run again.
        is_warm: whether the test had run before in this process, to fill caches; None if unknown.
    """

    name: str
    measurement: Measurement
    verdict: Verdict
    phases: tuple[tuple[Phase, Measurement], ...] = ()
    outcome: Outcome = ""
    file: str = ""
    line: int = 0
    worker: str = ""
    attempt: int = 1
    is_warm: bool | None = None

    @property
    def is_blind(self) -> bool:
        """Whether unseen memory could have exceeded a limit that the figures do not exceed."""
        return self.verdict.within and is_blind(self.measurement, self.verdict.budget)
