"""The direction of imports that keeps the layers apart."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import membudget.runs
import pytest
from conftest import REPOSITORY

CORE = REPOSITORY / "packages/core/src/membudget"
ADAPTERS = {
    "pytest_membudget": REPOSITORY / "packages/pytest-adapter/src/pytest_membudget",
    "unittest_membudget": REPOSITORY / "packages/unittest-adapter/src/unittest_membudget",
}

# Every module of every package, in an order in which each imports only what stands above it.
IN_ORDER = {
    "membudget": """
errors measurement plain_data user_filters sizes tolerance

host.system host.loaded_classes host.origins host.installed_files host.forks host.raised
host.whole_files host.module_names host.late_imports host

recording.request recording.garbage recording.restart_policy recording.marks
recording.temp_files recording.memrays_files recording.own_allocators
recording.greenlets recording.thread_attributes recording.tracemalloc_guard
recording.other_interpreters recording.capture

recording.readers.accounting recording.readers.lost_stacks recording.readers.stack_trimming
recording.readers.scanner recording.readers.found_stacks recording.readers.replay
recording.readers.whole_captures recording.readers.leaked_objects recording.readers.process
recording.readers

recording.process_memory recording.segment recording.reading recording.recorder
recording.access recording

budget verdict limit_words
option_values availability settings settings_sources rules

stack_filter hookspecs plugins sites lazy_work noted_verdicts testing suggestions

source.text source.definitions source.names source.written_limits source.literals
source.additions source.files source.places source.changes source.fix source.writing source.sources
source.limit_origins source
results.git_files results.environment results.result_data results.run_file
results.json_stream results.reading results.writing results.capture_names results.comparable
results.merging results.comparing results.baseline results

report.printable report.failure_text report.run_text report.tables report.suggestions_text
report.comparison_text report.explanation_text report.baseline_text
results.run_log report.left_behind_text
report.overview report.table_of_tests report.text_page report.markdown_page
report.github_annotations report.junit_properties report.junit_xml report.openmetrics_text
report.bencher_json report.benchmark_action_json report.stack_tree report.first_to_do
report.page_data report.html_page report.formats report

unseen unused_limits block decorating budget_arguments marker_arguments source.checking limits

runs.kept_captures runs.evidence runs.notes runs.baseline runs.run runs.phases runs.test_case
runs.report
runs.suggested_limits runs.worker_results runs

cli.doctor cli.merge cli.compare cli.suggest cli.fix cli.explain cli.report cli.check cli
membudget __main__
""",
    "pytest_membudget": """
_private kept_by_pytest open_calls other_interpreters
report_data reports warm_up markers item_rules marker_check not_enforced verdicts
measuring reporting suggesting
plugin
pytest_membudget
""",
    "unittest_membudget": """
_private options rules warm_up
measuring suggesting hooks case
memory_run xml_reports runner
collect django
unittest_membudget __main__
""",
}
ORDERS = {package: names.split() for package, names in IN_ORDER.items()}
PACKAGES = {"membudget": CORE, **ADAPTERS}
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


def module_of(file: Path) -> tuple[str, str]:
    """Return the package that a file belongs to, and its name there as ORDERS has it."""
    package = next(name for name, folder in PACKAGES.items() if file.is_relative_to(folder))
    parts = file.relative_to(PACKAGES[package]).with_suffix("").parts
    return package, ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or package


def imported_module(package: str, name: str) -> str:
    """Return the module of a package that a full name is, or is defined in."""
    inside = name.removeprefix(package).lstrip(".")
    while inside and inside not in ORDERS[package]:
        inside = inside.rpartition(".")[0]
    return inside or package


def modules(*packages: str) -> list[Path]:
    return [file for package in packages for file in sorted(PACKAGES[package].rglob("*.py"))]


def name_of(file: Path) -> str:
    return "-".join(module_of(file))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_has_a_place(package: str) -> None:
    assert sorted(ORDERS[package]) == sorted(module_of(file)[1] for file in modules(package))


@pytest.mark.parametrize("file", modules(*PACKAGES), ids=name_of)
def test_imports_point_one_way(file: Path) -> None:
    """Whoever changes a module finds what depends on it further down, nowhere else."""
    package, own = module_of(file)
    order = ORDERS[package]
    for name in imports_of(file):
        if name.partition(".")[0] == package and not name.startswith(IN_C):
            imported = imported_module(package, name)
            assert order.index(imported) < order.index(own), f"{own} imports {imported}"


@pytest.mark.parametrize("file", modules("membudget"), ids=name_of)
def test_the_core_knows_no_test_framework(file: Path) -> None:
    """The core serves scripts and services; only its recording part imports memray."""
    roots = {name.partition(".")[0] for name in imports_of(file)}
    assert not roots & {"pytest", "_pytest", "unittest", *ADAPTERS}
    if "recording" not in file.parts:
        assert "memray" not in roots


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_adapters_use_only_what_is_public(adapter: str) -> None:
    """Adapters import names of the two public faces, and not one another."""
    for file in ADAPTERS[adapter].rglob("*.py"):
        for name in imports_of(file):
            root, _, rest = name.partition(".")
            assert root not in ({"memray"} | set(ADAPTERS)) - {adapter}, f"{file} imports {name}"
            if root == "membudget":
                is_for_adapters = rest.startswith("runs.")
                listed = membudget.runs.__all__ if is_for_adapters else membudget.__all__
                assert rest.removeprefix("runs.") in listed, f"{file} imports {name}"


def files_with(pattern: re.Pattern[str], files: list[Path]) -> set[Path]:
    return {file for file in files if pattern.search(file.read_text())}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_adapters_are_thin(adapter: str) -> None:
    """How limits combine and what a report says is decided in one place, the core."""
    decisions = re.compile(
        r"KeptCaptures|with_scope|with_default|summary_lines|margin_lines|results_to_text"
        r"|enforcement_is_on|platform_is_supported|write_results|Nothing was measured"
    )
    assert not files_with(decisions, modules(adapter))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_private_names_of_frameworks_stand_in_one_module(adapter: str) -> None:
    """A new version of pytest or Python that changes one of them is mended in one file."""
    private = re.compile(
        r"import _pytest|from _pytest|_report_sections"
        r"|_testMethodName|_callSetUp|_callTearDown|_callTestMethod|_formatMessage|_write_status"
    )
    assert files_with(private, modules(adapter)) <= {ADAPTERS[adapter] / "_private.py"}
