"""What counts of a test, with unittest: phases, patterns, and stable figures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import REPOSITORY, run_python_in

CASES = """
import unittest
from membudget import limit_memory
from unittest_membudget import MemoryTestCase, MemoryTestMixin
from workloads import *
make_headroom()

class Base:
    def setUp(self):
        self.allocator = MemoryAllocator(); self.allocator.malloc(1000 * KIB)
        self.addCleanup(allocate, 3000 * KIB)
    def tearDown(self): self.allocator.free()

@limit_memory("3100 KB", include="setup,call,teardown")
class Within(Base, unittest.TestCase):
    def test_it(self): allocate(500 * KIB)

@limit_memory("2900 KB", include="setup,call,teardown")
class OverInCleanup(Base, unittest.TestCase):
    def test_it(self): allocate(500 * KIB)

@limit_memory("1400 KB", include="setup,call")
class OverInCall(Base, unittest.TestCase):
    def test_it(self): allocate(500 * KIB)
    def test_skips(self): self.skipTest("because")
    @unittest.expectedFailure
    def test_expected(self): allocate(500 * KIB)

@limit_memory("900 KB", include="setup")
class OverInSetup(Base, unittest.TestCase):
    def test_it(self): raise LookupError("must not run")

@limit_memory("900 KB", include="setup,call,teardown")
class Broken(Base, unittest.TestCase):
    def setUp(self):
        super().setUp()
        raise LookupError("broken")
    def test_it(self): ...

@limit_memory("1400 KB", include="setup,call")
class Async(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.allocator = MemoryAllocator(); self.allocator.malloc(1000 * KIB)
    async def test_it(self): allocate(500 * KIB)
    async def asyncTearDown(self): self.allocator.free()

class Mixed(MemoryTestMixin, Base, unittest.TestCase):
    @limit_memory("1400 KB", include="setup,call")
    def test_over(self): allocate(500 * KIB)
    @limit_memory("150 KB", only="elsewhere")
    def test_only(self): mixed()
    def test_assertion(self):
        with self.assertMemoryLimit("150 KB", ignore=["elsewhere.*"]):
            mixed()

class Runs(unittest.TestCase):
    @limit_memory("1 MB", include="setup,call")
    def test_it(self): ...
"""
OVER = {
    "OverInCleanup.test_it",
    "OverInCall.test_it",
    "OverInSetup.test_it",
    "Broken.test_it",
    "Async.test_it",
    "Mixed.test_over",
    "Mixed.test_only",
}
WORKLOADS = str(REPOSITORY / "tests/contract")


def ran(directory: Path, *arguments: str) -> tuple[str, set[str], set[str]]:
    """Return the output, and the tests whose failures are about memory, and the errors."""
    done = run_python_in(directory, "-m", *arguments, environment={"PYTHONPATH": WORKLOADS})
    output = done.stdout + done.stderr
    blocks = re.findall(
        r"^(FAIL|ERROR|MEMORY PROBLEMS): \w+ \(case\.(\S+?)\)\n(.*?)(?=^=====|\Z|^Ran )",
        output,
        re.M | re.S,
    )
    assert blocks, output
    over = {name for kind, name, text in blocks if "was limited to" in text}
    errors = {name for kind, name, _ in blocks if kind == "ERROR"}
    return output, over, errors


@pytest.mark.parametrize("runner", ["unittest", "unittest_membudget"])
def test_phases_that_count(runner: str, tmp_path: Path) -> None:
    """With a plain runner as well, where the class says it."""
    (tmp_path / "case.py").write_text(CASES)
    output, over, errors = ran(tmp_path, runner, "case")
    assert over == OVER, output
    if runner == "unittest":
        # Nothing there knows the phases of a class without a budget: an error, and no pass.
        assert errors == {"Broken.test_it", "Runs.test_it"}, output
        assert "no adapter runs this block" in output
    else:
        assert errors == {"Broken.test_it"}, output
        assert "Peak of each phase: setup 1000.0KiB, call 500.0KiB, teardown" in output
    # The verdict of a setup ends the test.
    assert "must not run" not in output


def test_the_run_says_which_phases_count(tmp_path: Path) -> None:
    (tmp_path / "case.py").write_text(CASES)
    arguments = ("--memray-include=setup,call", "--memray-json=m.json", "--memray-stable")
    ran(tmp_path, "unittest_membudget", *arguments, "case")
    results = {one["name"]: one for one in json.loads((tmp_path / "m.json").read_text())["results"]}
    assert set(results["case.Mixed.test_assertion"]["phases"]) == {"setup", "call"}
    assert results["case.Runs.test_it"]["verdict"]["budget"]["scope"] == {
        "current_thread_only": False,
        "only": [],
        "ignore": [],
        "include": ["setup", "call"],
        "stable": True,
    }


STABLE = """
import asyncio
import unittest
from membudget import limit_memory
from unittest_membudget import MemoryTestCase, no_memory_limit
from workloads import *
make_headroom()
seen = []

class Base:
    @classmethod
    def setUpClass(cls): cls.caches = [None]
    def setUp(self):
        self.fresh = []
        seen.append(self.id())
        self.addCleanup(seen.append, "cleaned")

@limit_memory("120 KB", stable=True)
class Sync(Base, unittest.TestCase):
    def test_it(self):
        self.fresh.append(1)
        print("printed", seen)
        if self.caches:
            self.caches.clear()
            allocate(1000 * KIB)
        allocate(100 * KIB)
        self.assertEqual(len(self.fresh), 1)

class Async(Base, unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        super().setUp()
        asyncio.get_event_loop()
    async def asyncSetUp(self): self.loop = asyncio.get_running_loop()
    @limit_memory("500 KB", stable=True)
    async def test_it(self):
        self.fresh.append(1)
        if self.caches:
            self.caches.clear()
            allocate(1000 * KIB)
        await asyncio.sleep(0)
        self.assertEqual(len(self.fresh), 1)

class Given(Base, unittest.TestCase):
    amount = None
    @limit_memory("120 KB", stable=True)
    def test_given(self):
        if self.caches:
            self.caches.clear()
            allocate(1000 * KIB)
        allocate(self.amount * KIB)
        self.fresh.append(1)
        self.assertEqual(len(self.fresh), 1)
    @limit_memory("1 KB", stable=True)
    def test_over(self): allocate(10 * KIB)
    @limit_memory("1 MB", stable=True)
    @unittest.skip("because")
    def test_skipped(self): ...

def odd():
    class Odd(Base, unittest.TestCase):
        def __init__(self, name, needed): super().__init__(name)
        @limit_memory("1 MB", stable=True)
        def test_odd(self): ...
    return Odd("test_odd", 1)

def load_tests(loader, tests, pattern):
    suite = unittest.TestSuite([loader.loadTestsFromTestCase(case) for case in (Sync, Async)])
    for test in loader.loadTestsFromTestCase(Given):
        test.amount = 100
        suite.addTest(test)
    suite.addTest(odd())
    return suite
"""


def test_a_stable_test_over_a_limit_runs_again(tmp_path: Path) -> None:
    """The same object, set up again; the second run decides, whatever the runner."""
    (tmp_path / "case.py").write_text(STABLE)
    # Without an adapter, only the class knows how to set a test up.
    plain = ("unittest", "-k", "Sync", "-k", "test_over", "-k", "skipped")
    for arguments in (plain, ("unittest_membudget",)):
        output, over, errors = ran(tmp_path, *arguments, "case")
        assert over == {"Given.test_over"}, output
        assert not errors, output
        one = "case.Sync.test_it"
        assert re.findall("printed (.*)", output) == [
            f"['{one}']",
            f"['{one}', 'cleaned', '{one}']",
        ]
        assert "FAILED (failures=1, skipped=1)" in output


def test_a_stable_test_runs_once_before_if_its_figures_are_kept(tmp_path: Path) -> None:
    """Another object of its class, with a setUp of its own; nothing of it is reported."""
    (tmp_path / "case.py").write_text(STABLE)
    kept = "--memray-json=run.json"
    output, over, errors = ran(tmp_path, "unittest_membudget", kept, "-b", "case")
    assert over == {"Given.test_over"}, output
    assert not errors, output
    assert re.search(r"^Ran [56] tests", output, re.M)  # 3.12.1 leaves out what is skipped
    assert "skipped=1" in output


OF_OTHER_CONSTRUCTORS = """
import doctest
import unittest
runs = []

def documented(n):
    '''
    >>> documented(runs.append("doctest"))
    >>> made = 1
    '''
    assert "made" not in globals()

def function(): runs.append("function")

def odd():
    class Odd(unittest.IsolatedAsyncioTestCase):
        def __init__(self, name, needed):
            super().__init__(name)
            self._needed = needed
        def setUp(self): self.fresh = self._needed
        async def test_it(self):
            runs.append(self.fresh)
            self.fresh = "not set up"
    return Odd("test_it", "async")

class Runs(unittest.TestCase):
    def test_runs(self): print("runs of", sorted(runs))

def load_tests(loader, tests, pattern):
    suite = unittest.TestSuite([unittest.FunctionTestCase(function), odd()])
    suite.addTests([doctest.DocTestSuite(), Runs("test_runs")])
    return suite
"""


def test_tests_whose_class_wants_other_arguments_run_twice_as_well(tmp_path: Path) -> None:
    """Their figures are warm like all others, and none of them is an error."""
    (tmp_path / "case.py").write_text(OF_OTHER_CONSTRUCTORS)
    options = ("--memray-stable", "--memray-json=run.json")
    done = run_python_in(tmp_path, "-m", "unittest_membudget", *options, "case")
    assert done.returncode == 0, done.stderr
    runs = "runs of ['async', 'async', 'doctest', 'doctest', 'function', 'function']"
    assert runs in done.stdout
    results = json.loads((tmp_path / "run.json").read_text())["results"]
    assert [one["is_warm"] for one in results] == [True] * 4
