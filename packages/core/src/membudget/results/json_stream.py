"""Reads JSON piece by piece: of a large file, only one value is in memory at a time.

The layout of the file does not matter: a value may be on one line or on many.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from json import JSONDecodeError, JSONDecoder, detect_encoding
from typing import Any, Final

_BLANK: Final = " \t\n\r"
_AFTER_VALUE: Final = frozenset(f"{_BLANK}:,]}}")
_BLANKS: Final = re.compile(f"[{_BLANK}]*")
_DECODE: Final = JSONDecoder().raw_decode


class JsonStream:
    """A JSON document that is read from its start to its end.

    Call :meth:`members`, :meth:`items` or :meth:`value` once for each value, in the order of the
    document. A member or an item that is not asked for is skipped.

    Args:
        pieces: the bytes of the document.

    Example:
        >>> stream = JsonStream([b'{"format": 2, "resu', b'lts": [{"name": "a"}, 7]}'])
        >>> for key in stream.members():
        ...     print(key, list(stream.items()) if key == "results" else stream.value())
        format 2
        results [{'name': 'a'}, 7]
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._decoder: Any = None  # from bytes to text
        self._text = ""
        self._at = 0  # where in the text the next value is
        self._n_dropped = 0  # characters before the text
        self._value_start = 0
        self._expects_value = True

    def value(self) -> Any:
        """Return the next value.

        Raises:
            ValueError: the document is not JSON.
        """
        self._blanks()
        while True:
            try:
                value, end = _DECODE(self._text, self._at)
            except JSONDecodeError as error:
                if not self._more():
                    raise self._error(error.msg, error.pos) from None
                continue
            # A number may go on: "1", "1." and "1.5e" are the beginnings of "1.5e3".
            if self._text[end : end + 1] in _AFTER_VALUE or not self._more():
                self._value_start, self._at = self._at, end
                self._expects_value = False
                return value

    @property
    def text(self) -> str:
        """The value that was returned last, as it is in the document."""
        return self._text[self._value_start : self._at]

    def members(self) -> Iterator[str]:
        """Yield the keys of the object that is the next value. After each, ask for its value.

        Raises:
            ValueError: the document is not JSON, or the value is not an object.
        """
        for _ in self._inside("{", "}"):
            if self._blanks() != '"':
                raise self._error("Expecting property name enclosed in double quotes", self._at)
            key: str = self.value()
            self._skip(":")
            self._expects_value = True
            yield key

    def items(self) -> Iterator[Any]:
        """Yield the items of the array that is the next value.

        Raises:
            ValueError: the document is not JSON, or the value is not an array.
        """
        for _ in self._inside("[", "]"):
            yield self.value()

    def next_is(self, start: str) -> bool:
        """Whether the next value begins with a character, such as ``{``."""
        return self._blanks() == start

    def end(self) -> None:
        """Check that nothing comes any more.

        Raises:
            ValueError: there is more.
        """
        if self._blanks():
            raise self._error("Extra data", self._at)

    def _inside(self, opening: str, closing: str) -> Iterator[None]:
        """Yield before each member or item of the next value."""
        self._skip(opening)
        if self._blanks() != closing:
            while True:
                self._expects_value = True
                yield
                if self._expects_value:
                    self.value()
                if self._blanks() == closing:
                    break
                self._skip(",")
        self._skip(closing)
        self._expects_value = False

    def _skip(self, character: str) -> None:
        if self._blanks() != character:
            raise self._error(f"Expecting {character!r}", self._at)
        self._at += 1

    def _blanks(self) -> str:
        """Skip blanks, and return the character after them; empty at the end."""
        if self._at < len(self._text) and self._text[self._at] not in _BLANK:
            return self._text[self._at]
        while True:
            blanks = _BLANKS.match(self._text, self._at)
            assert blanks is not None
            self._at = blanks.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _more(self) -> bool:
        """Read on, and drop the text before the next value.

        Reads at least as much as there is: so a large value is not decoded again and again.

        Returns:
            False at the end of the document.
        """
        left = self._text[self._at :]
        parts: list[str] = []
        n_read = 0
        while n_read <= len(left):
            piece = next(self._pieces, b"")
            if self._decoder is None:
                encoding = detect_encoding(piece)
                self._decoder = getincrementaldecoder(encoding)("surrogatepass")
            parts.append(self._decoder.decode(piece, final=not piece))
            n_read += len(parts[-1])
            if not piece:
                break
        if n_read == 0:
            return False
        self._n_dropped += self._at
        self._at = self._value_start = 0
        self._text = "".join([left, *parts])
        return True

    def _error(self, message: str, position: int) -> ValueError:
        """Return an error for a position in the text, which says where that is in the document."""
        return ValueError(f"{message}, at character {self._n_dropped + position:,}")
