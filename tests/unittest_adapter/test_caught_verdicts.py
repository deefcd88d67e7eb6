"""A test over its limit fails, also where something around it catches what its block raises."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import run_python_in

TESTS = """
import unittest
from membudget import limit_memory

@limit_memory("1 MB")
class Limited(unittest.TestCase):
    def test_over_and_skipped(self):
        kept = bytearray(5_000_000)
        self.skipTest("late")
    def test_skipped(self): self.skipTest("early")
    @unittest.expectedFailure
    def test_expected(self): kept = bytearray(5_000_000)

@limit_memory("1 MB")
class CatchesMethods(unittest.TestCase):
    def _callTestMethod(self, method):
        try:
            method()
        except AssertionError:
            pass
    def test_over(self): kept = bytearray(5_000_000)
    def test_within(self): pass
"""
RUNS_ITSELF = """
import unittest
class Case(unittest.TestCase):
    def run(self, result=None):
        result.startTest(self)
        try:
            getattr(self, self._testMethodName)()
        except AssertionError:
            pass
        {ends}
        result.stopTest(self)
    def test_over(self): kept = bytearray(5_000_000)
    def test_within(self): pass
"""


@pytest.mark.parametrize("module", ["unittest", "unittest_membudget"])
def test_a_test_that_catches_or_skips_fails(tmp_path: Path, module: str) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    done = run_python_in(tmp_path, "-m", module, "test_it")
    assert "FAILED (failures=2, skipped=1, expected failures=1)" in done.stderr, done.stderr
    assert "test_over_and_skipped" in done.stderr
    assert done.stderr.count("Test was limited to 1.0MiB but allocated 4.8MiB") == 2


@pytest.mark.parametrize("ends", ["result.addSuccess(self)", "result.addSkip(self, 'why')"])
def test_a_run_of_its_own_that_catches(tmp_path: Path, ends: str) -> None:
    """The result of a measuring runner fails the test instead."""
    (tmp_path / "test_it.py").write_text(RUNS_ITSELF.format(ends=ends))
    limit = "--memray-default-limit=1 MB"
    done = run_python_in(tmp_path, "-m", "unittest_membudget", limit, "test_it")
    assert "FAILED (failures=1" in done.stderr, done.stderr
    assert "MEMORY PROBLEMS: test_over (test_it.Case.test_over)" in done.stderr


def test_markers_of_pytest_are_named(tmp_path: Path) -> None:
    """They do nothing under unittest; also from worker processes."""
    (tmp_path / "test_it.py").write_text("""
import unittest
import pytest
class Case(unittest.TestCase):
    @pytest.mark.limit_memory("1 MB")
    def test_marked(self): pass
    @pytest.mark.skipif(False, reason="")
    def test_free(self): pass
@pytest.mark.limit_leaks("1 MB")
class OnClass(unittest.TestCase):
    def test_marked(self): pass
""")
    collected = ("unittest_membudget.collect", sys.executable, "-m", "unittest_membudget")
    for command in (("unittest_membudget",), collected):
        done = run_python_in(tmp_path, "-m", *command, "test_it")
        named = [line for line in done.stderr.splitlines() if line.startswith("Not enforced")]
        assert named == [
            f"Not enforced: the markers of test_it.{name}.test_marked, because only pytest reads "
            f"them: use @limit_memory(...)"
            for name in ("Case", "OnClass")
        ], done.stderr
