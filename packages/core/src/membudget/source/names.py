"""The values of names in a source file, as far as its imports and assignments show them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from .text import Defined, Function, Holder

_SCOPES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)


@dataclass(frozen=True, slots=True)
class Binding:
    """A statement that gives a name a value.

    Attributes:
        name: the name.
        statement: the top-level statement of the scope in which that happens.
        imported: the dotted name that is imported; empty if it is not an import.
    """

    name: str
    statement: ast.stmt
    imported: str = ""


def bindings_in(scope: Holder) -> Iterator[Binding]:
    """Yield the names that get a value in a scope, including arguments, but not in inner scopes."""
    for statement in scope.body:
        left: list[ast.AST] = [statement]
        while left:
            node = left.pop()
            for name, imported in _bound_by(node):
                yield Binding(name, statement, imported)
            if not isinstance(node, _SCOPES):
                left += ast.iter_child_nodes(node)
    if isinstance(scope, Function):
        arguments = (node for node in ast.walk(scope.args) if isinstance(node, ast.arg))
        yield from (Binding(one.arg, scope) for one in arguments)


def _bound_by(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names to which a node itself gives a value, and the dotted names it imports."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0], _module_of(alias)
    elif isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        for alias in node.names:
            yield alias.asname or alias.name, f"{base}.{alias.name}"
    elif isinstance(node, Defined):
        yield node.name, ""
    elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id, ""
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name, ""
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest, ""


def _module_of(alias: ast.alias) -> str:
    return alias.name if alias.asname else alias.name.partition(".")[0]


class Names:
    """The values of the names in a module.

    Attributes:
        of_module: the names that get a value at the top level.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.of_module = tuple(bindings_in(tree))
        self._imported: dict[str, str] = {}
        self._assigned: dict[str, list[ast.expr]] = {}
        for node in ast.walk(tree):
            # Includes imports in functions: a test can import what its decorators need.
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._imported.update(_bound_by(node))
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in targets_of(node):
                    self._assigned.setdefault(target, []).append(node.value)

    def dotted(self, expression: ast.expr, *, follow: bool = True) -> str:
        """Return the dotted name of an expression, such as ``"pytest.mark.limit_memory"``.

        It is empty if the expression is more than names and dots.

        Args:
            expression: the expression.
            follow: whether to replace a name by the dotted name that is assigned to it.
        """
        attributes: list[str] = []
        while isinstance(expression, ast.Attribute):
            attributes.append(expression.attr)
            expression = expression.value
        if not isinstance(expression, ast.Name):
            return ""
        base = self._imported.get(expression.id, expression.id)
        values = self.assigned(expression.id)
        if follow and len(values) == 1:
            base = self.dotted(values[0], follow=False) or base
        return ".".join([base, *reversed(attributes)])

    def assigned(self, name: str) -> list[ast.expr]:
        """Return the values that are assigned to a name anywhere in the file."""
        return self._assigned.get(name, [])


def targets_of(statement: ast.Assign | ast.AnnAssign | ast.AugAssign) -> list[str]:
    """Return the plain names that a statement assigns to."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]
