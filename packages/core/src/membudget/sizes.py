"""Sizes in bytes: parses what users write, and formats what reports print.

1 KB = 1 KiB = 1024 bytes, as in memory tools and in pytest-memray, not 1000.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from .errors import InvalidSizeError

GRAMMAR: Final = (
    "write an int for bytes, or a string '<NUMBER> <UNIT>' with a unit of "
    "B, KB, MB, GB, TB, PB, KiB, MiB, GiB, TiB or PiB, such as '24 MB' or '1.5 GiB' "
    "(1 KB = 1 KiB = 1024 bytes)"
)

_PREFIXES: Final = "KMGTP"
_SIZE: Final = re.compile(
    r"\s*(?P<whole>[0-9]{0,30})(?:\.(?P<part>[0-9]{1,30}))?(?<=[0-9])"
    r"\s*(?:(?P<prefix>[KMGTP])i?)?B\s*",
    re.IGNORECASE | re.ASCII,
)


def parse_size(size: str | int, *, where: str = "") -> int:
    """Return the number of bytes that ``size`` stands for.

    The grammar is ``<NUMBER> ([KMGTP]B | [KMGTP]iB | B)`` in any case with optional blanks, after
    pytest-memray's ``<NUMBER> ([KMGTP]B|B)``; the whole string must match. A fraction of a byte is
    rounded to the nearest byte.

    Args:
        size: a string such as ``"24 MB"``, or an ``int`` of bytes.
        where: what the size is for; the error message starts with it.

    Returns:
        The size in bytes, zero or more.

    Raises:
        InvalidSizeError: ``size`` does not follow the grammar. It is a ``ValueError``.

    Example:
        >>> parse_size("24 MB")
        25165824
        >>> parse_size("1.5 KiB")
        1536
        >>> parse_size(4096)
        4096
    """
    if isinstance(size, str):
        n_bytes = _parse(size)
        if n_bytes is not None:
            return n_bytes
    elif isinstance(size, int) and not isinstance(size, bool) and size >= 0:
        return int(size)  # turns an IntEnum into a plain number
    place = f"{where}: " if where else ""
    raise InvalidSizeError(f"{place}{size!r} is not a memory size: {GRAMMAR}")


@functools.lru_cache(maxsize=1024)
def _parse(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    prefix, part = match["prefix"], match["part"] or ""
    factor = 1024 ** (_PREFIXES.index(prefix.upper()) + 1) if prefix else 1
    scale: int = 10 ** len(part)
    return (2 * factor * int(match["whole"] + part) + scale) // (2 * scale)


def format_size(n_bytes: float) -> str:
    """Return ``n_bytes`` as reports show it: one decimal, binary units.

    The format is that of pytest-memray. An ``int`` below 1 KiB is not rounded.

    Args:
        n_bytes: a number of bytes; a negative one keeps its sign.

    Returns:
        Text such as ``"117.2KiB"``.

    Example:
        >>> format_size(120_000)
        '117.2KiB'
        >>> format_size(512)
        '512.0B'
    """
    value = float(n_bytes)
    unit = "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        # 1023.95 would print as 1024.0; it belongs to the next unit.
        if abs(value) < 1023.95:
            break
        value /= 1024
        unit = larger
    return f"{value:.1f}{unit}"
