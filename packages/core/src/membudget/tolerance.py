"""Tolerances: how much a figure may differ from an earlier one and still count as the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .errors import InvalidOptionError, InvalidSizeError
from .measurement import Figure
from .sizes import format_size, parse_size

_PERCENT: Final = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%\s*")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much a figure may differ and still count as the same.

    A figure differs only if it exceeds both the percentage and the size.

    Attributes:
        percent: of the older figure.
        n_bytes: in bytes; ignored for a count of allocations.
    """

    percent: float = 0.0
    n_bytes: int = 0

    def __str__(self) -> str:
        """Return the tolerance as text.

        Example:
            >>> str(Tolerance(10, 65536)), str(Tolerance())
            ('10% + 64.0KiB', '0')
        """
        percent = f"{self.percent:g}%" if self.percent else ""
        size = format_size(self.n_bytes) if self.n_bytes else ""
        return " + ".join(filter(None, (percent, size))) or "0"

    def room(self, figure: Figure, old: int) -> int:
        """Return how much more than ``old`` still counts as the same.

        Example:
            >>> Tolerance(10, 64).room("peak_bytes", 1000), Tolerance(10, 64).room("peak_bytes", 9)
            (100, 64)
        """
        n_bytes = 0 if figure == "n_allocations" else self.n_bytes
        return max(int(old * self.percent / 100), n_bytes)

    def covers(self, figure: Figure, old: int, new: int) -> bool:
        """Whether the difference between two figures is within the tolerance."""
        return abs(new - old) <= self.room(figure, old)


DEFAULT_TOLERANCE: Final = Tolerance(10, 64 * 1024)
"""What is tolerated if nothing else is said."""


def parse_tolerance(text: str, *, where: str) -> Tolerance:
    """Parse a tolerance: a percentage, a size, or both with a plus sign.

    Args:
        text: such as ``"10% + 64 KB"``.
        where: the start of the error message: what the tolerance is for.

    Raises:
        InvalidOptionError: the text is not a tolerance.

    Example:
        >>> parse_tolerance("10% + 64 KB", where="--tolerance")
        Tolerance(percent=10.0, n_bytes=65536)
    """
    percents, sizes = [], []
    for part in text.split("+", 1):
        percent = _PERCENT.fullmatch(part)
        if percent is not None:
            percents.append(float(percent[1]))
            continue
        try:
            sizes.append(parse_size(f"{part} B" if part.strip().isdecimal() else part))
        except InvalidSizeError as error:
            raise InvalidOptionError(
                f"{where}: {text!r} is not a tolerance: use a percentage, a size, or both, such as "
                f"'10% + 64 KB'"
            ) from error
    return Tolerance(max(percents, default=0.0), max(sizes, default=0))
