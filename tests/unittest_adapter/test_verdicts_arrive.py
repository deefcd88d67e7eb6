"""A test in which a budget was exceeded does not pass because its exception was handled."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import run_python_in

TESTS = """
import unittest
from membudget import limit_memory
from unittest_membudget import MemoryTestCase, MemoryTestMixin

@limit_memory("1 KB")
def load(after=LookupError):
    data = bytearray(5000)
    raise after

class Sync(MemoryTestCase):
    def test_passes(self):
        with self.assertRaises(LookupError):
            load()
    def test_skips(self):
        load(unittest.SkipTest("later"))
    def test_skips_afterwards(self):
        with self.assertRaises(LookupError):
            load()
        self.skipTest("later")
    def test_fails(self):
        load(ValueError)

class Async(MemoryTestMixin, unittest.IsolatedAsyncioTestCase):
    async def test_passes(self):
        with self.assertRaises(LookupError):
            load()
"""


@pytest.mark.parametrize("module", ["unittest", "unittest_membudget"])
def test_a_test_that_handles_the_exception_fails(tmp_path: Path, module: str) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    done = run_python_in(tmp_path, "-m", module, "-v", "test_it")
    assert "FAILED (failures=4, errors=1)" in done.stderr, done.stderr
    assert done.stderr.count("MemoryLimitExceeded: load() was limited to 1.0KiB") == 4
    assert "ValueError\nload() was limited" in done.stderr


def test_a_limit_on_a_coroutine_that_is_never_awaited(tmp_path: Path) -> None:
    """It says so, rather than leave it to Python's warning."""
    (tmp_path / "test_it.py").write_text("""
import unittest
from unittest_membudget import MemoryTestCase, MemoryTestMixin
async def load():
    return bytearray(5000)
class Sync(MemoryTestCase):
    def test_forgets(self):
        self.assertMemoryLimit("1 KB", load)
class Async(MemoryTestMixin, unittest.IsolatedAsyncioTestCase):
    async def test_awaits(self):
        await self.assertMemoryLimit("1 MB", load)
""")
    done = run_python_in(tmp_path, "-m", "unittest", "test_it")
    assert "FAILED (errors=1)" in done.stderr, done.stderr
    assert "MisuseError: assertMemoryLimit() measured nothing, because its callable" in done.stderr
