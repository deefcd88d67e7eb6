"""By how much a figure may differ from an earlier one and still count as the same."""

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
    """By how much a figure may differ and still count as the same: both must be exceeded.

    Attributes:
        percent: a part of the older figure.
        n_bytes: in bytes. A count of allocations has the percentage alone.
    """

    percent: float = 0.0
    n_bytes: int = 0

    def __str__(self) -> str:
        """Return it in words.

        Example:
            >>> str(Tolerance(10, 65536)), str(Tolerance())
            ('10% + 64.0KiB', '0')
        """
        percent = f"{self.percent:g}%" if self.percent else ""
        size = format_size(self.n_bytes) if self.n_bytes else ""
        return " + ".join(filter(None, (percent, size))) or "0"

    def room(self, figure: Figure, old: int) -> int:
        """Return how much more than ``old`` is still the same.

        Example:
            >>> Tolerance(10, 64).room("peak_bytes", 1000), Tolerance(10, 64).room("peak_bytes", 9)
            (100, 64)
        """
        n_bytes = 0 if figure == "n_allocations" else self.n_bytes
        return max(int(old * self.percent / 100), n_bytes)

    def covers(self, figure: Figure, old: int, new: int) -> bool:
        """Whether the difference between two figures is within the tolerance."""
        return abs(new - old) <= self.room(figure, old)


def parse_tolerance(text: str, *, where: str) -> Tolerance:
    """Return the tolerance that a text says: a percentage, a size, or both with a plus sign.

    Both must be exceeded.

    Args:
        text: such as ``"10% + 64 KB"``.
        where: what it is for; it begins the message of the error.

    Raises:
        InvalidOptionError: the text says something else.

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
                f"{where}: {text!r} is not a tolerance: write a percentage, a size, or both, such "
                f"as '10% + 64 KB'"
            ) from error
    return Tolerance(max(percents, default=0.0), max(sizes, default=0))
