"""What counts of a test, with pytest: phases, patterns, plugins, and stable figures."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import run_python_in
from running import WORKLOADS, Pytest


@pytest.fixture
def runner(tmp_path: Path) -> Pytest:
    return Pytest(tmp_path)


PHASES = """
import unittest
import pytest
from workloads import *
make_headroom()

@pytest.fixture(scope="module")
def of_the_module():
    allocate(9000 * KIB)
    yield
    allocate(9000 * KIB)

@pytest.fixture
def allocator(of_the_module):
    allocator = MemoryAllocator()
    allocator.malloc(1000 * KIB)
    yield allocator
    allocator.free()
    allocate(3000 * KIB)

@pytest.fixture
def broken(allocator):
    raise LookupError("broken")

@pytest.mark.limit_memory("3100 KB", include="setup,call,teardown")
def test_within(allocator): allocate(500 * KIB)
@pytest.mark.limit_memory("2900 KB", include="setup,call,teardown")
def test_over_in_teardown(allocator): allocate(500 * KIB)
@pytest.mark.limit_memory("900 KB", include="setup")
def test_over_in_setup(allocator): allocate(9000 * KIB)
@pytest.mark.limit_memory("1400 KB", include="setup, call")
def test_over_in_call(allocator): allocate(500 * KIB)
@pytest.mark.limit_memory("600 KB", include="call")
def test_call_alone(allocator): allocate(500 * KIB)
@pytest.mark.limit_memory("900 KB", include="setup,call")
def test_over_and_broken(broken): ...
@pytest.mark.limit_memory("900 KB", include="setup,call")
def test_over_and_skipped(allocator): pytest.skip("because")
@pytest.mark.limit_memory("900 KB", include="setup,call")
def test_over_and_fails(allocator): assert not allocator
@pytest.mark.limit_memory("100 KB", include="setup")
def test_asks_for_a_fixture_late(request): request.getfixturevalue("allocator")
@pytest.mark.limit_memory("1400 KB", include="setup,call")
def test_asks_late_and_counts(request):
    request.getfixturevalue("allocator"); allocate(500 * KIB)

class TestX:
    def setup_method(self): self.allocator = MemoryAllocator(); self.allocator.malloc(1000 * KIB)
    def teardown_method(self): self.allocator.free()
    @pytest.mark.limit_memory("1400 KB", include="setup,call")
    def test_over(self): allocate(500 * KIB)

class TestCase(unittest.TestCase):
    def setUp(self):
        self.allocator = MemoryAllocator(); self.allocator.malloc(1000 * KIB)
        self.addCleanup(allocate, 3000 * KIB)
    def tearDown(self): self.allocator.free()
    @pytest.mark.limit_memory("3100 KB", include="setup,call,teardown")
    def test_within(self): allocate(500 * KIB)
    @pytest.mark.limit_memory("2900 KB", include="setup,call,teardown")
    def test_over_in_cleanup(self): allocate(500 * KIB)
    @pytest.mark.limit_memory("1400 KB", include="setup,call")
    def test_over_in_call(self): allocate(500 * KIB)
"""
OVER = [
    "test_over_in_teardown",
    "test_over_in_setup",
    "test_over_in_call",
    "test_over_and_skipped",
    "test_asks_late_and_counts",
    "TestX::test_over",
    "TestCase::test_over_in_cleanup",
    "TestCase::test_over_in_call",
]


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=" ".join)
def test_phases_that_count(runner: Pytest, arguments: tuple[str, ...]) -> None:
    """The test's own fixtures, and never those of its module, whichever test comes first."""
    runner.write(test_it=PHASES)
    ran = runner.run("--memray", "--memray-json=m.json", "--most-allocations=0", *arguments)
    found = re.findall(r"^MEMORY PROBLEMS test_it.py::(\S+)", ran.stdout, re.M)
    assert sorted(found) == sorted(OVER)
    # What is over in the teardown has passed its call, as for any error there.
    ran.counts(failed=9, passed=5, error=1)
    results = {
        one["name"].removeprefix("test_it.py::"): one
        for one in json.loads((runner.directory / "m.json").read_text())["results"]
    }
    assert len(results) == 14
    within = results["test_within"]
    assert 3000 * 1024 <= within["measurement"]["peak_bytes"] < 3010 * 1024
    peaks = {name: one["peak_bytes"] // 1024 for name, one in within["phases"].items()}
    assert peaks["setup"] in range(1000, 1010)
    assert peaks["call"] in range(500, 510)
    assert peaks["teardown"] in range(3000, 3010)
    assert not results["test_over_and_broken"]["within"]
    assert not results["test_over_and_skipped"]["within"]
    assert "limited to 900.0KiB" in ran.stdout  # a note on what fails by itself
    assert re.search(
        r"Peak of each phase: setup 1000\.\dKiB, call 500\.\dKiB, teardown", ran.stdout
    )
    assert "Measured 14 tests\n" in ran.stdout
    # Stack traces begin at the fixture and the test.
    section = ran.stdout.partition("_ TestX.test_over _")[2].partition("\n____")[0]
    assert "called by setup_method:" in section
    assert "_pytest" not in section
    assert "pluggy" not in section


def test_an_unseen_phase_fails_the_test(runner: Pytest) -> None:
    """A plugin that runs the function by itself, and a limit on the call as well."""
    runner.write(
        conftest="""
import pytest
@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    pyfuncitem.module.calls.append(1)
    return True
""",
        test_it="""
import pytest
calls = []
@pytest.mark.limit_memory("1 MB", include="setup,call")
def test_skipped_over(): ...
""",
    )
    ran = runner.run("--memray")
    ran.counts(failed=1)
    assert "this test has a limit but was not measured" in ran.stdout


STABLE = """
import os
import unittest
import pytest
from membudget import limit_memory
from workloads import *
make_headroom()
seen = []

@pytest.fixture(scope="module")
def of_the_module():
    seen.append("module")

@pytest.fixture
def fresh(of_the_module, tmp_path):
    (tmp_path / "here").touch()
    made = []
    seen.append(made)
    yield made
    seen.append("torn down")

@pytest.mark.limit_memory("200 KB", stable=True)
def test_marker(fresh, record_property):
    record_property("own", 1)
    print("printed", len(seen))
    assert not fresh
    fresh.append(1)
    if fills_a_cache() is None and len(seen) == 2 and "FAILS_FIRST" in os.environ:
        raise LookupError("the first call of all")
    assert seen in (["module", [1]], ["module", [1], "torn down", [1]])

@limit_memory("200 KB", stable=True)
def test_decorator(fresh):
    assert not fresh
    fresh.append(1)

class TestCase(unittest.TestCase):
    def setUp(self):
        self.fresh = []
    @limit_memory("200 KB", stable=True)
    def test_method(self):
        self.fresh.append(1)
        self.assertEqual(len(self.fresh), 1)
        fills_another_cache()
    @pytest.mark.limit_memory("200 KB", stable=True)
    @unittest.expectedFailure
    def test_expected(self):
        self.fail()

@pytest.mark.anyio
@pytest.mark.limit_memory("200 KB", stable=True)
async def test_async(fresh):
    assert not fresh
    fresh.append(1)

@pytest.fixture
def anyio_backend(): return "asyncio"

@pytest.mark.limit_memory("10 KB", stable=True)
def test_over(fresh): small()

@pytest.mark.limit_memory("10 KB", stable=True)
def test_skips(): pytest.skip("because")

@pytest.mark.limit_memory("10 KB", stable=True)
@pytest.mark.xfail(run=False)
def test_not_run(): assert 0
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=" ".join)
@pytest.mark.parametrize("is_kept", [False, True])
def test_a_stable_test_runs_twice(
    runner: Pytest, is_kept: bool, arguments: tuple[str, ...]
) -> None:
    """With fixtures of its own, and the first run does not show: no output, property or failure.

    If the figures are kept, the first run does not even have to pass; otherwise there is a second
    run only if the first is over a limit.
    """
    runner.plugins.append("anyio")
    runner.write(test_it=STABLE)
    environment = {"FAILS_FIRST": "1"} if is_kept else {}
    kept = ("--memray-json=run.json",) if is_kept else ()
    options = ("--memray", "--junitxml=x.xml", "-rPf", "-W", "always", *kept)
    ran = runner.run(*options, *arguments, **environment)
    ran.counts(failed=1, passed=4, skipped=1, xfailed=2)
    assert re.findall(r"^MEMORY PROBLEMS test_it.py::(\S+)", ran.stdout, re.M) == ["test_over"]
    assert re.findall(r"printed \d", ran.stdout) == ["printed 4"]
    root = ElementTree.parse(runner.directory / "x.xml").getroot()
    properties = root.findall(".//testcase[@name='test_marker']/properties/property")
    assert [one.get("name") for one in properties].count("own") == 1
    assert len(root.findall(".//testcase")) == 8


def test_all_tests_stable(runner: Pytest) -> None:
    """--memray-stable; a marker that says stable=False keeps a test out."""
    runner.write(
        test_it="""
import sys
import pytest
calls = []
def test_twice(): calls.append("twice")
@pytest.mark.limit_memory("9 MB")
def test_limited(): calls.append("limited")
@pytest.mark.limit_memory("9 MB", stable=False)
def test_once(): calls.append("once")
@pytest.mark.no_memray
def test_unmeasured(): calls.append("unmeasured")
def test_order():
    n = 2 if "--memray-json=run.json" in sys.argv else 1
    assert calls == ["twice"] * n + ["limited"] * n + ["once", "unmeasured"]
""",
        test_plain="""
calls = []
def test_it(): calls.append(1)
def test_calls(): assert calls == [1]
""",
    )
    runner.run("--memray", "--memray-stable", "test_it.py").counts(passed=5)
    kept = ("--memray", "--memray-stable", "--memray-json=run.json", "test_it.py")
    runner.run(*kept).counts(passed=5)
    results = json.loads((runner.directory / "run.json").read_text())["results"]
    assert {one["name"].partition("::")[2]: one["is_warm"] for one in results} == {
        "test_twice": True,
        "test_limited": True,
        "test_once": False,
        "test_order": True,
    }
    runner.run("--memray", "test_plain.py").counts(passed=2)
    ran = runner.run("--memray-stable", "test_plain.py")
    assert "--memray-stable does nothing without --memray" in ran.stderr
    # The debugger opens once.
    runner.write(test_plain="calls = []\ndef test_it(): calls.append(1); assert len(calls) == 1\n")
    runner.run("--memray", "--memray-stable", "--pdb", "test_plain.py").counts(passed=1)


def test_a_hook_of_the_suite(runner: Pytest) -> None:
    """In conftest.py: what it leaves out counts in no test; what it raises fails each."""
    conftest = """
from membudget import hookimpl
@hookimpl
def membudget_keep_allocation(stack):
    {body}
"""
    test = """
import pytest
from workloads import *
make_headroom()
mixed()
@pytest.mark.limit_memory("100 KB")
def test_it(): mixed()
"""
    body = "return not any('elsewhere' in frame.filename for frame in stack.frames)"
    runner.write(conftest=conftest.format(body=body), test_it=test)
    for arguments in ((), ("-n", "1")):
        ran = runner.run("--memray", *arguments)
        ran.counts(passed=1)
        assert "Peak memory: 100.0KiB (100% of the 100.0KiB limit)" in ran.stdout
    runner.write(conftest=conftest.format(body="raise ZeroDivisionError('mine')"))
    ran = runner.run("--memray")
    ran.counts(failed=1)
    assert "a plugin's membudget_keep_allocation raised ZeroDivisionError: mine" in ran.stdout
    # Of one run, where several run in one process; and whatever else is in the module.
    everything = "from unittest.mock import MagicMock\nanything = MagicMock()\n"
    runner.write(
        conftest="",
        suite=everything + conftest.format(body=body),
        twice="""
import sys, pytest
for plugins in (["-p", "suite"], ["-p", "suite"], []):
    print("status", pytest.main(["--memray", "-p", "no:cacheprovider", *plugins]))
""",
    )
    done = run_python_in(runner.directory, "twice.py", environment={"PYTHONPATH": WORKLOADS})
    found = re.findall(r"^status ExitCode.(\w+)|^status (\d)", done.stdout, re.M)
    assert [one or other for one, other in found] == ["0", "0", "1"] or [
        one or other for one, other in found
    ] == ["OK", "OK", "TESTS_FAILED"], done.stdout


def test_a_marker_added_in_the_setup_fails_the_test(runner: Pytest) -> None:
    """Where the setup counts, it is too late by then."""
    runner.write(
        test_it="""
import pytest
@pytest.fixture
def limited(request): request.applymarker(pytest.mark.limit_memory("1 KB"))
def test_it(limited): bytearray(5000)
"""
    )
    ran = runner.run("--memray", "--memray-include=setup,call")
    ran.counts(failed=1)
    assert "was added to this test during its setup, which had already been measured" in ran.stdout


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=" ".join)
def test_subtests_and_doctests_of_stable_runs(runner: Pytest, arguments: tuple[str, ...]) -> None:
    """A subtest of the run before shows nothing; a doctest cannot run twice, and does not."""
    runner.write(
        test_it="""
import unittest
calls = []
def test_subtests(subtests):
    calls.append(1)
    for n in range(3):
        with subtests.test(n=n):
            assert n < 2
class TestCase(unittest.TestCase):
    def test_it(self):
        for n in range(3):
            with self.subTest(n=n):
                self.assertLess(n, 2)
def test_calls(): print("called", len(calls))
""",
        documented="""
def double(n):
    \'\'\'
    >>> made = double(2)
    >>> made
    4
    \'\'\'
    return 2 * n
""",
    )
    options = ("--doctest-modules", "--junitxml=x.xml", "-rA", *arguments, ".")

    def run(*more: str) -> tuple[str, int, str]:
        ran = runner.run(*more, *options)
        root = ElementTree.parse(runner.directory / "x.xml").getroot()
        counts = re.sub(r"in .*", "", ran.lines[-1]).strip("= ")
        return counts, len(root.findall(".//failure")), ran.stdout

    plain = run()
    assert "called 1" in plain[2]
    stable = run("--memray", "--memray-stable", "--memray-json=run.json")
    output = stable[2]
    assert "called 2" in output
    assert stable[:2] == plain[:2], output
    contains = r"contains \d+ failed"
    assert re.findall(contains, output) == re.findall(contains, plain[2])


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=" ".join)
def test_reporting_subtests_counts_in_no_test(runner: Pytest, arguments: tuple[str, ...]) -> None:
    """Making reports and sending them to another process does not count in the test."""
    runner.write(
        conftest="""
import pytest
from workloads import *
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report): allocate(5000 * KIB)
def pytest_runtest_makereport(item, call): allocate(5000 * KIB)
""",
        test_it="""
import unittest
import pytest
from workloads import *
make_headroom()
@pytest.mark.limit_memory("1 MB")
def test_subtests(subtests):
    for n in range(3):
        with subtests.test(n=n): small()
class TestCase(unittest.TestCase):
    @pytest.mark.limit_memory("1 MB")
    def test_it(self):
        for n in range(3):
            with self.subTest(n=n): small()
""",
    )
    runner.run("--memray", *arguments).counts(passed=2)


def test_what_shows_that_a_test_ran_twice(runner: Pytest) -> None:
    """What docs/stable.md says of a test that was over its limit in its first run."""
    runner.plugins += ["timeout", "benchmark"]
    runner.write(
        conftest="""
def pytest_timeout_set_timer(item): print("timer of", item.name)
""",
        test_it="""
import unittest
import pytest

full = set()
def over_when_cold(name):
    print("run of", name)
    if name not in full:
        full.add(name)
        bytearray(500_000)

pytestmark = pytest.mark.limit_memory("300 KB", stable=True)

def test_within(): print("run of test_within")

@pytest.mark.timeout(60)
def test_timed(): over_when_cold("test_timed")

def test_changes(tmp_path_factory):
    over_when_cold("test_changes")
    (tmp_path_factory.getbasetemp() / "made").mkdir()

def test_subtests(subtests):
    over_when_cold("test_subtests")
    with subtests.test("a part"): assert not full

class TestCase(unittest.TestCase):
    def test_case(self):
        over_when_cold("test_case")
        with self.subTest("a part"): self.assertFalse(full)

def test_benchmark(benchmark):
    over_when_cold("test_benchmark")
    benchmark.pedantic(int, rounds=1, iterations=1)

@pytest.mark.limit_memory("9 MB", stable=True, include="setup")
def test_include(): print("run of test_include")
""",
    )
    ran = runner.run("--memray", "-s", "--benchmark-json=times.json")
    assert len(re.findall(r"^SUBFAILED", ran.stdout, re.M)) == 4  # in each run of both tests
    runs = Counter(re.findall(r"run of (\w+)", ran.stdout))
    assert runs.pop("test_within") == 1
    assert set(runs.values()) == {2}, ran.stdout
    assert ran.stdout.count("timer of test_timed") == 1
    assert "FileExistsError" in ran.stdout
    times = json.loads((runner.directory / "times.json").read_text())
    assert [one["name"] for one in times["benchmarks"]] == ["test_benchmark"] * 2
