"""A source file as bytes, as text and as a tree, and edits that change nothing else."""

from __future__ import annotations

import ast
import io
import itertools
import re
import tokenize
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Defined: TypeAlias = Function | ast.ClassDef
Holder: TypeAlias = Defined | ast.Module
"""A node with a body of statements, which can have limits."""


class UnchangeableError(Exception):
    """Something in a source file cannot be changed; the message is the reason, for the user."""


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """The replacement of a part of a text.

    Attributes:
        start, end: the indexes of the part.
        new: the new text.
    """

    start: int
    end: int
    new: str


class SourceText:
    """A source file that was read.

    Attributes:
        data: its bytes.
        text: the same, decoded like Python does, without a byte order mark; with its line ends.
        tree: its syntax tree.
        encoding: its encoding; with it, a byte order mark is a character of the text.

    Raises:
        UnchangeableError: it is not Python, or could not be written back unchanged.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        try:
            codec, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
            self.text = data.decode(codec)
            self.tree = parsed(data)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise UnchangeableError(f"it cannot be read as Python: {error}") from error
        self._codec = codec  # utf-8-sig for a file with a byte order mark, which it also writes
        self.encoding = codec.removesuffix("-sig")
        if self.text.encode(codec) != data:
            raise UnchangeableError(f"it cannot be written back in its encoding, {codec}")
        self._lines = lines_of(self.text)
        self._starts = [0, *itertools.accumulate(map(len, self._lines))]

    def index(self, lineno: int, col_offset: int) -> int:
        """Return the index in the text of a position in the tree, which counts bytes of UTF-8."""
        before = self.line(lineno).encode()[:col_offset].decode()
        return self._starts[lineno - 1] + len(before)

    def start_of(self, node: ast.expr | ast.stmt) -> int:
        """Return the index of the first character of a node."""
        return self.index(node.lineno, node.col_offset)

    def segment(self, node: ast.expr) -> Edit:
        """Return an edit that replaces an expression by itself."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start, end = self.start_of(node), self.index(node.end_lineno, node.end_col_offset)
        return Edit(start, end, self.text[start:end])

    def line(self, lineno: int) -> str:
        """Return a line, with its end."""
        return self._lines[lineno - 1]

    def line_start(self, lineno: int) -> int:
        """Return the index at which a line starts; after the last one, the length of the text."""
        return self._starts[lineno - 1]

    def line_end(self, lineno: int) -> str:
        r"""Return the characters that end a line: ``"\n"`` for one without an end."""
        line = self.line(lineno)
        return line[len(line.rstrip("\r\n")) :] or "\n"

    def edited(self, edits: Iterable[Edit]) -> bytes:
        """Return the bytes of the file after edits. Edits at the same place keep their order.

        Raises:
            UnchangeableError: two of them overlap.
        """
        pieces: list[str] = []
        at = 0
        for edit in sorted(edits, key=lambda edit: edit.start):
            if edit.start < at:
                raise UnchangeableError("two changes overlap")
            pieces += [self.text[at : edit.start], edit.new]
            at = edit.end
        return "".join([*pieces, self.text[at:]]).encode(self._codec)


def lines_of(text: str) -> list[str]:
    """Return the lines of a source file, with their ends, as Python counts them."""
    return _LINE.findall(text)


def parsed(data: bytes) -> ast.Module:
    """Return the syntax tree of a source file, without warnings about invalid escapes.

    Raises:
        SyntaxError: it is not Python.
        ValueError: it has a null byte.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(data)


def first_line(node: ast.stmt) -> int:
    """Return the line at which a statement begins, with its decorators."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def same_tree(one: ast.AST, other: ast.AST) -> bool:
    """Whether two trees are equal except for the positions of their nodes."""
    left: list[tuple[object, object]] = [(one, other)]
    while left:
        a, b = left.pop()
        if type(a) is not type(b):
            return False
        if isinstance(a, ast.AST):
            left += [(getattr(a, name, None), getattr(b, name, None)) for name in a._fields]
        elif isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                return False
            left += zip(a, b, strict=True)
        elif a != b:
            return False
    return True
