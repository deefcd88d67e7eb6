"""What a run says of limits that do nothing in it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from running import Pytest

TESTS = """
import unittest
import pytest
from membudget import limit_memory
@pytest.mark.limit_memory("1 B")
def test_limited(): kept = bytearray(1000)
@pytest.mark.limit_leaks("1 BANANA")
@pytest.mark.parametrize("n", [1, 2])
def test_leaks(n): ...
@pytest.mark.limit_memory("1 B")
class TestClass:
    def test_of_class(self): ...
    @pytest.mark.no_memory_limit("large")
    def test_waived(self): ...
    @pytest.mark.skip
    def test_skipped(self): ...
@limit_memory("1 MB")
def test_enforced_in_every_run(): ...
@limit_memory("1 MB")
class TestCase(unittest.TestCase):
    def test_enforced_as_well(self): ...
def test_free(): ...
"""


@pytest.fixture
def runner(tmp_path: Path) -> Pytest:
    return Pytest(tmp_path)


def said(ran_lines: list[str]) -> list[str]:
    return [line for line in ran_lines if "not enforced" in line]


@pytest.mark.parametrize("arguments", [(), ("-n", "2"), ("-q",)], ids=" ".join)
def test_a_run_without_memray_counts_the_limits_that_did_nothing(
    runner: Pytest, arguments: tuple[str, ...]
) -> None:
    runner.write(test_it=TESTS)
    ran = runner.run(*arguments)
    assert ran.returncode == 0
    ran.counts(passed=8, skipped=1)
    assert said(ran.lines) == [
        "Memory: the limits of 4 tests were not enforced. To enforce limits, run pytest --memray, "
        "or set memray_enforce_markers = always in the ini file"
    ]


def test_one_limit_is_one(runner: Pytest) -> None:
    runner.write(test_it=TESTS)
    ran = runner.run("-k", "test_limited")
    assert "Memory: the limit of 1 test was not enforced." in ran.stdout


def test_a_default_limit_in_the_ini_file_counts(runner: Pytest) -> None:
    """For every test without a waiver."""
    runner.write(test_it=TESTS)
    (runner.directory / "pytest.ini").write_text("[pytest]\nmemray_default_limit = 1 MB\n")
    assert "Memory: the limits of 7 tests were not enforced." in runner.run().stdout


def test_a_run_without_idle_limits_prints_no_notice(runner: Pytest) -> None:
    runner.write(test_it=TESTS)
    assert not said(runner.run("-k", "enforced or free or waived or skipped").lines)
    assert not said(runner.run("-p", "no:terminal").lines)
    assert not said(runner.run("--co").lines)
    assert not said(runner.run(MEMBUDGET="off").lines)
    runner.write(test_it=TESTS.replace("1 BANANA", "9 MB"))
    assert not said(runner.run("--memray").lines)
    assert not said(runner.run("--memray-enforce-markers=always").lines)


@pytest.mark.parametrize("filters", ["default", "error"])
def test_on_other_platforms_a_run_without_the_option_prints_no_notice(
    runner: Pytest, filters: str
) -> None:
    """With --memray, the report or stderr has the notice; never an internal error."""
    runner.write(
        test_it="def test(): pass\n",
        conftest="import membudget.availability as p\np.platform_is_supported = lambda: False\n"
        "p.why_not_measured.cache_clear()\n",
    )
    (runner.directory / "pytest.ini").write_text(f"[pytest]\nfilterwarnings = {filters}\n")
    ran = runner.run()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "memray" not in ran.stdout + ran.stderr
    ran = runner.run("--memray")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    said = f"Nothing was measured: memray does not run with cpython on {sys.platform}"
    assert said in ran.lines
    ran = runner.run("--memray", "-p", "no:terminal")
    assert ran.returncode == 0
    assert ran.stderr == f"{said}\n"


@pytest.mark.parametrize("arguments", [(), ("-n", "2"), ("--hide-memray-summary",)], ids=" ".join)
def test_modules_that_wait_for_pytest_memray_are_named(
    runner: Pytest, arguments: tuple[str, ...]
) -> None:
    limited = "@pytest.mark.limit_memory('1 B')\ndef test_over(): kept = bytearray(5000)\n"
    runner.write(
        test_module=f"import pytest\npytest.importorskip('pytest_memray')\n{limited}",
        test_function="import pytest\n"
        "def test_inside(): pytest.importorskip('pytest_memray')\n"
        "def test_other(): pytest.importorskip('nothing_of_this_name')\n",
    )
    ran = runner.run("--memray", *arguments)
    ran.counts(skipped=3)
    assert (
        'Skipped by pytest.importorskip("pytest_memray"): test_function.py::test_inside, '
        "test_module.py. Remove that call: pytest-membudget enforces the same markers" in ran.lines
    ), ran.stdout


@pytest.mark.parametrize(
    "names",
    [
        ["pytest_membudget"],
        ["pytest_membudget.plugin"],
        ["membudget", "pytest_membudget"],
        ["pytest_membudget", "membudget"],
    ],
    ids=" ".join,
)
def test_every_name_of_the_plugin_loads_it(runner: Pytest, names: list[str]) -> None:
    runner.plugins = names
    limited = "@pytest.mark.limit_memory('1 KB')\ndef test_over(): kept = bytearray(5000)\n"
    runner.write(test_it=f"import pytest\n{limited}")
    # pytest warns that it cannot rewrite the asserts of a package that is imported already.
    runner.run("--memray", "-W", "default").counts(failed=1)
