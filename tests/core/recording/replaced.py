"""Replaces every function of the standard library that membudget's source names.

Found by reading the source, so that a new use is covered.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

# For programs that replace functions: coverage.py calls many of them in the program it counts.
WITHOUT_COVERAGE = {"COVERAGE_PROCESS_CONFIG": ""}

MODULES = (
    "atexit",
    "gc",
    "glob",
    "importlib",
    "json",
    "logging",
    "os",
    "os.path",
    "pkgutil",
    "platform",
    "random",
    "select",
    "signal",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "uuid",
    "warnings",
)


def functions_named_in(*packages: Path) -> list[tuple[str, str]]:
    """Return the (module, name) of each function and class of these modules that is named."""
    files = [file for package in packages for file in package.rglob("*.py")]
    found = {use for file in files for use in _uses(ast.parse(file.read_text()))}
    real = {module: importlib.import_module(module) for module in MODULES}
    return sorted(use for use in found if callable(getattr(real[use[0]], use[1], None)))


def _uses(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in MODULES:
            yield ast.unparse(node.value), node.attr
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)


@contextlib.contextmanager
def all_replaced(
    functions: Iterable[tuple[str, str]], replacement: Callable[[str, Any], Any]
) -> Iterator[None]:
    """Replace functions by ``replacement(name, function)`` while the context is open."""
    kept = []
    for module_name, name in functions:
        module = importlib.import_module(module_name)
        kept.append((vars(module), name, getattr(module, name)))
    made = [replacement(f"{names['__name__']}.{name}", real) for names, name, real in kept]
    for (names, name, _), fake in zip(kept, made, strict=True):
        names[name] = fake
    try:
        yield
    finally:
        for names, name, real in kept:
            names[name] = real


def failing(called: list[str]) -> Callable[[str, Any], Any]:
    """Return a ``replacement`` whose functions fail, and add their name to ``called``."""

    def replacement(name: str, _: Any) -> Any:
        def fail(*args: object, **kwargs: object) -> NoReturn:
            called.append(name)
            raise AssertionError(f"{name} was called")

        return fail

    return replacement
