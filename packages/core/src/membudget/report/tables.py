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
    width = min(max(len(name) for name, *_ in rows), _WIDEST_NAME)
    others = numbers_aligned([others for _, *others in rows])
    return [
        f"{name.ljust(width)}  {line}".rstrip()
        for (name, *_), line in zip(rows, others, strict=True)
    ]


def numbers_aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return each row as a line: numbers that end in one column, and free text.

    Example:
        >>> numbers_aligned([("used", "test"), ("8.6MiB", "test_load")])
        ['  used  test', '8.6MiB  test_load']
    """
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    lines = []
    for *numbers, text in rows:
        cells = (cell.rjust(width) for cell, width in zip(numbers, widths, strict=True))
        lines.append("  ".join([*cells, text]).rstrip())
    return lines
