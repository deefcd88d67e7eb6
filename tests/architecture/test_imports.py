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

# Every module of the core, in an order in which each imports only what stands above it.
IN_ORDER = """
errors measurement plain_data user_filters sizes

host.system host.loaded_classes host.origins host.forks host.raised host.whole_files
host.module_names host

recording.request recording.garbage recording.restart_policy recording.marks
recording.temp_files recording.memrays_files recording.process_memory recording.own_allocators
recording.greenlets recording.thread_attributes recording.tracemalloc_guard
recording.other_interpreters recording.capture

recording.readers.accounting recording.readers.lost_stacks recording.readers.stack_trimming
recording.readers.scanner recording.readers.found_stacks recording.readers.replay
recording.readers.whole_captures recording.readers.leaked_objects recording.readers.process
recording.readers

recording.segment recording.reading recording.recorder recording

budget verdict limit_words
option_values availability settings settings_sources

stack_filter hookspecs plugins decorating lazy_work noted_verdicts testing

results.suggest
source.text source.definitions source.names source.written_limits source.literals
source.additions source.files source.places source.changes source.fix source.writing source
results.git_files results.environment results.run_file results.json_data
results.comparable results.merging results.comparing results

report.printable report.failure_text report.run_text report.tables report.suggestions_text
report.comparison_text report.explanation_text report

unseen unused_limits block budget_arguments limits

runs.kept_captures runs.run runs.phases runs.suggested_limits runs
cli.doctor cli.merge cli.compare cli.suggest cli.explain cli
membudget __main__
"""
ORDER = IN_ORDER.split()
IN_C = ("membudget.recording._marks", "membudget.recording._scanner")


def imports_of(file: Path) -> Iterator[str]:
    """Yield the full names of what a module imports, for type checkers as well."""
    root = CORE.parent if file.is_relative_to(CORE) else file.parents[1]
    package = file.relative_to(root).parts[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            parts = [*base, *filter(None, [node.module])]
            for alias in node.names:
                yield ".".join([*parts, alias.name])


def core_modules() -> list[Path]:
    return sorted(CORE.rglob("*.py"))


def module_of(file: Path) -> str:
    """Return the name of a module of the core, as ORDER has it."""
    parts = file.relative_to(CORE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "membudget"


def imported_module(name: str) -> str:
    """Return the module of the core that a full name is, or is defined in."""
    inside = name.removeprefix("membudget").lstrip(".")
    while inside and inside not in ORDER:
        inside = inside.rpartition(".")[0]
    return inside or "membudget"


def test_every_module_has_a_place() -> None:
    assert sorted(ORDER) == sorted(map(module_of, core_modules()))


@pytest.mark.parametrize("file", core_modules(), ids=module_of)
def test_the_core_imports_one_way(file: Path) -> None:
    """Whoever changes a module finds what depends on it further down, nowhere else."""
    own = module_of(file)
    for name in imports_of(file):
        if name.partition(".")[0] == "membudget" and not name.startswith(IN_C):
            imported = imported_module(name)
            assert ORDER.index(imported) < ORDER.index(own), f"{own} imports {imported}"


@pytest.mark.parametrize("file", core_modules(), ids=module_of)
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
