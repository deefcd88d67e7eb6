"""The words that compare a limit with what was measured, for every report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .budget import Budget, Limit
from .measurement import ARENA_BYTES, Figure, Measurement
from .verdict import Result, is_blind

LimitWord: TypeAlias = Literal["OVER", "NEAR", "TIGHT", "LOOSE", "BLIND"]
LimitKind: TypeAlias = Figure | Literal["leaks"]
"""What is limited: a figure, or (``limit_leaks``) the memory that a single stack retains."""
KIND_NAMES: Final[Mapping[LimitKind, str]] = {
    "peak_bytes": "peak",
    "total_bytes": "total",
    "n_allocations": "allocations",
    "retained_bytes": "retained",
    "leaks": "retained by one stack",
}
"""The kinds of limits that have a number, as tables show them."""
NEAR_PERCENT: Final = 95
"""A figure is near its limit if it is at least this percentage of it.

With a suggested limit it is less, so nothing warns of what membudget has written.
"""
LOOSE_FACTOR: Final = 4
"""A limit is loose if it is at least this many times what is needed."""


def noise(*, is_count: bool, stable: bool) -> int:
    """Return by how much a figure can vary from run to run although the test does not change.

    Args:
        is_count: whether the figure counts allocations; otherwise it is in bytes.
        stable: whether it is stable. Otherwise, one run can need one arena more than another.
    """
    if is_count:
        return 10 if stable else 100
    return 4096 if stable else ARENA_BYTES


def limit_words(limit: Limit, measurement: Measurement, *, stable: bool) -> tuple[LimitWord, ...]:
    """Return the words that apply to a limit; none if it fits.

    ``OVER``: it is exceeded. ``NEAR``: 95% of it or more is used. ``TIGHT``: it leaves so little
    room that noise will break it, see :func:`noise`. ``LOOSE``: it is at least four times what was
    used plus the noise. ``BLIND``: memory that was not seen could have exceeded it.

    Args:
        limit: the limit.
        measurement: what was measured.
        stable: whether the figures are stable.

    Example:
        >>> used = Measurement(peak_bytes=1000, total_bytes=1000, n_allocations=1, retained_bytes=0)
        >>> for maximum in (999, 1050, 6000, 24_000):
        ...     limit_words(Limit("peak_bytes", maximum), used, stable=True)
        ('OVER',)
        ('NEAR', 'TIGHT')
        ()
        ('LOOSE',)
    """
    used: int = getattr(measurement, limit.figure)
    if used > limit.maximum:
        return ("OVER",)
    room = noise(is_count=limit.figure == "n_allocations", stable=stable)
    words: list[LimitWord] = []
    if is_near(limit, used):
        words.append("NEAR")
    if limit.maximum - used < room:
        words.append("TIGHT")
    elif limit.maximum >= LOOSE_FACTOR * (used + room):
        words.append("LOOSE")
    if is_blind(measurement, Budget((limit,))):
        words.append("BLIND")
    return tuple(words)


def is_near(limit: Limit, used: int) -> bool:
    """Whether a figure is near a limit that it does not exceed."""
    return 0 < NEAR_PERCENT * limit.maximum <= 100 * used


@dataclass(frozen=True, slots=True)
class LimitUse:
    """A limit, and how much of it a test used.

    Attributes:
        limit: the limit.
        used: what was measured: in bytes, or a count.
        words: the words that apply, see :func:`limit_words`.
    """

    limit: Limit
    used: int
    words: tuple[LimitWord, ...]

    @property
    def share(self) -> float:
        """The used part of the limit: 1.0 for all of it, more for a limit that is exceeded."""
        if self.limit.maximum:
            return self.used / self.limit.maximum
        return _OF_NOTHING if self.used else 0.0

    @property
    def percent(self) -> str:
        """The used part of the limit as text; 100% is shown only for exactly all of it.

        Example:
            >>> for used in (50, 99_999, 100_000, 100_001):
            ...     LimitUse(Limit("peak_bytes", 100_000), used, ()).percent
            '0%'
            '<100%'
            '100%'
            '>100%'
        """
        if not self.limit.maximum:
            return "-"
        percent = 100 * self.share
        if percent != 100 and round(percent) == 100:
            return ">100%" if percent > 100 else "<100%"
        return f"{percent:.0f}%"


_OF_NOTHING: Final = 1e9
"""What counts as the used part of a limit of zero that is exceeded."""


def limit_uses(result: Result) -> tuple[LimitUse, ...]:
    """Return how much a test used of each limit on a figure.

    Example:
        >>> from membudget.testing import make_measurement, make_result
        >>> (use,) = limit_uses(make_result("test_load", make_measurement(120), 100))
        >>> use.percent, use.words
        ('120%', ('OVER',))
    """
    stable = bool(result.verdict.budget.scope.stable)
    return tuple(
        LimitUse(
            limit,
            getattr(result.measurement, limit.figure),
            limit_words(limit, result.measurement, stable=stable),
        )
        for limit in result.verdict.budget.limits
    )
