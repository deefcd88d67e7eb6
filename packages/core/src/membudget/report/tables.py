"""Rows of a table, with the columns under one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_WIDEST_NAME: Final = 60


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return each row as a line: a name on the left, numbers that end in one column, free text.

    A very long name moves its own row only.

    Example:
        >>> aligned([("test", "used", "why"), ("test_load", "8.6MiB", "fits")])
        ['test         used  why', 'test_load  8.6MiB  fits']
    """
    name, *widths = (max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1])
    name = min(name, _WIDEST_NAME)
    lines = []
    for first, *numbers, text in rows:
        cells = (cell.rjust(width) for cell, width in zip(numbers, widths, strict=True))
        lines.append("  ".join([first.ljust(name), *cells, text]).rstrip())
    return lines
