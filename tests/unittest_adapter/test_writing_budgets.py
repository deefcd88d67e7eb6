"""Where budgets are written in unittest, and what they then apply to; with every runner."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, run_python_in

WORKLOADS = str(REPOSITORY / "tests/contract")

PRELUDE = """
import functools
import unittest
from unittest import mock
from membudget import limit_memory, measure_memory
from unittest_membudget import *
from workloads import *
make_headroom()
"""

# What each test is named after is what must become of it.
TESTS = (
    PRELUDE
    + """
@limit_memory("500 KB")
class Base(unittest.TestCase):
    def test_over(self): large()
    def test_within(self): small()

class Inherited(Base):
    def test_over_of_its_own(self): large()

@limit_memory("2 MB")
class CloserClass(Base):
    def test_over(self): small()
    def test_within(self): large()

class FixturesAreOutside(MemoryTestCase):
    memory_limit = "500 KB"
    @classmethod
    def setUpClass(cls): cls.kept = bytearray(1_000_000)
    def setUp(self):
        self.own = bytearray(1_000_000)
        self.addCleanup(large)
    def tearDown(self): large()
    def test_within(self): small()

class Mocks(MemoryTestCase):
    @mock.patch("os.getcwd")
    @limit_memory("500 KB")
    @mock.patch("os.getpid")
    def test_over(self, getpid, getcwd):
        self.assertIsInstance(getpid, mock.Mock)
        large()
    @limit_memory("500 KB")
    @mock.patch("os.getcwd")
    def test_over_outermost(self, getcwd): large()

class Outcomes(MemoryTestCase):
    memory_limit = "500 KB"
    @unittest.skip("skipped")
    def test_skipped(self): large()
    def test_skips_itself(self):
        small()
        self.skipTest("skipped")
    @unittest.expectedFailure
    def test_expected(self): large()
    @unittest.expectedFailure
    def test_unexpected_success(self): small()

class Expected(MemoryTestCase):
    @unittest.expectedFailure
    @limit_memory("500 KB")
    def test_fails(self): self.fail()

class Subtests(MemoryTestCase):
    memory_limit = "500 KB"
    def test_over(self):
        for n in range(3):
            with self.subTest(n=n):
                large()
    @limit_memory("2 MB")
    def test_fails_in_one(self):
        for n in range(3):
            with self.subTest(n=n):
                small()
                self.assertNotEqual(n, 1)

class Async(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self): self.kept = bytearray(10_000_000)
    @limit_memory("5 MB")
    async def test_over(self):
        kept = bytearray(6_000_000)
        await asyncio.sleep(0)

class AsyncMixin(MemoryTestMixin, unittest.IsolatedAsyncioTestCase):
    memory_limit = "5 MB"
    async def test_over(self):
        await asyncio.sleep(0)
        kept = bytearray(6_000_000)

class Waived(Base):
    @no_memory_limit("reads everything")
    def test_over(self): large()
@no_memory_limit()
class WaivedClass(Base):
    def test_over(self): large()
    @limit_memory("500 KB")
    def test_over_after_all(self): large()

class NoFunctions(MemoryTestCase):
    memory_limit = "500 KB"
    test_over_partial = limit_memory("400 KB")(functools.partial(lambda n, self: large(), 1))
    test_over_made = functools.partialmethod(lambda self, work: work(), large)

def add(name, method): setattr(MadeAtRunTime, name, method)
class MadeAtRunTime(MemoryTestCase):
    memory_limit = "500 KB"
add("test_over", lambda self: large())
Made = type("Made", (MemoryTestCase,), {
    "memory_limit": "500 KB", "test_over": lambda self: large(), "test_within": lambda self: None})

class Loaded(MemoryTestCase):
    memory_limit = "500 KB"
    def check_over(self): large()

def load_tests(loader, tests, pattern):
    tests.addTest(Loaded("check_over"))
    return tests
"""
)

OVER = {
    *("Base.test_over", "Inherited.test_over", "Inherited.test_over_of_its_own"),
    *("Mocks.test_over", "Mocks.test_over_outermost", "Subtests.test_over"),
    *("Async.test_over", "AsyncMixin.test_over", "WaivedClass.test_over_after_all"),
    *("NoFunctions.test_over_partial", "NoFunctions.test_over_made"),
    *("MadeAtRunTime.test_over", "Made.test_over", "Loaded.check_over"),
}
MISSES = {
    "pytest": {"Loaded.check_over"},  # knows no load_tests
    "pytest --memray": {"Loaded.check_over"},
    "trial": {"Loaded.check_over", "NoFunctions.test_over_made"},  # nor tests that are no functions
}

RUNNERS = {
    "unittest": ["-m", "unittest", "-v", "test_it"],
    "unittest_membudget": ["-m", "unittest_membudget", "-v", "test_it"],
    "pytest": ["-m", "pytest", "-p", "no:cacheprovider", "-rA", "test_it.py"],
    "pytest --memray": ["-m", "pytest", "-p", "no:cacheprovider", "-rA", "--memray", "test_it.py"],
    "trial": ["-m", "twisted.trial", "--reporter=verbose", "test_it"],
    "testtools": ["-m", "testtools.run", "test_it"],
    "xmlrunner": ["-m", "xmlrunner", "-v", "test_it"],
}


def failed_tests(output: str) -> set[str]:
    """Read the tests that were over their budget out of what a runner printed.

    Each failure has a heading with the name of its test before the message.
    """
    failed = set()
    for section in output.split("[FAIL]\nTraceback")[1:]:  # of trial, which names the tests below
        if "was limited to" in section:
            tests = re.findall(r"^test_it\.(\w+\.\w+)$", section.partition("\n====")[0], re.M)
            failed.update(tests)
    if failed:
        return failed
    name = ""
    for line in output.splitlines():
        heading = re.search(r"\b([A-Z]\w+)(?:\.|::| )((?:test|check)_\w+)\b", line)
        if heading and not line.startswith(("  File", "\t", "    ")):
            name = f"{heading[1]}.{heading[2]}"
        if re.search(r"was limited to .* but allocated", line):
            failed.add(name)
    return failed


@pytest.mark.parametrize("name", RUNNERS)
def test_the_same_tests_fail_with_every_runner(name: str, tmp_path: Path) -> None:
    tests = TESTS
    if name == "trial":  # its reporter knows expected failures of trial's own only
        tests = tests.replace("@unittest.expectedFailure", "@unittest.skip('')")
    (tmp_path / "test_it.py").write_text(tests)
    done = subprocess.run(
        [sys.executable, *RUNNERS[name]],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "PYTHONPATH": WORKLOADS,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_ADDOPTS": "-p membudget",
        },
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    output = done.stdout + done.stderr
    assert done.returncode != 0, output
    assert failed_tests(output) == OVER - MISSES.get(name, set()), output


def test_the_measuring_runner_says_why_tests_have_no_measurement(tmp_path: Path) -> None:
    """Waivers with their reasons, and the tests that were not measured."""
    (tmp_path / "test_it.py").write_text(
        TESTS
        + """
class Broken(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise LookupError
    def test_never(self): ...
    def test_never_too(self): ...
class BrokenSetUp(unittest.TestCase):
    def setUp(self): raise LookupError
    def test_never(self): ...
class Own(unittest.TestCase):
    @no_memray
    def test_tracker(self):
        import memray, tempfile
        with memray.Tracker(tempfile.mkdtemp() + "/own.bin"): small()
"""
    )
    done = run_python_in(
        tmp_path,
        *("-m", "unittest_membudget", "test_it", "--memray-default-limit=1 GB"),
        environment={"PYTHONPATH": WORKLOADS},
    )
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("Limit waived")] == [
        "Limit waived: test_it.Waived.test_over (reads everything)",
        "Limit waived: test_it.WaivedClass.test_over",
        "Limit waived: test_it.WaivedClass.test_within",
    ]
    last = [line for line in lines if line.startswith("Measured")]
    assert len(last) == 1, done.stderr
    assert last[0].endswith(
        "shown 5: --most-allocations=0 shows all; 5 not measured: "
        "1 failed before it was measured, 1 no_memray, 2 not run, 1 skipped"
    ), last


def test_the_assertion(tmp_path: Path) -> None:
    """As a context manager and with a callable; with msg; and never used is an error."""
    (tmp_path / "test_it.py").write_text(
        PRELUDE
        + """
def load(n, *, times=1):
    allocate(n * times)
    return n
class Asserts(MemoryTestCase):
    def test_callable(self):
        self.assertEqual(self.assertMemoryLimit("200 KB", load, 100_000, times=2), 100_000)
        with self.assertRaisesRegex(AssertionError, "^load.. was limited to 100.0KiB but"):
            self.assertMemoryLimit("100 KB", load, 100_000, times=2)
    def test_message(self):
        with self.assertRaises(AssertionError) as caught:
            with self.assertMemoryLimit("100 KB", msg="orders stay small"):
                large()
        lines = str(caught.exception).splitlines()
        self.assertEqual(
            lines[0], "Block was limited to 100.0KiB but allocated 1000.0KiB : orders stay small")
        self.assertTrue(lines[1].startswith("Exactly 1,024,000 bytes"))
    def test_figures(self):
        with self.assertMemoryLimit("100 KB", current_thread_only=True) as memory:
            allocate(1000)
        self.assertEqual(memory.peak_bytes, 1000)
    def test_forgets_with(self):
        self.assertMemoryLimit("1 KB")
        large()
    def test_bad_size(self):
        self.assertMemoryLimit("1 MBanana", load, 1)
    def test_generator(self):
        def generate(): yield bytearray(50_000)
        with self.assertRaisesRegex(TypeError, "generate is a generator .* 'with self.assert"):
            self.assertMemoryLimit("1 KB", generate)
        with self.assertRaisesRegex(RuntimeError, "returned a generator that has not run yet"):
            self.assertMemoryLimit("1 KB", lambda: generate())
    def test_bad_argument(self):
        self.assertMemoryLimit("1 MB", mesage="x")
class SetTooLate(MemoryTestCase):
    def setUp(self): self.memory_limit = "500 KB"
    def test_large(self): large()
class ShortMessages(MemoryTestCase):
    longMessage = False
    def test_message(self):
        with self.assertMemoryLimit("1 KB", msg="just this"): large()
"""
    )
    done = run_python_in(
        tmp_path, "-m", "unittest", "test_it", environment={"PYTHONPATH": WORKLOADS}
    )
    assert "FAILED (failures=1, errors=4)" in done.stderr, done.stderr
    assert "MisuseError: assertMemoryLimit() measured nothing: use it in a with statement" in (
        done.stderr
    )
    assert "InvalidSizeError: assertMemoryLimit: '1 MBanana' is not a memory size" in done.stderr
    assert "TypeError" in done.stderr
    assert "mesage" in done.stderr
    assert "AttributeError: SetTooLate.memory_limit cannot be set on a test" in done.stderr
    assert "MemoryLimitExceeded: just this\n" in done.stderr


MISTAKES = {
    "a bad size on a method": (
        "class Load(unittest.TestCase):\n    @limit_memory('24')\n    def test_load(self): ...",
        "InvalidSizeError: Load.test_load: limit_memory: '24' is not a memory size",
    ),
    "a bad size on a class": (
        "@limit_memory('24')\nclass Load(unittest.TestCase): ...",
        "InvalidSizeError: Load: limit_memory: '24' is not a memory size",
    ),
    "a bad attribute": (
        "class Load(MemoryTestCase):\n    memory_limit = '24'",
        "InvalidSizeError: Load.memory_limit: '24' is not a memory size",
    ),
    "a generator": (
        "class Load(unittest.TestCase):\n    @limit_memory('24 MB')\n"
        "    def test_load(self): yield",
        "TypeError: Load.test_load is a generator function",
    ),
    "a mixin in the wrong place": (
        "class Load(unittest.TestCase, MemoryTestMixin): ...",
        "TypeError: class Load: MemoryTestMixin comes after TestCase in its base classes",
    ),
    "a result's mixin in the wrong place": (
        "class Result(unittest.TextTestResult, MemoryResultMixin): ...",
        "TypeError: class Result: MemoryResultMixin comes after its other base classes, so it",
    ),
    "a runner's mixin in the wrong place": (
        "class Runner(unittest.TextTestRunner, MemoryRunnerMixin): ...",
        "TypeError: class Runner: MemoryRunnerMixin comes after its other base classes, so it",
    ),
    "a waiver without parentheses": (
        "class Load(unittest.TestCase):\n    @no_memory_limit\n    def test_load(self): ...",
        "TypeError: @no_memory_limit got <function Load.test_load",
    ),
    "a waiver of its own limit": (
        "class Load(unittest.TestCase):\n    @no_memory_limit()\n    @limit_memory('1 MB')\n"
        "    def test_load(self): ...",
        "TypeError: Load.test_load has both a memory limit and @no_memory_limit: remove one",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_fail_when_the_class_is_made(mistake: str, tmp_path: Path) -> None:
    """With class and method in the message, before any test runs."""
    source, message = MISTAKES[mistake]
    (tmp_path / "test_it.py").write_text(PRELUDE + source)
    done = run_python_in(tmp_path, "test_it.py", environment={"PYTHONPATH": WORKLOADS})
    assert message in done.stderr, done.stderr


@pytest.mark.parametrize("runner", ["unittest", "unittest_membudget"])
def test_a_test_may_change_its_own_attributes(runner: str, tmp_path: Path) -> None:
    """One that looks at its own method, or deletes its attributes, runs as without measuring.

    And one that is no function at all is measured.
    """
    (tmp_path / "test_it.py").write_text(
        PRELUDE
        + """
import inspect
class Deletes(MemoryTestCase):
    memory_limit = "500 KB"
    def setUp(self): self.data = bytearray(1000)
    def tearDown(self):
        for name in [name for name in vars(self) if not name.startswith("_")]:
            delattr(self, name)
    def test_over(self): large()
    def test_within(self): small()
class Looks(MemoryTestCase):
    memory_limit = "500 KB"
    def test_method(self):
        method = getattr(self, self._testMethodName)
        self.assertIs(method.__self__, self)
        self.assertEqual(method.__func__.__qualname__, "Looks.test_method")
        self.assertIn("def test_method", inspect.getsource(method))
        self.assertEqual(str(inspect.signature(method)), "()")
class IsAMock(MemoryTestCase):
    memory_limit = "500 KB"
    test_over = mock.Mock(side_effect=large, return_value=None, __doc__="")
class LooksAsync(MemoryTestMixin, unittest.IsolatedAsyncioTestCase):
    async def test_method(self):
        self.assertIs(self.test_method.__self__, self)
        self.assertTrue(inspect.iscoroutinefunction(self.test_method))
"""
    )
    done = run_python_in(tmp_path, "-m", runner, "test_it", environment={"PYTHONPATH": WORKLOADS})
    assert "Ran 5 tests" in done.stderr, done.stderr
    assert "FAILED (failures=2)" in done.stderr, done.stderr
    assert "Test was limited to 500.0KiB but allocated 1000.0KiB" in done.stderr


@pytest.mark.parametrize("command", ["unittest", "unittest_membudget", "pytest --memray"])
def test_a_mistake_that_is_made_late_is_an_error_of_its_test(command: str, tmp_path: Path) -> None:
    """Not the end of the run: the other tests run."""
    (tmp_path / "test_it.py").write_text(
        PRELUDE
        + """
class Late(MemoryTestCase):
    @classmethod
    def setUpClass(cls): cls.memory_limit = "24"
    def test_late(self): ...
class Other(unittest.TestCase):
    def test_fails(self): self.fail("on its own")
"""
    )
    done = run_python_in(
        tmp_path, "-m", *command.split(), "test_it.py", environment={"PYTHONPATH": WORKLOADS}
    )
    output = done.stdout + done.stderr
    assert "InvalidSizeError: Late.memory_limit: '24' is not a memory size" in output, output
    assert "on its own" in output
    counts = "2 failed" if "pytest" in command else "FAILED (failures=1, errors=1)"
    assert counts in output


def test_failures_and_errors_are_reported_as_such(tmp_path: Path) -> None:
    """Those of one test, of its subtests and of its setUp."""
    (tmp_path / "test_it.py").write_text(
        PRELUDE
        + """
class Cleanup(MemoryTestCase):
    memory_limit = "500 KB"
    def test_two(self):
        self.addCleanup(self.fail, "on its own")
        large()
class Subtests(MemoryTestCase):
    def test_subtests(self):
        for limit in "2 MB", "500 KB":
            with self.subTest(limit), self.assertMemoryLimit(limit): large()
        with self.subTest("fails"): self.fail()
class SetUp(MemoryTestCase):
    def setUp(self): self.assertMemoryLimit("500 KB", large)
    def test_setup(self): ...
"""
    )
    environment = {"PYTHONPATH": WORKLOADS}
    done = run_python_in(tmp_path, "-m", "unittest_membudget", "test_it", environment=environment)
    lines = done.stderr.splitlines()
    assert lines[0] == "MFMMF", done.stderr
    headings = [line for line in lines if re.match("(FAIL|MEMORY PROBLEMS): ", line)]
    assert headings == [
        "FAIL: test_two (test_it.Cleanup.test_two)",
        "FAIL: test_subtests (test_it.Subtests.test_subtests) [fails]",
        "MEMORY PROBLEMS: test_two (test_it.Cleanup.test_two)",
        "MEMORY PROBLEMS: test_setup (test_it.SetUp.test_setup)",
        "MEMORY PROBLEMS: test_subtests (test_it.Subtests.test_subtests) [500 KB]",
    ], done.stderr
    assert lines[-1] == "Measured 2 tests; 1 not measured: 1 could not be measured"
    done = run_python_in(
        tmp_path, "-m", "unittest_membudget", "-v", "test_it.Subtests", environment=environment
    )
    assert "(test_it.Subtests.test_subtests) [500 KB] ... MEMORY PROBLEMS" in done.stderr


def test_skips_are_counted_by_tests(tmp_path: Path) -> None:
    """A skipped subtest is no test, and a skipped class not one."""
    (tmp_path / "test_it.py").write_text(
        PRELUDE
        + """
class Subtests(unittest.TestCase):
    def test_subtests(self):
        for n in range(3):
            with self.subTest(n=n):
                if n: self.skipTest("")
class Class(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise unittest.SkipTest("")
    def test_one(self): ...
    def test_two(self): ...
@unittest.skip("")
class Decorated(unittest.TestCase):
    def test_one(self): ...
    def test_two(self): ...
    def test_three(self): ...
def load_tests(loader, tests, pattern):
    tests.addTest(Decorated("test_one"))
    return tests
"""
    )
    done = run_python_in(
        tmp_path, "-m", "unittest_membudget", "test_it", environment={"PYTHONPATH": WORKLOADS}
    )
    last = done.stderr.splitlines()[-1]
    assert last == "Measured 1 test; 6 not measured: 2 not run, 4 skipped", done.stderr


def test_a_limit_that_is_ignored_is_reported(tmp_path: Path) -> None:
    """The attribute of a class that is not a MemoryTestCase; ignore a value that is not a size."""
    (tmp_path / "case.py").write_text(
        "import unittest\nfrom unittest_membudget import MemoryTestCase\n"
        "class Forgotten(unittest.TestCase):\n"
        "    memory_limit = '1 KB'\n    def test_it(self): ...\n"
        "class Own(unittest.TestCase):\n"
        "    memory_limit = 'none'\n    def test_it(self): ...\n"
        "class Counts(MemoryTestCase):\n"
        "    memory_limit = '1 MB'\n    def test_it(self): ...\n"
    )
    done = run_python_in(tmp_path, "-m", "unittest_membudget", "case")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^Not enforced: (\S+),", done.stderr, re.M) == [
        "case.Forgotten.memory_limit"
    ]


def test_the_assertion_can_be_stable_and_call_a_class(tmp_path: Path) -> None:
    """In a class without a limit there is no block around it that counts in another way."""
    (tmp_path / "case.py").write_text(
        "import unittest\nfrom membudget import limit_leaks\n"
        "from unittest_membudget import MemoryTestCase\n"
        "class Case(MemoryTestCase):\n"
        "    def test_stable(self):\n"
        "        with self.assertMemoryLimit('2 MB', stable=True) as memory: bytearray(100)\n"
        "        self.assertGreater(memory.peak_bytes, 100)\n"
        "    def test_leaks(self):\n"
        "        with limit_leaks('2 MB'): bytearray(100)\n"
        "    def test_class(self):\n"
        "        self.assertEqual(self.assertMemoryLimit('2 MB', bytearray, 3), bytearray(3))\n"
        "        with self.assertRaisesRegex(AssertionError, 'bytearray.. was limited'):\n"
        "            self.assertMemoryLimit('1 KB', bytearray, 5000)\n"
    )
    done = run_python_in(tmp_path, "-m", "unittest", "case")
    assert done.returncode == 0, done.stderr
    done = run_python_in(tmp_path, "-m", "unittest_membudget", "--memray-stable", "case")
    assert done.returncode == 0, done.stderr
    done = run_python_in(tmp_path, "-m", "unittest_membudget", "case")
    assert "blocks that overlap share one recording" in done.stderr
