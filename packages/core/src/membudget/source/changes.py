"""Makes all changes of one file together, and checks that nothing else differs afterwards."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass

from ..limit_words import KIND_NAMES, LimitKind
from ..suggestions import limit_text
from .additions import Insertion, decorator, limit_function
from .files import FileOnDisk
from .literals import with_number
from .places import BarePlace, LimitPlace, SourceFile
from .text import Edit, Function, UnchangeableError, parsed, same_tree


@dataclass(frozen=True, slots=True)
class Change:
    """A limit that gets another number, or is new.

    Attributes:
        tests: the measured tests that have this limit.
        kind: what is limited.
        file: the path of the file, relative to the root.
        line: the line of the number, or of the ``def``, before the change.
        old: the limit as reports show it; empty for a new one.
        new: the suggested limit.
    """

    tests: tuple[str, ...]
    kind: LimitKind
    file: str
    line: int
    old: str
    new: str

    def __str__(self) -> str:
        change = f"{self.old} -> {self.new}" if self.old else f"{self.new}, new"
        more = f" and {len(self.tests) - 1} more" if len(self.tests) > 1 else ""
        return f"{self.file}:{self.line}: {KIND_NAMES[self.kind]} {change} ({self.tests[0]}{more})"


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file with all its changes.

    Attributes:
        disk: the present file.
        new: its bytes after the changes.
        encoding: the encoding of both; with it, a byte order mark is a character of the text.
        changes: the changes.
    """

    disk: FileOnDisk
    new: bytes
    encoding: str
    changes: tuple[Change, ...]


class FileChanges:
    """Collects the changes of one file.

    Attributes:
        file: the file.
        changes: the changes so far.
    """

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self.changes: list[Change] = []
        self._edits: list[Edit] = []
        self._values: list[tuple[ast.Constant, str | int]] = []
        self._decorators: list[tuple[Function, Insertion]] = []
        self._imports: list[Insertion] = []

    def write_number(
        self, place: LimitPlace, maximum: int, tests: tuple[str, ...], old: str
    ) -> None:
        """Change the number of a limit.

        Raises:
            UnchangeableError: it cannot be changed.
        """
        kind, node = place.limit.kind, place.node
        assert kind is not None
        assert isinstance(node, ast.Constant)
        edit, value = with_number(self.file.source, node, kind, maximum)
        self._edits.append(edit)
        self._values.append((node, value))
        self._changed(tests, kind, node.lineno, old, limit_text(kind, maximum))

    def add_limit(self, place: BarePlace, maximum: int, tests: tuple[str, ...]) -> None:
        """Write a limit on the peak above a function.

        Raises:
            UnchangeableError: the name that it needs has another meaning in the file.
        """
        source = self.file.source
        called, needed = limit_function(source, self.file.names, place.found, place.test.framework)
        text = limit_text("peak_bytes", maximum)
        self._decorators.append((place.node, decorator(source, place.node, f'{called}("{text}")')))
        if needed is not None and needed not in self._imports:
            self._imports.append(needed)
        self._changed(tests, "peak_bytes", place.node.lineno, "", text)

    def _changed(
        self, tests: tuple[str, ...], kind: LimitKind, line: int, old: str, new: str
    ) -> None:
        self.changes.append(Change(tests, kind, self.file.disk.shown, line, old, new))

    def result(self) -> ChangedFile:
        """Return the file with all changes.

        Raises:
            UnchangeableError: something else than its limits would change as well.
        """
        source = self.file.source
        insertions = [*self._imports, *(one for _, one in self._decorators)]
        new = source.edited([*(one.edit for one in insertions), *self._edits])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(new, self.file.disk.path, "exec", dont_inherit=True)
            is_as_expected = same_tree(parsed(new), self._expected_tree())
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise UnchangeableError(f"{self.file.disk.shown} would be broken: {error}") from error
        if not is_as_expected:
            raise UnchangeableError(f"{self.file.disk.shown} would change in other ways as well")
        changes = tuple(sorted(self.changes, key=lambda change: change.line))
        return ChangedFile(self.file.disk, new, source.encoding, changes)

    def _expected_tree(self) -> ast.Module:
        """Make the changes in the tree of the file, and return it."""
        tree = self.file.source.tree
        for node, value in self._values:
            node.value = value
        for function, one in self._decorators:
            (template,) = ast.parse(f"{one.code}\ndef function(): ...").body
            assert isinstance(template, ast.FunctionDef)
            function.decorator_list.insert(one.index, template.decorator_list[0])
        in_order = sorted(self._imports, key=lambda one: (one.index, one.edit.start))
        for n_above, one in enumerate(in_order):
            tree.body[one.index + n_above : one.index + n_above] = ast.parse(one.code).body
        return tree
