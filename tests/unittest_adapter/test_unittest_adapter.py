"""Budgets in unittest, with plain runners and with the measuring one."""

from __future__ import annotations

import json
import unittest
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import unittest_membudget
from conftest import REPOSITORY, run_python_in
from membudget import InvalidSizeError, limit_memory
from unittest_membudget import MemoryTestCase, MemoryTestMixin

WORKLOADS = str(REPOSITORY / "tests/contract")

TESTS = """
import json
import unittest
from membudget import limit_memory, measure_memory
from unittest_membudget import *
from workloads import *
from unittest import mock
make_headroom()

@limit_memory("100 KB")
class OnClass(unittest.TestCase):
    def setUp(self):
        self.kept = bytearray(1_000_000)
    def test_over(self): large()
    def test_within(self): small()
    @limit_memory("2 MB")
    def test_method_wins(self): large()
    @mock.patch("os.getcwd")
    @limit_memory("2 MB")
    def test_under_a_mock(self, getcwd): large()

class Inherits(OnClass):
    def test_own(self): large()

class Written(MemoryTestCase):
    memory_limit = "100 KB"
    def test_over(self): large()
    @limit_memory("50 KB")
    def test_method_wins(self): large()

class Assertion(MemoryTestCase):
    def test_assertion(self):
        with self.assertMemoryLimit("200 KB") as memory:
            small()
        self.assertEqual(memory.peak_bytes, 100 * KIB)
        with self.assertRaises(AssertionError):
            with self.assertMemoryLimit("50 KB"):
                small()

class Unlimited(Written):
    memory_limit = None
    test_method_wins = None
    def test_over(self): large()

class AsyncCase(unittest.IsolatedAsyncioTestCase):
    @limit_memory("100 KB")
    async def test_over(self): await async_large()

class Outcomes(MemoryTestCase):
    memory_limit = "500 KB"
    @unittest.skip("skipped")
    def test_skipped(self): large()
    @unittest.expectedFailure
    def test_expected(self): large()
    def test_subtests(self):
        for n in range(3):
            with self.subTest(n=n):
                small()
"""

FAILING = {
    *("OnClass.test_over", "Inherits.test_over", "Inherits.test_own", "Written.test_over"),
    *("Written.test_method_wins", "AsyncCase.test_over"),
}


@pytest.fixture
def case(tmp_path: Path) -> Path:
    (tmp_path / "test_it.py").write_text(TESTS)
    return tmp_path


def run(directory: Path, *arguments: str, **environment: str) -> CompletedProcess[str]:
    return run_python_in(
        directory, *arguments, environment={"PYTHONPATH": WORKLOADS, **environment}
    )


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "unittest", "test_it"],
        ["-m", "unittest_membudget", "test_it"],
        ["-m", "pytest", "-p", "no:cacheprovider", "test_it.py", "-rf"],
        ["-m", "pytest", "-p", "no:cacheprovider", "--memray", "test_it.py", "-rf"],
    ],
    ids=["unittest", "unittest_membudget", "pytest", "pytest --memray"],
)
def test_budgets_hold_with_every_runner(case: Path, command: list[str]) -> None:
    """On methods, classes, inherited tests, below mocks; the closest wins; setUp is outside."""
    done = run(case, *command)
    output = done.stdout + done.stderr
    assert done.returncode == 1, output
    for name in FAILING:
        test_class, method = name.split(".")
        assert any(
            method in line and test_class in line
            for line in output.splitlines()
            if line.startswith(("FAIL", "MEMORY PROBLEMS"))
        ), (name, output)
    n_failed = len(FAILING)
    assert f"failures={n_failed}" in output or f"{n_failed} failed" in output, output
    assert output.count("was limited to") >= n_failed
    assert "Test was limited to 50.0KiB but allocated 1000.0KiB" in output


def test_the_measuring_runner_reports_every_test(case: Path) -> None:
    """Any TestCase, without a change to it; the report is the one of pytest."""
    (case / "test_plain.py").write_text(
        "import unittest\nfrom workloads import *\nmake_headroom()\n"
        "class Plain(unittest.TestCase):\n"
        "    def test_small(self): small()\n"
        "    def test_large(self): large()\n"
    )
    done = run(case, "-m", "unittest_membudget", "test_plain")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert any(" MEMRAY REPORT " in line for line in lines)
    start = lines.index("Allocations results for test_plain.Plain.test_large")
    assert lines[start + 2 : start + 5] == [
        "\t 📦 Total memory allocated: 1000.0KiB",
        "\t 📏 Total allocations: 1",
        "\t ⛰ Peak memory: 1000.0KiB",
    ]
    assert "Allocations results for test_plain.Plain.test_small" in lines
    done = run(case, "-m", "unittest_membudget", "test_plain", "--most-allocations=1")
    assert done.stderr.count("Allocations results for") == 1
    done = run(case, "-m", "unittest_membudget", "--hide-memray-summary", "test_plain")
    assert "MEMRAY" not in done.stderr


def test_a_test_over_its_budget_stands_out(case: Path) -> None:
    """Letter M, MEMORY PROBLEMS in the long form, and a failure that begins at the message."""
    done = run(case, "-m", "unittest_membudget", "test_it.Written")
    assert done.stderr.splitlines()[0] == "MM"
    assert "MEMORY PROBLEMS: test_over (test_it.Written.test_over)" in done.stderr
    assert "src/membudget/" not in done.stderr
    assert "FAILED (failures=2)" in done.stderr
    done = run(case, "-m", "unittest_membudget", "-v", "test_it.Written")
    assert "test_over (test_it.Written.test_over) ... MEMORY PROBLEMS" in done.stderr
    assert "\t ⛰ Peak memory: 1000.0KiB (1000% of the 100.0KiB limit) OVER" in done.stderr


def test_the_arguments_of_unittest_work(case: Path) -> None:
    done = run(case, "-m", "unittest_membudget", "discover", "-k", "within", "-v")
    assert "Ran 2 tests" in done.stderr
    done = run(case, "-m", "unittest_membudget", "-f", "test_it.Written")
    assert "Ran 1 test" in done.stderr
    done = run(case, "-m", "unittest_membudget", "--help")
    assert "--most-allocations N" in done.stdout
    assert "--failfast" in done.stdout


def test_a_default_limit_and_json(case: Path) -> None:
    """The options of pytest under the same names; a class's own limit of None waives it."""
    (case / "test_default.py").write_text(
        "import unittest\nfrom unittest_membudget import MemoryTestCase\n"
        "from workloads import *\nmake_headroom()\n"
        "class PlainTest(unittest.TestCase):\n"
        "    def test_small(self): small()\n"
        "    def test_large(self): large()\n"
        "class UnsaidTest(MemoryTestCase):\n"
        "    def test_large(self): large()\n"
        "class WaivedTest(MemoryTestCase):\n"
        "    memory_limit = None\n"
        "    def test_large(self): large()\n"
        "class OwnTest(MemoryTestCase):\n"
        "    memory_limit = '2 MB'\n"
        "    def test_large(self): large()\n"
    )
    options = ("--memray-default-limit", "500 KB", "--memray-json", "memory.json")
    done = run(case, "-m", "unittest_membudget", *options, "-v", "test_default")
    over = [line for line in done.stderr.splitlines() if line.endswith("... MEMORY PROBLEMS")]
    assert [line.split()[1] for line in over] == [
        "(test_default.PlainTest.test_large)",
        "(test_default.UnsaidTest.test_large)",
    ], done.stderr
    assert "Measured 5 tests" in done.stderr
    data = json.loads((case / "memory.json").read_text())
    exceeded = {result["name"] for result in data["results"] if not result["within"]}
    assert len(data["results"]) == 5
    assert exceeded == {
        "test_default.PlainTest.test_large",
        "test_default.UnsaidTest.test_large",
    }


def test_wrong_arguments_are_usage_errors(case: Path) -> None:
    done = run(case, "-m", "unittest_membudget", "--most-allocations=x", "test_it")
    assert done.returncode == 2
    assert "--most-allocations: 'x' is not a whole number, 0 or more" in done.stderr
    done = run(case, "-m", "unittest_membudget", "--no-such-option")
    assert done.returncode == 2


def test_the_runner_for_unittest_main(case: Path) -> None:
    (case / "main.py").write_text(
        "import unittest\nfrom test_it import Assertion\n"
        "from unittest_membudget import MemoryTestRunner\n"
        "unittest.main(testRunner=MemoryTestRunner)"
    )
    done = run(case, "main.py", MEMBUDGET_MOST_ALLOCATIONS="0")
    assert done.returncode == 0, done.stderr
    assert "Allocations results for test_it.Assertion.test_assertion" in done.stderr


def test_membudget_off_says_so(case: Path) -> None:
    done = run(case, "-m", "unittest_membudget", "test_it.Written", MEMBUDGET="off")
    assert done.returncode == 0
    assert "Nothing was measured: MEMBUDGET=off" in done.stderr


def test_mistakes_fail_when_the_class_is_made() -> None:
    with pytest.raises(InvalidSizeError, match=r"Bad.memory_limit: '1 MBanana' is not"):

        class Bad(MemoryTestCase):
            memory_limit = "1 MBanana"

    with pytest.raises(TypeError, match=r"class \S*Late: MemoryTestMixin comes after TestCase"):

        class Late(unittest.TestCase, MemoryTestMixin):
            memory_limit = "4 MB"

    with pytest.raises(InvalidSizeError):
        limit_memory("24")
    with pytest.raises(TypeError, match="no installed package knows this class"):
        limit_memory("24 MB")(object)


def test_public_names() -> None:
    assert unittest_membudget.__all__ == [
        "MemoryResultMixin",
        "MemoryRunnerMixin",
        "MemoryTestCase",
        "MemoryTestMixin",
        "MemoryTestResult",
        "MemoryTestRunner",
        "no_memory_limit",
        "no_memray",
    ]
