"""Images of goods, as plain bytes: one for each pixel."""

from __future__ import annotations

_UNDO: list[bytearray] = []
_CACHE: dict[tuple[int, int], bytes] = {}


def blank(width: int, height: int) -> bytearray:
    """Return an empty image."""
    return bytearray(width * height)


def thumbnail(image: bytearray, width: int, factor: int) -> bytearray:
    """Return a smaller image: every so many pixels of an image."""
    rows = [image[start : start + width : factor] for start in range(0, len(image), width * factor)]
    return bytearray().join(rows)


def rotated(image: bytearray, width: int) -> bytearray:
    """Return an image turned by 90 degrees."""
    columns = [image[start::width] for start in range(width)]
    return bytearray().join(columns)


def undoable(image: bytearray) -> bytearray:
    """Return an image to draw on; its present state is kept, to undo what is drawn."""
    _UNDO.append(image[:])
    return image


def cached(width: int, height: int) -> bytes:
    """Return an empty image, which is kept for the next time."""
    if (width, height) not in _CACHE:
        _CACHE[width, height] = bytes(blank(width, height))
    return _CACHE[width, height]
