"""Where tests are written: what an adapter knows at run time, and the place in a syntax tree."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Literal, TypeAlias

from ..host.origins import full_path
from .text import Defined, first_line

Framework: TypeAlias = Literal["pytest", "unittest"]


@dataclass(frozen=True, slots=True)
class Definition:
    """Where a function or a class is defined.

    Attributes:
        file: the path of the source file; a relative one is relative to the root.
        name: its ``__qualname__``.
        line: the line of its ``def`` or its first decorator, from its code object; 0 if unknown.
    """

    file: str
    name: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class WrittenTest:
    """Where a test is written. It is plain data, so that it can be kept in a file.

    Attributes:
        function: the definition of its name.
        implementation: the function that runs, if decorators or assignments have replaced the one
            that is defined; None if it is the same.
        classes: the class of the test, and its bases, in the order of its ``__mro__``.
        module: the source file of the module from which the test is run.
        framework: decides how a limit is added: as pytest's marker, or as membudget's decorator.
        waived: whether it has a waiver of limits, or is not to be measured.
    """

    function: Definition
    implementation: Definition | None
    classes: tuple[Definition, ...]
    module: str
    framework: Framework = "pytest"
    waived: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """Every file in which a limit of the test can be written."""
        definitions = (self.function, self.implementation, *self.classes)
        named = [one.file for one in definitions if one is not None]
        return tuple(dict.fromkeys([*named, self.module]))


def written_test(
    function: object,
    name: str,
    *,
    module: str,
    cls: type | None = None,
    framework: Framework = "pytest",
    waived: bool = False,
) -> WrittenTest:
    """Return where a test that is about to run is written.

    Args:
        function: the function that is called, with all its decorators.
        name: its name in its class or module, without parameters.
        module: the source file of the module from which it is run.
        cls: the class of the test.
        framework, waived: see :class:`WrittenTest`.

    Example:
        >>> def test_total(): ...
        >>> written_test(test_total, "test_total", module=__file__).function.name
        'test_total'
    """
    holder = _holder(cls, name)
    home = module if holder is None else _file_of(holder, module)
    named = Definition(full_path(home), name if holder is None else f"{holder.__qualname__}.{name}")
    code = _code_of(function)
    implementation = None
    if code is not None:
        qualname = str(getattr(code, "co_qualname", code.co_name))
        implementation = Definition(full_path(code.co_filename), qualname, code.co_firstlineno)
        is_made = "<locals>" in qualname  # perhaps by a decorator, such as hypothesis's
        if qualname == named.name or (code.co_name == name and not is_made):
            # The name refers to this function, even in another file: a module can import its tests.
            named, implementation = implementation, None
    classes = [base for base in getattr(cls, "__mro__", ()) if _is_the_users(base)]
    return WrittenTest(
        named,
        implementation,
        tuple(Definition(full_path(_file_of(one, module)), one.__qualname__) for one in classes),
        full_path(module),
        framework,
        waived,
    )


def _holder(cls: type | None, name: str) -> type | None:
    return next((base for base in getattr(cls, "__mro__", ()) if name in vars(base)), cls)


def _is_the_users(cls: type) -> bool:
    return cls.__module__.partition(".")[0] not in ("builtins", "unittest")


def _file_of(cls: type, otherwise: str) -> str:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return file if isinstance(file, str) else otherwise


def _code_of(function: object) -> CodeType | None:
    """Return the code of the function below decorators, if they refer to it."""
    for _ in range(100):  # an object that has every attribute would never end
        if isinstance(function, functools.partial):
            function = function.func
            continue
        inner = _own(function, "__wrapped__", "__func__")
        if inner is None:
            break
        function = inner
    code = _own(function, "__code__")
    return code if isinstance(code, CodeType) else None


def _own(thing: object, *names: str) -> object:
    for name in names:
        try:
            found: object = getattr(thing, name, None)
        except Exception:  # noqa: S112 - if an object of the user raises, it has no such attribute
            continue
        if found is not None:
            return found
    return None


@dataclass(frozen=True, slots=True)
class Found:
    """A definition in a tree.

    Attributes:
        node: the definition.
        within: the functions and classes around it, the outermost first.
    """

    node: Defined
    within: tuple[Defined, ...]


class Definitions:
    """The functions and classes of a tree, by name."""

    def __init__(self, tree: ast.Module) -> None:
        self._found: dict[str, list[Found]] = {}
        for name, found in _defined(tree):
            self._found.setdefault(name, []).append(found)

    def all(self) -> list[Found]:
        """Return all definitions, in the order of the file."""
        found = (one for several in self._found.values() for one in several)
        return sorted(found, key=lambda one: one.node.lineno)

    def find(self, definition: Definition) -> list[Found]:
        """Return the possible definitions: one, several of the same name, or none."""
        found = self._found.get(definition.name, [])
        if not definition.line:
            return found
        return [one for one in found if definition.line in _lines_of(one.node)]


def _lines_of(node: Defined) -> range:
    """Return the lines that can be the first one of a definition: from its decorators on."""
    return range(first_line(node), node.lineno + 1)


def _defined(tree: ast.Module) -> Iterator[tuple[str, Found]]:
    left: list[tuple[ast.AST, str, tuple[Defined, ...]]] = [(tree, "", ())]
    while left:
        node, prefix, within = left.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Defined):
                name = prefix + child.name
                yield name, Found(child, within)
                inner = f"{name}." if isinstance(child, ast.ClassDef) else f"{name}.<locals>."
                left.append((child, inner, (*within, child)))
            elif isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
                left.append((child, prefix, within))
