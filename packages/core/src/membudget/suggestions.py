"""Suggests limits from the memory that tests used.

A suggestion leaves room for differences between runs, and is rounded up to two digits: "12 MB",
not "11.37 MB".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, get_args

from .budget import LimitSource
from .limit_words import LimitKind, noise
from .measurement import Figure
from .sizes import format_size, parse_size
from .verdict import Result

Need: TypeAlias = Literal["add", "raise", "lower", "keep"]
"""What to do with a limit: add, raise or lower it to the suggested one, or keep it."""


@dataclass(frozen=True, slots=True)
class _Room:
    """How much more than it used a test may use: a percentage, and a fixed amount for noise."""

    percent: int
    on_top: int
    words: str


def _room(kind: LimitKind, *, stable: bool) -> _Room:
    # limit_leaks counts objects, and collects garbage, whether the test is stable or not.
    stable = stable or kind == "leaks"
    percent = 10 if stable else 20
    on_top = noise(is_count=kind == "n_allocations", stable=stable)
    return _Room(percent, on_top, f"used + {percent}% + {limit_text(kind, on_top)}")


_UNITS: Final = ("B", "KB", "MB", "GB", "TB", "PB")


def round_up_size(n_bytes: int) -> str:
    """Return the smallest size of at most two digits that is not below ``n_bytes``.

    Zeros after the two digits do not count. The unit is the largest one that leaves a number of 1
    or more.

    Example:
        >>> round_up_size(11_920_000), round_up_size(120 * 1024 + 1), round_up_size(1001)
        ('12 MB', '130 KB', '1 KB')
    """
    for power, unit in enumerate(_UNITS):
        factor = 1024**power
        tenths = _divided_up(10 * n_bytes - 5, factor)  # parse_size rounds half a byte up
        if power and tenths < 100:
            whole, tenth = divmod(tenths, 10)
            return f"{whole}.{tenth} {unit}" if tenth else f"{whole} {unit}"
        number = round_up_count(_divided_up(n_bytes, factor))
        if number <= 1000:
            break
    return f"{number} {unit}"


def round_up_count(count: int) -> int:
    """Return the smallest number of at most two digits, and zeros, that is not below ``count``.

    Example:
        >>> round_up_count(1234), round_up_count(99)
        (1300, 99)
    """
    step: int = 10 ** max(0, len(str(count)) - 2)
    return _divided_up(count, step) * step


def _divided_up(number: int, divisor: int) -> int:
    return -(-number // divisor)


@dataclass(frozen=True, slots=True)
class LimitNow:
    """A limit that a test had when it was measured.

    Attributes:
        kind: what it limits.
        maximum: in bytes; a count, for ``n_allocations``.
        source, origin: see :class:`membudget.Limit`.
    """

    kind: LimitKind
    maximum: int
    source: LimitSource = "written"
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """What one test used in one run.

    Attributes:
        test: its name, which is the same in each run, such as pytest's node id.
        used: in bytes; a count, for ``n_allocations``. For ``leaks``, the largest amount that a
            single stack retained, of the stacks that the limit's filter counts.
        limits: its limits.
        stable: whether its figures are stable.
        incomplete: why it may need more than it used, such as ``"it failed"``; empty if its figures
            are complete. They are complete if the test failed only because it was over its limit
            at its end.
    """

    test: str
    used: Mapping[LimitKind, int]
    limits: tuple[LimitNow, ...] = ()
    stable: bool = False
    incomplete: str = ""


def observed_in(result: Result, incomplete: str = "") -> Observed:
    """Return what a test used, from its result.

    Args:
        result: the result.
        incomplete: see :class:`Observed`.
    """
    measurement, budget = result.measurement, result.verdict.budget
    if measurement.unseen and not incomplete:
        incomplete = "memray did not see all of its memory"
    used: dict[LimitKind, int] = {
        figure: getattr(measurement, figure) for figure in get_args(Figure)
    }
    limits = [
        LimitNow(limit.figure, limit.maximum, limit.source, limit.origin) for limit in budget.limits
    ]
    leaks = budget.leaks
    if leaks is not None:
        # The limit's filter is not called again. The verdict has the stacks over the limit; of the
        # other stacks, the largest one is an upper bound.
        over = [one.size_bytes for one in result.verdict.leaks]
        others = [one.size_bytes for one in measurement.retained if one.size_bytes <= leaks.maximum]
        most = min(measurement.retained_bytes, leaks.maximum)
        used["leaks"] = max(over or others or [most])
        limits.append(LimitNow("leaks", leaks.maximum, "written", leaks.origin))
    return Observed(result.name, used, tuple(limits), bool(budget.scope.stable), incomplete)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A number for one limit of one test.

    Attributes:
        test: the name of the test.
        kind: what is limited.
        used: the most that the test used in any run; in bytes, or a count.
        now: its present limit; None if it has none.
        maximum: the suggested limit; in bytes, or a count.
        need: what to do with the present limit: ``"raise"`` if it was exceeded or leaves so little
            room that noise will break it, ``"lower"`` if it leaves more room than the suggested
            one.
        why: the reason and the calculation, as shown to users.
        incomplete: see :class:`Observed`.
    """

    test: str
    kind: LimitKind
    used: int
    now: LimitNow | None
    maximum: int
    need: Need
    why: str
    incomplete: str = ""

    @property
    def suggested_text(self) -> str:
        """The suggested limit as it is written in source code: ``"12 MB"``, ``"1_300"``."""
        return limit_text(self.kind, self.maximum)

    @property
    def used_text(self) -> str:
        """The used amount, for a table."""
        return figure_text(self.kind, self.used)

    @property
    def now_text(self) -> str:
        """The present limit, for a table; empty if there is none."""
        return "" if self.now is None else figure_text(self.kind, self.now.maximum)


def limit_text(kind: LimitKind, maximum: int) -> str:
    """Return a suggested maximum as it is written in source code.

    Example:
        >>> limit_text("peak_bytes", 12 * 1024 * 1024), limit_text("n_allocations", 1300)
        ('12 MB', '1_300')
    """
    return f"{maximum:_}" if kind == "n_allocations" else round_up_size(maximum)


def figure_text(kind: LimitKind, figure: int) -> str:
    """Return a used or allowed amount as reports show it.

    Example:
        >>> figure_text("peak_bytes", 120_000), figure_text("n_allocations", 1300)
        ('117.2KiB', '1,300')
    """
    return f"{figure:,}" if kind == "n_allocations" else format_size(figure)


def suggested_maximum(kind: LimitKind, used: int, *, stable: bool) -> int:
    """Return a maximum for a limit.

    Args:
        kind: what is limited.
        used: the most that was used; in bytes, or a count.
        stable: whether the figures are stable.

    Returns:
        In bytes, or a count. A size is exactly what :func:`round_up_size` of it stands for.

    Example:
        >>> round_up_size(suggested_maximum("peak_bytes", 9_000_000, stable=True))
        '9.5 MB'
    """
    room = _room(kind, stable=stable)
    wanted = used + used * room.percent // 100 + room.on_top
    return round_up_count(wanted) if kind == "n_allocations" else parse_size(round_up_size(wanted))


def suggest(observed: Iterable[Observed]) -> list[Suggestion]:
    """Return a suggestion for each limit of each test; for the peak if a test has no limit.

    Args:
        observed: what tests used, in one run or several, the last run last. For a test in several
            runs, the largest figure counts, and the limits of the last run.

    Returns:
        The suggestions, in the order in which the tests first occur. There is none for a limit
        whose figure was not measured.

    Example:
        >>> runs = [Observed("test_total", {"peak_bytes": used}) for used in (8_000_000, 9_000_000)]
        >>> [(one.used, one.suggested_text, one.why) for one in suggest(runs)]
        [(9000000, '12 MB', 'no limit yet; used + 20% + 1 MB; largest of 2 runs')]
    """
    runs: dict[str, list[Observed]] = {}
    for one in observed:
        runs.setdefault(one.test, []).append(one)
    return [
        _suggestion(_combined(of_test), limit, kind, len(of_test))
        for of_test in runs.values()
        for kind, limit in _limited(of_test[-1])
        if any(kind in one.used for one in of_test)
    ]


def _limited(test: Observed) -> list[tuple[LimitKind, LimitNow | None]]:
    limits: list[tuple[LimitKind, LimitNow | None]] = [(one.kind, one) for one in test.limits]
    return limits or [("peak_bytes", None)]


def _combined(runs: list[Observed]) -> Observed:
    """Combine several runs of one test."""
    kinds = {kind for run in runs for kind in run.used}
    # One complete run is enough to know what the test needs.
    incomplete = [run.incomplete for run in runs if run.incomplete]
    return replace(
        runs[-1],
        used={kind: max(run.used.get(kind, 0) for run in runs) for kind in kinds},
        stable=all(run.stable for run in runs),
        incomplete=incomplete[-1] if len(incomplete) == len(runs) else "",
    )


def _suggestion(test: Observed, now: LimitNow | None, kind: LimitKind, n_runs: int) -> Suggestion:
    used = test.used[kind]
    maximum = suggested_maximum(kind, used, stable=test.stable)
    room = _room(kind, stable=test.stable)
    need: Need
    if now is None:
        need, reason = "add", "no limit yet"
    elif used > now.maximum:
        need, reason = "raise", "over its limit"
    elif now.maximum - used < room.on_top:
        need, reason = "raise", f"too tight, {figure_text(kind, now.maximum - used)} left"
    elif maximum < now.maximum:
        need, reason = "lower", "more room than it needs"
    else:
        need, reason = "keep", "fits"
    whole = [f"but {test.incomplete}, so it may need more"] if test.incomplete else []
    several = [f"largest of {n_runs} runs"] if n_runs > 1 else []
    why = "; ".join([reason, room.words, *several, *whole])
    return Suggestion(test.test, kind, used, now, maximum, need, why, test.incomplete)
