"""Checks the limits in a source file without running it, by the rules of a run of tests.

Only literals are checked: an argument that is a name or an expression counts as right.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..budget_arguments import memory_budget
from ..errors import InvalidLimitError, UnsupportedLimitError
from ..marker_arguments import (
    KEEPS_OUT,
    LIMIT_MARKERS,
    LIMIT_WITHOUT_MEASURING,
    MARKERS,
    arguments_of,
    check_one_place,
    marker_rules,
)
from ..rules import TestRules
from .definitions import Definitions
from .names import Names
from .text import Holder, SourceText
from .written_limits import attributes_at, each_mark, marks_of_parameters, marks_written_at

_ASSERTION: Final = "assertMemoryLimit"
_WITH_ATTRIBUTE: Final = ("MemoryTestCase", "MemoryTestMixin")
_RIGHT: Final[dict[str, Any]] = {
    "limit": "1 B",
    "location_limit": "1 B",
    "total": "1 B",
    "retained": "1 B",
    "allocations": 1,
    "filter_fn": callable,
    "reason": "",
    "current_thread_only": False,
    "only": "unknown",
    "ignore": "unknown",
    "include": "call",
    "stable": None,
}
"""A right value for each argument, which stands for one that is not a literal."""
_OF_SCOPE: Final = ("current_thread_only", "only", "ignore", "include", "stable")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something that is wrong with a limit.

    Attributes:
        line: where.
        message: what, and what to do.
    """

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class _Declared:
    """A limit or a waiver.

    Attributes:
        name: such as ``limit_memory``.
        written: how it is written, for messages.
        line: where.
        is_marker: whether it is a marker of pytest, and not membudget's own decorator or block.
        rules: the rules that it declares; None if they are wrong, or not all of them are literals.
    """

    name: str
    written: str
    line: int
    is_marker: bool
    rules: TestRules | None


def problems_in(data: bytes) -> tuple[list[Problem], int]:
    """Return what is wrong with the limits in a source file, and how many limits it has.

    Args:
        data: the content of the file.

    Raises:
        UnchangeableError: it is not Python.

    Example:
        >>> problems, n_limits = problems_in(b"pytestmark = pytest.mark.no_memray(1)")
        >>> problems[0].message, n_limits
        ('@pytest.mark.no_memray(1): too many positional arguments', 1)
    """
    check = _Check(SourceText(data).tree)
    check.all()
    return sorted(set(check.problems)), check.n_limits


class _Check:
    """The check of one file.

    Attributes:
        problems: what is wrong.
        n_limits: how many limits and waivers there are.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.problems: list[Problem] = []
        self.n_limits = 0
        self._tree = tree
        self._names = Names(tree)
        self._known: dict[ast.expr, _Declared | None] = {}

    def all(self) -> None:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call):
                self._declared(node)
        at_module = self._at(self._tree)
        self._check_place(at_module)
        for marks in marks_of_parameters(self._tree, self._names):
            self._check_place(list(self._in_marks([marks])))
        for found in Definitions(self._tree).all():
            own = self._at(found.node)
            self._check_place(own)
            if isinstance(found.node, ast.ClassDef):
                self._check_attributes(found.node)
            if own and all(isinstance(outer, ast.ClassDef) for outer in found.within):
                around = (self._at(outer) for outer in reversed(found.within))
                self._check_levels([own, *around, at_module])

    def _at(self, holder: Holder) -> list[_Declared]:
        marks = list(marks_written_at(holder))
        if len(marks) - len(getattr(holder, "decorator_list", ())) > 1:
            return []  # pytestmark has several values, and only one of them counts
        return list(self._in_marks(marks))

    def _in_marks(self, marks: Iterable[ast.expr]) -> Iterator[_Declared]:
        for mark in marks:
            for one, alias in each_mark(mark, self._names):
                declared = self._declared(one)
                # Of a name with several values, only one counts.
                if declared is not None and len(self._names.assigned(alias)) < 2:
                    yield declared

    def _declared(self, node: ast.expr) -> _Declared | None:
        if node not in self._known:
            declared = self._known[node] = self._read(node)
            self.n_limits += declared is not None
        return self._known[node]

    def _read(self, node: ast.expr) -> _Declared | None:
        """Return what a call or a marker without arguments declares, and note what is wrong."""
        function = node.func if isinstance(node, ast.Call) else node
        module, _, name = self._names.dotted(function).rpartition(".")
        is_marker = f".{module}".endswith(".mark") and name in MARKERS
        is_own = isinstance(node, ast.Call) and (
            (module == "membudget" and name in LIMIT_MARKERS) or name == _ASSERTION
        )
        if not (is_marker or is_own):
            return None
        call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
        shown = ", ".join(map(ast.unparse, [*call.args, *call.keywords]))
        written = f"@pytest.mark.{name}({shown})" if is_marker else name
        rules = None
        try:
            args, kwargs, is_known = _arguments(call, name)
            taken = "limit_memory" if name == _ASSERTION else name
            rules = marker_rules(taken, args, kwargs, where=written)
        except UnsupportedLimitError:
            is_known = False  # the Python that runs the tests can be another one
        except InvalidLimitError as error:
            is_known = False
            self.problems.append(Problem(node.lineno, str(error)))
        return _Declared(name, written, node.lineno, is_marker, rules if is_known else None)

    def _check_attributes(self, cls: ast.ClassDef) -> None:
        """Check ``memory_limit`` in a class that has it from unittest_membudget."""
        bases = [self._names.dotted(base).rpartition(".")[2] for base in cls.bases]
        if not set(bases) & set(_WITH_ATTRIBUTE):
            return
        for value, _ in attributes_at(cls):
            limit = _literal(value, "limit")
            self.n_limits += 1
            try:
                if limit is not None:
                    memory_budget(limit, where=f"{cls.name}.memory_limit")
            except InvalidLimitError as error:
                self.problems.append(Problem(value.lineno, str(error)))

    def _check_place(self, declared: Sequence[_Declared]) -> None:
        markers = [one for one in declared if one.is_marker]
        try:
            check_one_place([one.name for one in markers])
        except InvalidLimitError as error:
            self.problems.append(Problem(markers[-1].line, str(error)))

    def _check_levels(self, levels: Sequence[Sequence[_Declared]]) -> None:
        """Check that what is declared at a definition and around it can be combined.

        Args:
            levels: what is declared, closest first.
        """
        declared = list(itertools.chain.from_iterable(levels))
        is_kept_out = any(one.name == KEEPS_OUT for one in declared if one.is_marker)
        rules = TestRules()
        for one in declared:
            if one.rules is None:
                return
            problem = ""
            try:
                rules = rules.combined_with(one.rules)
            except InvalidLimitError as error:
                problem = str(error)
            if is_kept_out and one.is_marker and one.rules.budget is not None:
                problem = LIMIT_WITHOUT_MEASURING
            if problem:
                self.problems.append(Problem(declared[0].line, f"{one.written}: {problem}"))
                return
            if rules.waiver is not None:
                return


def _arguments(call: ast.Call, name: str) -> tuple[list[Any], dict[str, Any], bool]:
    """Return the arguments of a call, and whether all that decides what counts is known."""
    parameters = list(arguments_of("limit_memory" if name == _ASSERTION else name).parameters)
    keywords = [
        one for one in call.keywords if name != _ASSERTION or one.arg in (*parameters, None)
    ]
    positional: list[ast.expr] = call.args
    if name == _ASSERTION and len(call.args) > 1:
        # The others are a callable and its own arguments.
        positional, keywords = call.args[:1], []
    is_known = not any(
        isinstance(one, ast.Starred) or (isinstance(one, ast.keyword) and one.arg is None)
        for one in (*positional, *keywords)
    )
    first = parameters[0] if parameters else ""
    args = [_literal(one, first) for one in positional if not isinstance(one, ast.Starred)]
    kwargs = {one.arg: _literal(one.value, one.arg) for one in keywords if one.arg is not None}
    if not is_known and first and not args:
        kwargs.setdefault(first, _RIGHT[first])
    scope = [one for one in keywords if one.arg in _OF_SCOPE]
    is_known = is_known and all(_is_literal(one.value) for one in scope)
    return args, kwargs, is_known


def _is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _literal(value: ast.expr, argument: str) -> Any:
    """Return the value of an argument; if it is no literal, a right one that stands for it."""
    return ast.literal_eval(value) if _is_literal(value) else _RIGHT.get(argument)
