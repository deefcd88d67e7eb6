"""The direction of imports that keeps the layers apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import membudget
import pytest
from conftest import REPOSITORY

CORE = REPOSITORY / "packages/core/src/membudget"
ADAPTERS = {
    "pytest_membudget": REPOSITORY / "packages/pytest-adapter/src/pytest_membudget",
    "unittest_membudget": REPOSITORY / "packages/unittest-adapter/src/unittest_membudget",
}

# A module may import modules of its own layer and of those before it.
LAYERS = [
    {"errors", "loaded_classes", "system", "forks", "raised"},
    {"sizes", "phases", "origins", "whole_files", "module_names"},
    {"model"},
    {"patterns"},
    {"checks", "options", "hookspecs", "plugins", "report"},
    {"recording", "testing", "garbage", "calls", "noted_verdicts", "lazy_work"},
    {"unseen"},
    {"blocks", "config_file", "decorations", "unused_limits"},
    {"limits", "phased", "runs", "kept_captures"},
    {"doctor"},
    {"__main__"},
    {"membudget"},
]


def imports_of(file: Path) -> Iterator[str]:
    """Yield the full names of what a module imports when it runs."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    root = CORE.parent if file.is_relative_to(CORE) else file.parents[1]
    package = file.relative_to(root).parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            parts = [*base, *filter(None, [node.module])]
            for alias in node.names:
                yield ".".join([*parts, alias.name])


def concept(name: str) -> str:
    """Return the part of the core that a full name belongs to."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and any(parts[1] in layer for layer in LAYERS) else parts[0]


def core_modules() -> list[Path]:
    return sorted(CORE.rglob("*.py"))


def level(name: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if name in layer)


@pytest.mark.parametrize("file", core_modules(), ids=lambda file: str(file.relative_to(CORE)))
def test_the_core_imports_one_way(file: Path) -> None:
    """Whoever changes a module finds what depends on it in the layers above, nowhere else."""
    own = concept(".".join(file.relative_to(CORE.parent).with_suffix("").parts))
    for name in imports_of(file):
        if name.partition(".")[0] == "membudget":
            assert level(concept(name)) <= level(own), f"{own} imports {name}"


@pytest.mark.parametrize("file", core_modules(), ids=lambda file: str(file.relative_to(CORE)))
def test_the_core_knows_no_test_framework(file: Path) -> None:
    """The core serves scripts and services; only its recording part imports memray."""
    roots = {name.partition(".")[0] for name in imports_of(file)}
    assert not roots & {"pytest", "_pytest", "unittest", *ADAPTERS}
    if "recording" not in file.parts:
        assert "memray" not in roots


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_adapters_use_only_what_is_public(adapter: str) -> None:
    """Adapters import names that ``membudget.__all__`` lists, and not one another."""
    for file in ADAPTERS[adapter].rglob("*.py"):
        for name in imports_of(file):
            root, _, rest = name.partition(".")
            assert root not in ({"memray"} | set(ADAPTERS)) - {adapter}, f"{file} imports {name}"
            if root == "membudget":
                assert rest in membudget.__all__, f"{file} imports {name}"
