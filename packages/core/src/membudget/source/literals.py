"""Changes the number in a literal that is a limit."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from typing import Final

from ..limit_words import LimitKind
from ..sizes import parse_size
from ..suggestions import limit_text
from .text import Edit, SourceText, UnchangeableError

_STRING: Final = re.compile(r"(?P<prefix>[a-zA-Z]*)(?P<quote>'''|\"\"\"|'|\")")
_SIZE: Final = re.compile(r"\s*[0-9.]+(?P<blanks>\s*)(?P<unit>[a-zA-Z]+)\s*")
_DECIMAL: Final = re.compile(r"[0-9_]+")


def with_number(
    source: SourceText, node: ast.expr, kind: LimitKind, maximum: int
) -> tuple[Edit, str | int]:
    """Return the edit that writes another number into a literal, and the literal's new value.

    It keeps the quotes, and the way in which a size is written: ``'24MiB'`` becomes ``'12MiB'``.

    Args:
        source: the file.
        node: the literal, a string or an int.
        kind: what is limited.
        maximum: in bytes, or a count.

    Raises:
        UnchangeableError: there is a comment between the parts of a string.
    """
    written = source.segment(node)
    assert isinstance(node, ast.Constant)
    if isinstance(node.value, str):
        if "#" in written.new:  # no size has one
            raise UnchangeableError("it has a comment between its parts")
        string = _STRING.match(written.new)
        assert string is not None
        text = _in_the_style_of(node.value, limit_text(kind, maximum))
        # Several adjacent strings become one, with the quotes of the first.
        prefix, quote = string["prefix"], string["quote"]
        return replace(written, new=f"{prefix}{quote}{text}{quote}"), text
    grouped = "_" in written.new or not _DECIMAL.fullmatch(written.new) or len(written.new) < 5
    return replace(written, new=f"{maximum:_}" if grouped else f"{maximum}"), maximum


def _in_the_style_of(old: str, new: str) -> str:
    """Return a size with the blanks, the case and the ``iB`` of another one.

    Example:
        >>> _in_the_style_of("24mib", "1.5 GB")
        '1.5gib'
    """
    style = _SIZE.fullmatch(old)
    number, unit = new.split()
    if style is None:
        return new
    if "i" in style["unit"].lower() and len(unit) == 2:
        unit = f"{unit[0]}iB"
    if style["unit"].islower():
        unit = unit.lower()
    elif style["unit"].isupper():
        unit = unit.upper()
    styled = f"{number}{style['blanks']}{unit}"
    # A line break counts as a blank, but cannot be part of a string on one line.
    return styled if styled.isprintable() and parse_size(styled) == parse_size(new) else new
