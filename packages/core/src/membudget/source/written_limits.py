"""Finds the limits that are written at a function, a class or a module."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from ..errors import InvalidSizeError
from ..limit_words import LimitKind
from ..sizes import parse_size
from .definitions import Framework
from .names import Names, targets_of
from .text import Defined, Holder

ARGUMENTS: Final[dict[str, dict[str, LimitKind]]] = {
    "limit_memory": {
        "limit": "peak_bytes",
        "total": "total_bytes",
        "allocations": "n_allocations",
        "retained": "retained_bytes",
    },
    "limit_leaks": {"location_limit": "leaks"},
}
"""The arguments that are limits. The first one may be positional."""
_OBJECTS: Final = "limit_leaked_objects"
_WAIVERS: Final = ("no_memory_limit", "no_memray")
_WITHOUT_NUMBER: Final = (_OBJECTS, *_WAIVERS)
_ATTRIBUTE: Final = "memory_limit"
_MARKS: Final = "pytestmark"


@dataclass(frozen=True, slots=True)
class WrittenLimit:
    """A limit in the source.

    Attributes:
        kind: what it limits; None if that cannot be read, so that it can be anything.
        node: the expression.
        maximum: in bytes, or a count; None if it cannot be read.
        fixed: why it must not be changed; empty for a literal.
        is_marker: whether it is in a marker of pytest.
        of_parameter: whether it is in a ``pytest.param()``, and applies only to that parameter.
    """

    kind: LimitKind | None
    node: ast.expr
    maximum: int | None = None
    fixed: str = ""
    is_marker: bool = False
    of_parameter: bool = False

    def counts_for(self, framework: Framework) -> bool:
        """Whether it is enforced in runs of a framework."""
        return framework == "pytest" or not self.is_marker


@dataclass(frozen=True, slots=True)
class Written:
    """What a function, a class or a module says about memory.

    Attributes:
        limits: the limits.
        waiver: whether it waives limits, or turns off measuring.
        objects: whether leaked objects are forbidden, which has no number.
    """

    limits: tuple[WrittenLimit, ...] = ()
    waiver: bool = False
    objects: bool = False


def written_at(holder: Holder, names: Names) -> Written:
    """Return what a function, a class or a module says about memory."""
    limits: list[WrittenLimit] = []
    waiver = objects = False
    for one in _marks_at(holder, names):
        if isinstance(one, WrittenLimit):
            limits.append(one)
        elif one in _WAIVERS:
            waiver = True
        else:
            objects = True
    return Written(tuple(limits), waiver, objects)


def _marks_at(holder: Holder, names: Names) -> Iterator[WrittenLimit | str]:
    """Yield the limits, and the names of marks without a number."""
    for mark in marks_written_at(holder):
        yield from _in_mark(mark, names)
    if isinstance(holder, ast.ClassDef):
        for value, targets in attributes_at(holder):
            yield from _in_attribute(value, targets)


_Assignment: TypeAlias = ast.Assign | ast.AnnAssign | ast.AugAssign


def _assignments(holder: ast.Module | ast.ClassDef) -> Iterator[tuple[_Assignment, list[str]]]:
    """Yield the assignments in a scope, but not in inner scopes."""
    left: list[ast.AST] = list(reversed(holder.body))
    while left:
        node = left.pop()
        if isinstance(node, _Assignment) and node.value is not None:
            yield node, targets_of(node)
        elif not isinstance(node, Defined | ast.expr):
            left += ast.iter_child_nodes(node)


def _in_attribute(value: ast.expr, targets: list[str]) -> Iterator[WrittenLimit | str]:
    if isinstance(value, ast.Constant) and value.value is None:
        yield _WAIVERS[0]
        return
    limit = _read("peak_bytes", value)
    if len(targets) > 1 and not limit.fixed:
        limit = replace(limit, fixed="several names are assigned at once")
    yield limit


def each_mark(
    mark: ast.expr, names: Names, *, follow: bool = True
) -> Iterator[tuple[ast.expr, str]]:
    """Yield single marks, and the name through which each is written; empty if there is none.

    Args:
        mark: a decorator, the value of ``pytestmark`` or of ``marks=``, or a part of one.
        names: the names in the file.
        follow: whether to replace a name by its value. The value can contain the same name.
    """
    if isinstance(mark, ast.List | ast.Tuple | ast.Set):
        for element in mark.elts:
            yield from each_mark(element, names, follow=follow)
    elif isinstance(mark, ast.BinOp):
        for side in (mark.left, mark.right):
            yield from each_mark(side, names, follow=follow)
    elif isinstance(mark, ast.Starred):
        yield from each_mark(mark.value, names, follow=follow)
    elif isinstance(mark, ast.Name) and follow and names.assigned(mark.id):
        for value in names.assigned(mark.id):
            for one, _ in each_mark(value, names, follow=False):
                yield one, mark.id
    else:
        yield mark, ""


def marks_written_at(holder: Holder) -> Iterator[ast.expr]:
    """Yield the decorators of a definition, and the values of ``pytestmark`` in it."""
    yield from getattr(holder, "decorator_list", ())
    if isinstance(holder, ast.Module | ast.ClassDef):
        for statement, targets in _assignments(holder):
            if _MARKS in targets and statement.value is not None:
                yield statement.value


def attributes_at(cls: ast.ClassDef) -> Iterator[tuple[ast.expr, list[str]]]:
    """Yield the values of ``memory_limit`` in a class, and all names that get the value."""
    for statement, targets in _assignments(cls):
        if _ATTRIBUTE in targets and statement.value is not None:
            yield statement.value, targets


def _in_mark(mark: ast.expr, names: Names, *, follow: bool = True) -> Iterator[WrittenLimit | str]:
    """Yield the limits, and the names of marks without a number."""
    for one, alias in each_mark(mark, names, follow=follow):
        found: Iterable[WrittenLimit | str] = ()
        if isinstance(one, ast.Call):
            found = _in_call(one, names, follow=follow and not alias)
        elif (name := names.dotted(one).rpartition(".")[2]) in _WITHOUT_NUMBER:
            found = (name,)
        yield from _with_name(alias, found) if alias else found


def _in_call(mark: ast.Call, names: Names, *, follow: bool) -> Iterator[WrittenLimit | str]:
    dotted = names.dotted(mark.func)
    name = dotted.rpartition(".")[2]
    if name in ARGUMENTS:
        is_marker = ".mark." in f".{dotted}"
        for limit in _in_arguments(mark, ARGUMENTS[name]):
            yield replace(limit, is_marker=is_marker)
    elif name in _WITHOUT_NUMBER:
        yield name
    elif name == "parametrize":
        yield from _in_parameters(mark, names, follow=follow)


def _with_name(name: str, marks: Iterable[WrittenLimit | str]) -> Iterator[WrittenLimit | str]:
    for one in marks:
        if isinstance(one, WrittenLimit):
            yield replace(one, fixed=f"it has the name {name}, which other tests may use as well")
        else:
            yield one


def _in_parameters(parametrize: ast.Call, names: Names, *, follow: bool) -> Iterator[WrittenLimit]:
    """Yield the limits of the ``pytest.param(..., marks=...)`` in an expression."""
    for marks in marks_of_parameters(parametrize, names):
        for one in _in_mark(marks, names, follow=follow):
            if isinstance(one, WrittenLimit):
                yield replace(one, of_parameter=True)


def marks_of_parameters(parametrize: ast.AST, names: Names) -> Iterator[ast.expr]:
    """Yield the ``marks=`` of each ``pytest.param(...)`` below a node."""
    for node in ast.walk(parametrize):
        if isinstance(node, ast.Call) and names.dotted(node.func).rpartition(".")[2] == "param":
            yield from (keyword.value for keyword in node.keywords if keyword.arg == "marks")


def _in_arguments(call: ast.Call, kinds: dict[str, LimitKind]) -> Iterator[WrittenLimit]:
    given: list[tuple[LimitKind | None, ast.expr]] = [
        (kinds[keyword.arg], keyword.value) for keyword in call.keywords if keyword.arg in kinds
    ]
    given += [(None, keyword.value) for keyword in call.keywords if keyword.arg is None]
    if call.args:
        first = call.args[0]
        is_starred = isinstance(first, ast.Starred)
        given.insert(0, (None if is_starred else next(iter(kinds.values())), first))
    for kind, value in given:
        if kind is None:
            yield WrittenLimit(None, value, fixed="its arguments come from * or **")
        elif not (isinstance(value, ast.Constant) and value.value is None):
            yield _read(kind, value)


def _read(kind: LimitKind, value: ast.expr) -> WrittenLimit:
    if isinstance(value, ast.Constant):
        maximum = _maximum(kind, value.value)
        fixed = "" if maximum is not None else "it is not a valid limit"
        return WrittenLimit(kind, value, maximum, fixed)
    if isinstance(value, ast.JoinedStr):
        return WrittenLimit(kind, value, fixed="it is an f-string")
    if isinstance(value, ast.Name | ast.Attribute):
        return WrittenLimit(kind, value, fixed=f"it is the name {ast.unparse(value)}")
    return WrittenLimit(kind, value, fixed="it is an expression")


def _maximum(kind: LimitKind, value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    if kind == "n_allocations":
        return value if isinstance(value, int) else None
    try:
        return parse_size(value)
    except InvalidSizeError:
        return None
