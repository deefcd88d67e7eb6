"""Adds a limit to a function that has none: a decorator, and the import that it needs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .definitions import Found, Framework
from .names import Binding, Names, bindings_in
from .text import Edit, Function, SourceText, UnchangeableError, first_line

_OBJECTS_OF_CLASSES: Final = ("staticmethod", "classmethod", "property", "cached_property")


@dataclass(frozen=True, slots=True)
class Insertion:
    """A line that is added.

    Attributes:
        edit: the edit of the text.
        code: the line itself.
        index: its position in the tree: among the decorators, or the statements of the module.
    """

    edit: Edit
    code: str
    index: int


def decorator(source: SourceText, function: Function, expression: str) -> Insertion:
    """Return a new decorator for a function, above its other decorators.

    But it goes below ``@staticmethod`` and similar decorators, which do not return functions.
    """
    decorators = function.decorator_list
    below = [number for number, one in enumerate(decorators, 1) if _is_an_object(one)]
    index = max(below, default=0)
    lineno = function.lineno
    if index < len(decorators):
        lineno = decorators[index].lineno
        # An expression in brackets can begin on a later line than its @.
        while not source.line(lineno).lstrip().startswith("@"):
            lineno -= 1
    line = source.line(lineno)
    indented = line[: len(line) - len(line.lstrip())]
    indent = indented.rpartition("\f")[2]
    at = source.line_start(lineno) + len(indented) - len(indent)
    code = f"@{expression}"
    return Insertion(Edit(at, at, f"{indent}{code}{source.line_end(lineno)}"), code, index)


def _is_an_object(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).rpartition(".")[2] in _OBJECTS_OF_CLASSES


_NEEDED: Final[dict[Framework, tuple[str, str, str]]] = {
    "pytest": ("pytest", "pytest.mark.limit_memory", "import pytest"),
    "unittest": (
        "limit_memory",
        "membudget.limit_memory",
        "from membudget import limit_memory",
    ),
}
"""The name to import, the expression for the decorator, and the import statement."""


def limit_function(
    source: SourceText, names: Names, found: Found, framework: Framework
) -> tuple[str, Insertion | None]:
    """Return the expression for ``limit_memory`` above a function, and the import for it.

    Args:
        source: the file.
        names: the names in the file.
        found: the function.
        framework: decides between pytest's marker and membudget's decorator.

    Returns:
        An expression such as ``"pytest.mark.limit_memory"``, and the import, unless the file
        already has one that can be used.

    Raises:
        UnchangeableError: the name has another meaning in the file.
    """
    name, called, statement = _NEEDED[framework]
    for binding in names.of_module:
        if binding.imported and called.startswith(f"{binding.imported}."):
            rest = called.removeprefix(binding.imported)
        elif binding.imported == called:
            rest = ""
        else:
            continue
        if _can_be_used(binding, names, found):
            return f"{binding.name}{rest}", None
    imported = called if "from" in statement else name
    others = [one for one in names.of_module if one.name == name and one.imported != imported]
    if others or _is_hidden(name, found):
        raise UnchangeableError(f"the name {name} has another meaning in the file")
    return (name if "from" in statement else called), _import(source, statement)


def _can_be_used(binding: Binding, names: Names, found: Found) -> bool:
    """Whether an imported name has its value where a function is defined."""
    outermost = (*found.within, found.node)[0]
    return (
        binding.statement.lineno < outermost.lineno
        # `if TYPE_CHECKING` is false at run time, and other conditions are unknown.
        and isinstance(binding.statement, ast.Import | ast.ImportFrom | ast.Try)
        and not _is_hidden(binding.name, found)
        and all(
            other.statement is binding.statement or other.imported == binding.imported
            for other in names.of_module
            if other.name == binding.name
        )
    )


def _is_hidden(name: str, found: Found) -> bool:
    """Whether a class or a function around a function defines the same name."""
    return any(binding.name == name for scope in found.within for binding in bindings_in(scope))


def _import(source: SourceText, code: str) -> Insertion:
    """Return an import at the top of a file, in its usual place."""
    body = source.tree.body
    first = _n_at_the_top(body)
    imports = list(_leading_imports(body[first:]))
    others = [one for one in imports if _section(one) == "other"]
    standard = [one for one in imports if _section(one) == "standard"]
    for one in others:
        index = body.index(one)
        if _goes_before(code, one) and _begins_its_line(body, index):
            return _before(source, body, index, code, blank=False)
    above: list[ast.stmt] = [*body[:first], *(others or standard)]
    if not above:
        return _before(source, body, 0, code, blank=True)
    return _after(source, body, body.index(above[-1]) + 1, code, blank=not others)


def _n_at_the_top(body: list[ast.stmt]) -> int:
    """Count the statements that have to be first: a docstring, and imports from __future__."""
    n = 0
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        n = int(isinstance(body[0].value.value, str))
    while n < len(body) and _module_of(body[n]) == "__future__":
        n += 1
    return n


def _leading_imports(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    for statement in body:
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            return
        yield statement


def _module_of(statement: ast.stmt) -> str:
    if isinstance(statement, ast.ImportFrom):
        return "." * statement.level + (statement.module or "")
    return statement.names[0].name if isinstance(statement, ast.Import) else ""


def _section(statement: ast.Import | ast.ImportFrom) -> str:
    module = _module_of(statement).partition(".")[0]
    if not module:
        return "relative"
    return "standard" if module in sys.stdlib_module_names else "other"


def _goes_before(code: str, other: ast.Import | ast.ImportFrom) -> bool:
    """Whether an import goes before another one of its section, as isort and ruff sort them."""
    (new,) = ast.parse(code).body
    return (isinstance(new, ast.ImportFrom), _module_of(new)) < (
        isinstance(other, ast.ImportFrom),
        _module_of(other),
    )


def _begins_its_line(body: list[ast.stmt], index: int) -> bool:
    statement = body[index]
    ended = body[index - 1].end_lineno if index else 0
    return statement.col_offset == 0 and ended is not None and ended < first_line(statement)


def _before(
    source: SourceText, body: list[ast.stmt], index: int, code: str, *, blank: bool
) -> Insertion:
    lineno = first_line(body[index])
    end = source.line_end(lineno)
    at = source.line_start(lineno)
    n_blank = 0 if not blank else 2 if hasattr(body[index], "decorator_list") else 1
    return Insertion(Edit(at, at, f"{code}{end}{end * n_blank}"), code, index)


def _after(
    source: SourceText, body: list[ast.stmt], index: int, code: str, *, blank: bool
) -> Insertion:
    """Return an import after the statement before ``index``, and after others on the same line."""
    while index < len(body) and not _begins_its_line(body, index):
        index += 1
    ended = body[index - 1].end_lineno
    assert ended is not None
    end = source.line_end(ended)
    at = source.line_start(ended + 1)
    return Insertion(Edit(at, at, f"{end if blank else ''}{code}{end}"), code, index)
