"""Limits that a run of unittest suggests, and writes into the tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import run_python_in
from membudget.results import read_run

TESTS = """import unittest

from unittest_membudget import MemoryTestCase


class TestImages(unittest.TestCase):
    def test_new(self):
        bytearray(9_000_000)

    @unittest.skip("later")
    def test_skipped(self):
        bytearray(9_000_000)


class TestShared(MemoryTestCase):
    memory_limit = "50 MB"

    def test_a(self):
        bytearray(3_000_000)

    def test_b(self):
        bytearray(9_000_000)
"""


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    path = tmp_path / "test_it.py"
    path.write_text(TESTS)
    return path


def run(
    tests: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    module = ("-m", "unittest_membudget", "--hide-memray-summary")
    return run_python_in(tests.parent, *module, *arguments, environment=environment)


def limits(tests: Path) -> list[str]:
    return re.findall(r"limit\w*(?: = |\()\"(.*?)\"", tests.read_text())


def test_the_table(tests: Path) -> None:
    """It stands below the report, and nothing is written."""
    ran = run(tests, "--memray-suggest")
    assert ran.returncode == 0, ran.stderr
    _, _, text = ran.stderr.partition(" SUGGESTED MEMORY LIMITS ")
    rows = [re.split(r"  +", line) for line in text.splitlines()[1:]]
    assert [row[:4] for row in rows] == [
        ["test", "used", "limit now", "suggested"],
        ["test_it.TestImages.test_new", "8.6MiB", "-", "12 MB"],
        ["test_it.TestShared.test_a", "2.9MiB", "50.0MiB", "4.5 MB"],
        ["test_it.TestShared.test_b", "8.6MiB", "50.0MiB", "12 MB"],
    ]
    assert tests.read_text() == TESTS


def test_limits_are_written(tests: Path) -> None:
    """membudget's own decorator, which every runner enforces, and the attribute of a class."""
    ran = run(tests, "--memray-fix")
    assert tests.read_text() == TESTS.replace("50 MB", "12 MB").replace(
        "    def test_new", '    @limit_memory("12 MB")\n    def test_new'
    ).replace("from unittest_m", "from membudget import limit_memory\nfrom unittest_m")
    assert "Wrote 2 limits into 1 file, 1 of them new" in ran.stderr
    again = run(tests, "--memray-fix")
    assert again.returncode == 0, again.stderr
    assert "Nothing was written" in again.stderr


@pytest.mark.parametrize(
    "arguments", [["-k", "test_a"], ["test_it.TestShared.test_a"], ["-f", "-k", "test_a"]]
)
def test_tests_that_did_not_run_keep_their_limits(tests: Path, arguments: list[str]) -> None:
    """Whether it was left out by a pattern or by a name."""
    ran = run(tests, "--memray-fix=all", *arguments)
    assert tests.read_text() == TESTS
    assert "not all tests with this limit were measured" in ran.stderr


ENDS = """
import unittest
from membudget import limit_memory
class TestEnds(unittest.TestCase):
    def test_fails(self):
        bytearray(9_000_000)
        self.fail()
    @unittest.expectedFailure
    @limit_memory("1 MB")
    def test_is_over_as_expected(self): bytearray(9_000_000)
    def test_skips(self):
        bytearray(9_000_000)
        self.skipTest("now")
    @limit_memory("90 MB")
    def test_has_a_block(self):
        with limit_memory("1 MB"):
            bytearray(9_000_000)
    @limit_memory("2 MB")
    def test_is_over(self): bytearray(9_000_000)
"""


def test_figures_that_are_not_whole(tests: Path) -> None:
    """Only the test that failed by its own limit has figures that tell what it needs."""
    tests.write_text(ENDS)
    ran = run(tests, "--memray-fix")
    assert "No limit is suggested for 2 tests: failed as expected, skipped" in ran.stderr
    (line,) = (line for line in ran.stderr.splitlines() if line.startswith("Not changed"))
    names = "test_it.TestEnds.test_fails, test_it.TestEnds.test_has_a_block"
    assert line == f"Not changed: {names}: it may need more: it failed"
    assert tests.read_text() == ENDS.replace("2 MB", "12 MB")


def test_a_run_that_ends_early_writes_nothing(tests: Path) -> None:
    broken = ENDS + "    def test_z(self): raise KeyboardInterrupt\n"
    tests.write_text(broken)
    ran = run(tests, "--memray-fix")
    assert ran.returncode != 0
    assert "Nothing was written: the run ended early" in ran.stderr
    assert tests.read_text() == broken


def test_nothing_is_written_in_ci(tests: Path) -> None:
    ran = run(tests, "--memray-fix", environment={"CI": "1"})
    assert tests.read_text() == TESTS
    assert "source files are not changed in CI" in ran.stderr


def test_worker_processes(tests: Path) -> None:
    """Their source is not known here: the report says so, and nothing is written."""
    ran = run_python_in(
        tests.parent,
        *("-m", "unittest_membudget.collect", "--memray-fix", "--memray-suggest"),
        *(sys.executable, "-m", "unittest_membudget"),
    )
    assert "No limits are suggested or written, because the tests ran in other" in ran.stderr
    assert tests.read_text() == TESTS


def test_a_run_file_of_tests_without_a_module(tmp_path: Path) -> None:
    """Their module was never in sys.modules, so it is not known where they are written."""
    (tmp_path / "case.py").write_text(
        "import types, unittest\n"
        "made = types.ModuleType('made')\n"
        "text = 'class Case(TestCase):\\n    def test_it(self): held = bytes(100_000)\\n'\n"
        "vars(made)['TestCase'] = unittest.TestCase\n"
        "exec(text, vars(made))\n"
        "def load_tests(*_): return unittest.TestSuite([made.Case('test_it')])\n"
    )
    done = run_python_in(tmp_path, "-m", "unittest_membudget", "--memray-json=run.json", "case")
    assert done.returncode == 0, done.stderr
    found = read_run(str(tmp_path / "run.json"))
    assert [result.measurement.peak_bytes for result in found.results] == [100_033]
    assert found.sources is not None
    assert found.sources.tests == ()
