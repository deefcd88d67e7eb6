"""Finds the place in the source where the limit of a test is written, or a new one belongs."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..suggestions import LimitNow, figure_text
from .definitions import Definition, Definitions, Found, WrittenTest
from .files import ChangeableFiles, FileOnDisk
from .names import Names
from .text import Function, Holder, SourceText, UnchangeableError
from .written_limits import Written, WrittenLimit, written_at


class SourceFile:
    """A source file, read once.

    Attributes:
        disk: the file.
        source: its text and its tree.
        names: the values of its names.
    """

    def __init__(self, disk: FileOnDisk) -> None:
        self.disk = disk
        try:
            self.source = SourceText(disk.data)
        except UnchangeableError as error:
            raise UnchangeableError(f"{disk.shown}: {error}") from error
        self.names = Names(self.source.tree)
        self._definitions = Definitions(self.source.tree)
        self._written: dict[Holder, Written] = {}

    def find(self, definition: Definition) -> list[Found]:
        """Return the possible definitions."""
        return self._definitions.find(definition)

    def written_at(self, holder: Holder) -> Written:
        """Return the limits at a definition, or in the module itself."""
        if holder not in self._written:
            self._written[holder] = written_at(holder, self.names)
        return self._written[holder]

    def at(self, node: ast.expr | ast.stmt) -> str:
        """Return a place in it, as shown to users."""
        return f"{self.disk.shown}:{node.lineno}"


@dataclass(frozen=True, slots=True)
class LimitPlace:
    """What is written as the limit of a test, and the definition or module that has it."""

    file: SourceFile
    limit: WrittenLimit
    holder: Holder

    @property
    def node(self) -> ast.expr:
        """The literal, or another expression."""
        return self.limit.node


@dataclass(frozen=True, slots=True)
class BarePlace:
    """The function of a test that has no limit."""

    file: SourceFile
    found: Found
    node: Function
    test: WrittenTest

    @property
    def holder(self) -> Holder:
        """The function: it will have the limit."""
        return self.node


class Places:
    """Finds places in source files, each of which is read once."""

    def __init__(self, files: ChangeableFiles) -> None:
        self._files = files
        self._read: dict[str, SourceFile | UnchangeableError] = {}

    def function_of(self, test: WrittenTest) -> BarePlace:
        """Return the function above which a limit for one test, with its parameters, belongs.

        Raises:
            UnchangeableError: it is not in the source, or another function runs instead.
        """
        file = self._file(test.function.file)
        functions = [one for one in file.find(test.function) if isinstance(one.node, Function)]
        name = test.function.name
        if not functions:
            raise UnchangeableError(
                f"{file.disk.shown} has no function {name}: it was created at run time"
            )
        if len(functions) > 1:
            raise UnchangeableError(f"{file.disk.shown} defines {name} more than once")
        (found,) = functions
        assert isinstance(found.node, Function)
        if test.implementation is not None and not found.node.decorator_list:
            raise UnchangeableError(f"{file.at(found.node)}: another function runs instead of it")
        return BarePlace(file, found, found.node, test)

    def limit_of(self, test: WrittenTest, now: LimitNow) -> LimitPlace:
        """Return the literal that is the limit of a test.

        Raises:
            UnchangeableError: there is none, or it is not clear which one it is.
        """
        place = self.expression_of(test, now)
        if place.limit.fixed:
            raise UnchangeableError(f"{place.file.at(place.node)}: {place.limit.fixed}")
        return place

    def expression_of(self, test: WrittenTest, now: LimitNow) -> LimitPlace:
        """Return the expression that is the limit of a test: a literal, a name, a call.

        Its ``maximum`` is None if it cannot be read. Then another one can be the limit.

        Raises:
            UnchangeableError: there is none, or it is not clear which one it is.
        """
        missed: list[str] = []
        for level in self._levels(test, missed):
            limits = [
                LimitPlace(file, limit, holder)
                for file, holder in level
                for limit in file.written_at(holder).limits
                if limit.kind in (now.kind, None) and limit.counts_for(test.framework)
            ]
            alike = [one for one in limits if one.limit.maximum == now.maximum]
            unclear = [one for one in limits if one.limit.maximum is None]
            if unclear:
                return unclear[0]
            if len(alike) > 1:
                lines = ", ".join(one.file.at(one.node) for one in alike)
                raise UnchangeableError(f"several limits have the same value: {lines}")
            if alike:
                return alike[0]
            # The limit of a parameter applies only to that parameter.
            others = [one for one in limits if not one.limit.of_parameter]
            if others:
                raise UnchangeableError(_differs(others[0], now))
        where = f" ({now.origin})" if now.origin else ""
        reasons = "".join(f"; {reason}" for reason in dict.fromkeys(missed))
        raise UnchangeableError(f"its limit is not written at the test{where}{reasons}")

    def holders(self, test: WrittenTest) -> Iterator[Holder]:
        """Yield the definitions and the module that can have a limit of a test, if readable."""
        for level in self._levels(test, []):
            yield from (holder for _, holder in level)

    def is_in_its_module(self, place: LimitPlace | BarePlace, test: WrittenTest) -> bool:
        """Whether a place is in the module from which a test is run."""
        return place.file.disk.path == self._files.real(test.module)

    def _levels(
        self, test: WrittenTest, missed: list[str]
    ) -> Iterator[list[tuple[SourceFile, Holder]]]:
        """Yield the places where a limit of a test can be written, the closest first.

        Args:
            test: the test.
            missed: a list to which the reasons are added why some of them cannot be read.
        """
        functions = (test.function, test.implementation)
        yield list(self._nodes((one for one in functions if one is not None), missed))
        for cls in (*test.classes, *_around(test.classes)):
            yield list(self._nodes([cls], missed))
        try:
            file = self._file(test.module)
        except UnchangeableError as error:
            missed.append(str(error))
        else:
            yield [(file, file.source.tree)]

    def _nodes(
        self, definitions: Iterable[Definition], missed: list[str]
    ) -> Iterator[tuple[SourceFile, Holder]]:
        for definition in definitions:
            try:
                file = self._file(definition.file)
            except UnchangeableError as error:
                missed.append(str(error))
            else:
                yield from ((file, found.node) for found in file.find(definition))

    def _file(self, path: str) -> SourceFile:
        real = self._files.real(path)
        if real not in self._read:
            try:
                self._read[real] = SourceFile(self._files.read(real))
            except UnchangeableError as error:
                self._read[real] = error
        file = self._read[real]
        if isinstance(file, UnchangeableError):
            raise file
        return file


def _differs(place: LimitPlace, now: LimitNow) -> str:
    assert place.limit.maximum is not None
    written = figure_text(now.kind, place.limit.maximum)
    enforced = figure_text(now.kind, now.maximum)
    return f"{place.file.at(place.node)} says {written}, but the limit was {enforced}"


def _around(classes: tuple[Definition, ...]) -> Iterator[Definition]:
    """Yield the classes in which the class of a test is nested, the innermost first."""
    if classes:
        name = classes[0].name
        while "." in name:
            name = name.rpartition(".")[0]
            if not name.endswith("<locals>"):
                yield Definition(classes[0].file, name)
