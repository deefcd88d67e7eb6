"""pytest with markers and --memray, each in a process of its own."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from conftest import run_python_in
from membudget.recording.readers.scanner import scanner_problem
from membudget.results import read_run
from membudget.results.capture_names import capture_of
from membudget.settings import OPTIONS
from membudget.source.checking import problems_in
from running import WORKLOADS, Pytest

TESTS = """
import pytest
from workloads import *
make_headroom()

@pytest.mark.limit_memory("100 KB")
def test_over(): large()

@pytest.mark.limit_memory("2 MB")
def test_within(): large()

def test_free(): small()
"""


@pytest.fixture
def runner(tmp_path: Path) -> Pytest:
    ran = Pytest(tmp_path)
    ran.write(test_it=TESTS)
    return ran


def test_a_test_over_its_limit_fails_as_in_the_usage_text(runner: Pytest) -> None:
    """The letter, the heading, the line, the section, the report and the summary."""
    ran = runner.run("--memray")
    assert ran.returncode == 1
    ran.counts(failed=1, passed=2)
    assert any(line.startswith("test_it.py M..") for line in ran.lines)
    start = ran.lines.index("Test was limited to 100.0KiB but allocated 1000.0KiB")
    assert "memray-max-memory" in ran.lines[start + 1]
    assert ran.lines[start + 2] == "Test is using 1000.0KiB out of limit of 100.0KiB"
    assert ran.lines[start + 3] == (
        "Exactly 1,024,000 bytes at the peak, 921,600 bytes (900.0%) over the limit of "
        "102,400 bytes"
    )
    assert any(" MEMRAY REPORT " in line for line in ran.lines)
    assert "\t ⛰ Peak memory: 1000.0KiB (49% of the 2.0MiB limit)" in ran.lines
    assert any(line.startswith("MEMORY PROBLEMS test_it.py::test_over") for line in ran.lines)
    # The stack ends at the test: nothing of pytest or membudget is in it.
    assert not any("_pytest" in line or "src/membudget/" in line for line in ran.lines), ran.stdout


def test_without_the_option_markers_do_nothing(runner: Pytest) -> None:
    """No failure, no report, no warning about an unknown marker."""
    ran = runner.run("--strict-markers", "-W", "error")
    assert ran.returncode == 0
    ran.counts(passed=3)
    assert "MEMRAY" not in ran.stdout
    assert "warning" not in ran.stdout


def test_the_plugin_costs_nothing_without_the_option(runner: Pytest) -> None:
    """memray is not even imported."""
    runner.fresh = True
    runner.write(test_it="import sys\ndef test(): assert 'memray' not in sys.modules")
    assert runner.run().returncode == 0


def test_blocks_inside_tests_work_with_and_without_the_option(runner: Pytest) -> None:
    """A block is code: it fails its test either way, and the traceback shows which block."""
    runner.write(
        test_it="""
from membudget import limit_memory
from workloads import *
make_headroom()
def test_block():
    with limit_memory("2 MB"):
        large()
    with limit_memory("100 KB"):  # this one
        large()
@limit_memory("100 KB")
def test_decorated():
    large()
"""
    )
    for options, letters in ((["--memray"], "MM"), ([], "FF")):
        ran = runner.run(*options)
        ran.counts(failed=2)
        assert any(line.startswith(f"test_it.py {letters}") for line in ran.lines), ran.stdout
        assert any(line.startswith(">") and "# this one" in line for line in ran.lines)
        assert "Block was limited to 100.0KiB but allocated 1000.0KiB" in ran.stdout
    # The budget of a decorated test is its test's budget.
    ran = runner.run("--memray", "-k", "decorated")
    assert "Test was limited to 100.0KiB but allocated 1000.0KiB" in ran.lines
    assert "\t ⛰ Peak memory: 1000.0KiB (1000% of the 100.0KiB limit) OVER" in ran.lines


def test_options_of_the_report(runner: Pytest) -> None:
    ran = runner.run("--memray", "--most-allocations=1")
    assert ran.stdout.count("Allocations results for") == 1
    assert "Allocations results for test_it.py::test_over" in ran.lines
    assert runner.run("--memray", "--most-allocations=0").stdout.count("Allocations results") == 3
    ran = runner.run("--memray", "--hide-memray-summary")
    assert "Allocations results" not in ran.stdout
    ran.counts(failed=1, passed=2)


@pytest.mark.parametrize("value", ["-1", "many", ""])
def test_a_wrong_option_is_a_usage_error(runner: Pytest, value: str) -> None:
    ran = runner.run("--memray", f"--most-allocations={value}")
    assert ran.returncode == 4
    assert f"--most-allocations: {value!r} is not a whole number, 0 or more" in ran.stderr


def test_the_ini_file_and_the_environment_work(runner: Pytest) -> None:
    """The command line wins over the environment, that over the file."""
    (runner.directory / "pytest.ini").write_text("[pytest]\nmemray = true\nmost_allocations = 2\n")
    assert runner.run().stdout.count("Allocations results") == 2
    ran = runner.run(MEMBUDGET_MOST_ALLOCATIONS="1")
    assert ran.stdout.count("Allocations results") == 1
    ran = runner.run("--most-allocations=3", MEMBUDGET_MOST_ALLOCATIONS="1")
    assert ran.stdout.count("Allocations results") == 3
    (runner.directory / "pytest.ini").write_text("[pytest]\nmemray = perhaps\n")
    ran = runner.run()
    assert ran.returncode == 4
    assert "pytest.ini: memray: invalid truth value 'perhaps'" in ran.stderr


def test_bad_markers_are_one_usage_error_that_lists_all(runner: Pytest) -> None:
    """Before any test runs; each with its test and what was written."""
    runner.write(
        test_it="""
import pytest
@pytest.mark.limit_memory("1 MBanana")
def test_a(): raise SystemExit("must not run")
@pytest.mark.limit_memory
def test_b(): ...
@pytest.mark.limit_memory("1 MB", threads=1)
class TestC:
    def test_c(self): ...
@pytest.mark.limit_memory("1 MB")
def test_good(): ...
@pytest.mark.limit_memory(allocations=-1)
def test_e(): ...
@pytest.mark.limit_memory(retained="many")
def test_f(): ...
@pytest.mark.limit_memory("1 MB", include="setup,cleanup")
def test_h(): ...
@pytest.mark.limit_memory("1 MB", only=[])
def test_i(): ...
@pytest.mark.limit_memory("1 MB", ignore=["a", 3])
def test_j(): ...
@pytest.mark.limit_memory("1 MB", stable="yes")
def test_k(): ...
@pytest.mark.limit_leaks("1 KB", current_thread_only=1)
def test_l(): ...
@pytest.mark.limit_memory(total="1 MB")
class TestG:
    @pytest.mark.limit_memory("1 MB", current_thread_only=True)
    def test_g(self): ...
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.limit_memory(-5))])
def test_d(x): ...
"""
    )
    ran = runner.run("--memray")
    assert ran.returncode == 4
    assert (
        "test_it.py::test_a: @pytest.mark.limit_memory('1 MBanana'): '1 MBanana' is not"
        in ran.stderr
    )
    assert "test_it.py::test_b: @pytest.mark.limit_memory(): no limit is given" in ran.stderr
    for test, problem in (
        ("test_h", "include: 'setup,cleanup' does not name phases"),
        ("test_i", "only: [] is not a pattern"),
        ("test_j", "ignore: 3 is not a pattern"),
        ("test_k", "stable: 'yes' is not True or False"),
        ("test_l", "current_thread_only: 1 is not True or False"),
    ):
        assert re.search(f"::{test}: @pytest.*, {re.escape(problem)}", ran.stderr), ran.stderr
    assert "test_it.py::test_e: @pytest.mark.limit_memory(allocations=-1), allocations: -1 is" in (
        ran.stderr
    )
    assert (
        "test_it.py::test_f: @pytest.mark.limit_memory(retained='many'), retained: 'many' is"
        in (ran.stderr)
    )
    assert (
        "test_it.py::TestG::test_g: @pytest.mark.limit_memory(total='1 MB'): two limits that"
        in (ran.stderr)
    )
    assert "test_it.py::TestC::test_c: @pytest.mark.limit_memory('1 MB', threads=1)" in ran.stderr
    assert "test_it.py::test_d[1]: @pytest.mark.limit_memory(-5): -5 is not" in ran.stderr
    assert "unexpected keyword argument 'threads'" in ran.stderr
    assert "test_good" not in ran.stderr
    assert runner.run("--memray", "--collect-only").returncode == 4
    parallel = runner.run("--memray", "-n", "2")
    assert parallel.returncode == 4
    assert ran.stderr == parallel.stderr


def test_the_closest_marker_wins(runner: Pytest) -> None:
    runner.write(
        test_it="""
import pytest
from workloads import *
make_headroom()
pytestmark = pytest.mark.limit_memory("10 KB")
def test_module(): large()
@pytest.mark.limit_memory("2 MB")
class TestClass:
    def test_class(self): large()
    @pytest.mark.limit_memory("20 KB")
    def test_method(self): large()
    @pytest.mark.limit_memory(limit="20 MB")
    @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.limit_memory("30 KB"))])
    def test_parameter(self, x): large()
"""
    )
    ran = runner.run("--memray", "-v")
    for name, limit in (
        ("test_module", "10.0KiB"),
        ("TestClass::test_method", "20.0KiB"),
        ("TestClass::test_parameter[1]", "30.0KiB"),
    ):
        assert any(f"{name} MEMORY PROBLEMS" in line for line in ran.lines), ran.stdout
        assert f"Test was limited to {limit} but allocated 1000.0KiB" in ran.lines
    assert any("TestClass::test_class PASSED" in line for line in ran.lines)


def test_fixtures_do_not_count(runner: Pytest) -> None:
    """The measurement lies around the test function; what fixtures hold is not in it."""
    runner.write(
        test_it="""
import pytest
from workloads import *
make_headroom()
@pytest.fixture
def heavy():
    kept = bytearray(5_000_000)
    yield kept
    bytearray(5_000_000)
@pytest.mark.limit_memory("200 KB")
def test(heavy): small()
"""
    )
    assert runner.run("--memray").returncode == 0


def test_a_failing_test_is_measured_and_says_that_it_was_over_as_well(runner: Pytest) -> None:
    runner.write(
        test_it="""
import pytest
from workloads import *
make_headroom()
@pytest.mark.limit_memory("100 KB")
def test_fails():
    large()
    assert 1 == 2
@pytest.mark.xfail(raises=MemoryError)
@pytest.mark.limit_memory("100 KB")
def test_wrong_xfail(): large()
"""
    )
    runner.write(
        test_xfail="""
import pytest
from membudget import MemoryLimitExceeded
from workloads import *
make_headroom()
@pytest.mark.xfail(raises=MemoryLimitExceeded, strict=True)
@pytest.mark.limit_memory("100 KB")
def test_xfail(): large()
"""
    )
    ran = runner.run("--memray", "test_it.py", "test_xfail.py")
    ran.counts(failed=2, xfailed=1)
    assert "E       assert 1 == 2" in ran.lines
    assert "Test was limited to 100.0KiB but allocated 1000.0KiB" in ran.stdout
    assert any(line.startswith("test_it.py FM") for line in ran.lines), ran.stdout
    assert "Allocations results for test_it.py::test_fails" in ran.lines


def test_async_tests_and_test_cases_and_doctests_are_measured(runner: Pytest) -> None:
    runner.plugins.append("anyio")
    runner.write(
        test_it='''
import asyncio, unittest
import pytest
from membudget import limit_memory
from workloads import *
make_headroom()
@pytest.fixture
def anyio_backend(): return "asyncio"
@pytest.mark.anyio
@pytest.mark.limit_memory("100 KB")
async def test_async():
    await asyncio.sleep(0)
    large()
class TestCase(unittest.TestCase):
    @pytest.mark.limit_memory("100 KB")
    def test_method(self): large()
    def setUp(self): self.kept = bytearray(1_000_000)
@limit_memory("100 KB")
class TestLimited(unittest.TestCase):
    def test_class(self): large()
class TestAsyncCase(unittest.IsolatedAsyncioTestCase):
    @limit_memory("100 KB")
    async def test_await(self): large()
def documented():
    """
    >>> len(bytearray(1_000_000))
    1000000
    """
'''
    )
    ran = runner.run(
        "--memray", "--doctest-modules", "--most-allocations=0", "-p", "no:doctestplus"
    )
    ran.counts(failed=4, passed=1)
    for name in (
        *("test_async", "TestCase::test_method", "TestLimited::test_class"),
        *("TestAsyncCase::test_await", "test_it.documented"),
    ):
        assert f"Allocations results for test_it.py::{name}" in ran.lines, ran.stdout
    assert ran.stdout.count("was limited to 100.0KiB but allocated 100") >= 4
    assert any(line.startswith("MEMORY PROBLEMS") and "TestLimited" in line for line in ran.lines)


def test_workers_of_xdist_report_as_plain_data(runner: Pytest) -> None:
    """The numbers, the letter and the report reach the process that prints them."""
    ran = runner.run("--memray", "-n", "2")
    ran.counts(failed=1, passed=2)
    assert ran.stdout.count("Allocations results for") == 3
    assert "Test is using 1000.0KiB out of limit of 100.0KiB" in ran.lines
    assert any(line.startswith("MEMORY PROBLEMS test_it.py::test_over") for line in ran.lines)


def test_membudget_off_says_so(runner: Pytest) -> None:
    """A report without numbers must not look like one of tests that used nothing."""
    (runner.directory / "m.json").write_text("of an earlier run")
    ran = runner.run("--memray", "--memray-json=m.json", MEMBUDGET="off")
    assert json.loads((runner.directory / "m.json").read_text())["results"] == []
    ran.counts(passed=3)
    assert "Nothing was measured: MEMBUDGET=off is in the environment" in ran.lines


def test_a_failed_measurement_fails_the_test(runner: Pytest) -> None:
    """Somebody else's tracker in a fixture: the test fails, with the reason."""
    runner.write(
        test_it="""
import memray, pytest
@pytest.fixture
def tracked(tmp_path):
    with memray.Tracker(tmp_path / "capture.bin"):
        yield
@pytest.mark.limit_memory("1 MB")
def test(tracked): ...
"""
    )
    ran = runner.run("--memray")
    ran.counts(failed=1)
    assert "TrackerConflictError: cannot measure: another memray.Tracker is active" in ran.stdout


def test_plain_words_on_a_terminal_without_symbols(runner: Pytest) -> None:
    ran = runner.run("--memray", PYTHONIOENCODING="ascii")
    assert "\t Total allocations: 1" in ran.lines
    assert "\\u" not in ran.stdout


def test_junit_xml_has_the_message(runner: Pytest) -> None:
    runner.run("--memray", "--junitxml=junit.xml")
    text = (runner.directory / "junit.xml").read_text()
    assert 'message="Test was limited to 100.0KiB but allocated 1000.0KiB"' in text


@pytest.mark.parametrize("first", ["aaa", "zzz"])
def test_pytest_memray_beside_it_is_a_usage_error_with_the_way_out(
    runner: Pytest, first: str
) -> None:
    """Whichever of the two is loaded first. A stand-in for pytest-memray, with its entry point."""
    runner.plugins = ["no:randomly", "no:benchmark", "no:asyncio", "no:flaky"]
    site = runner.directory / "site"
    (site / "pytest_memray").mkdir(parents=True)
    (site / "pytest_memray/__init__.py").write_text(
        "def pytest_addoption(parser): parser.addoption('--memray', action='store_true')"
    )
    info = site / f"{first}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {first}\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[pytest11]\nmemray = pytest_memray\n")
    path = os.pathsep.join([str(site), WORKLOADS])
    found = {"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": ""}
    for options in ([], ["--memray"]):
        ran = runner.run(*options, **found)
        assert ran.returncode == 4, ran.stdout + ran.stderr
        assert "pytest-membudget and pytest-memray cannot be loaded together" in ran.stderr
        assert "-p no:memray" in ran.stderr
    assert runner.run("-p", "no:memray", **found).returncode == 0
    assert runner.run("-p", "no:membudget", "-W", "ignore", **found).returncode == 0


def test_membudget_check_finds_what_collection_finds(runner: Pytest) -> None:
    """The same messages, without importing the file."""
    runner.write(
        test_it="""
import pytest
@pytest.mark.limit_memory("1 MBanana")
def test_size(): ...
@pytest.mark.limit_leaks()
def test_none(): ...
@pytest.mark.limit_memory(1)
@pytest.mark.limit_memory(2)
def test_two(): ...
@pytest.mark.limit_memory(1, total=9)
class Test:
    @pytest.mark.limit_memory(2, only="mypkg")
    def test_scope(self): ...
    @pytest.mark.no_memray
    def test_kept_out(self): ...
"""
    )
    ran = runner.run("--memray")
    assert ran.returncode == 4, ran.stdout
    errors = ran.stderr.partition("bad memory limits:\n")[2].strip().splitlines()
    found, _ = problems_in((runner.directory / "test_it.py").read_bytes())
    assert [one.message for one in found] == [line.partition(": ")[2] for line in errors]
    assert len(found) == 5


def test_help_and_markers(runner: Pytest) -> None:
    ran = runner.run("--help")
    assert "--most-allocations=N" in ran.stdout
    ran = runner.run("--markers")
    assert "@pytest.mark.limit_memory(limit, *, total, allocations, retained, current" in ran.stdout


def test_a_default_limit_and_waivers_of_it(runner: Pytest) -> None:
    """Every test has a limit then, but for those that a marker excuses; the report lists these."""
    runner.write(
        test_it=TESTS
        + """
def test_large(): large()

@pytest.mark.no_memory_limit(reason="reads the whole archive")
def test_excused(): large()

@pytest.mark.no_memory_limit
class TestExcused:
    def test_method(self): large()
    @pytest.mark.limit_memory("200 KB")
    def test_limited(self): large()
"""
    )
    ran = runner.run("--memray", "--memray-default-limit", "500 KB", "-v", "-rA")
    ran.counts(failed=3, passed=4)
    for name in ("test_over", "test_large", "TestExcused::test_limited"):
        assert any(f"::{name} MEMORY PROBLEMS" in line for line in ran.lines), ran.stdout
    assert "Test was limited to 500.0KiB but allocated 1000.0KiB" in ran.lines
    assert "Limit waived: test_it.py::test_excused (reads the whole archive)" in ran.lines
    assert "Limit waived: test_it.py::TestExcused::test_method" in ran.lines
    assert sum("Limit waived" in line for line in ran.lines) == 2
    assert "Measured 7 tests, shown 5: --most-allocations=0 shows all" in ran.lines
    parallel = runner.run("--memray", "--memray-default-limit", "500 KB", "-n", "2")
    parallel.counts(failed=3, passed=4)
    assert "Limit waived: test_it.py::test_excused (reads the whole archive)" in parallel.lines


def test_markers_can_count_in_every_run(runner: Pytest) -> None:
    """Without --memray, only the tests with a limit are measured, and nothing is reported."""
    runner.write(test_it=TESTS)
    (runner.directory / "pytest.ini").write_text("[pytest]\nmemray_enforce_markers = always\n")
    ran = runner.run()
    ran.counts(failed=1, passed=2)
    assert "Test was limited to 100.0KiB but allocated 1000.0KiB" in ran.lines
    assert "MEMRAY REPORT" not in ran.stdout
    runner.run("--memray-enforce-markers=enabled").counts(passed=3)
    assert "MEMRAY REPORT" in runner.run("--memray").stdout


def test_a_test_that_uses_memray_itself(runner: Pytest) -> None:
    """It and its fixtures find no tracker running; the tests around it are measured."""
    runner.write(
        test_it="""
import memray, pytest
from workloads import *
make_headroom()

@pytest.fixture
def tracked(tmp_path):
    with memray.Tracker(tmp_path / "own.bin"):
        yield

@pytest.mark.parametrize("n", range(3))
def test_before(n): small()

@pytest.mark.no_memray
def test_own(tracked): small()

@pytest.mark.no_memray
@pytest.mark.limit_memory("1 MB")
def test_contradiction(): small()

def test_after(): small()
"""
    )
    ran = runner.run("--memray")
    assert ran.returncode == 4
    assert (
        "test_it.py::test_contradiction: @pytest.mark.limit_memory('1 MB'): this limit cannot be "
        "enforced, because no_memray keeps the test from being measured"
    ) in ran.stderr
    ran = runner.run("--memray", "--deselect", "test_it.py::test_contradiction", "-k", "not contr")
    assert ran.returncode == 4  # a contradiction stays one
    text = (runner.directory / "test_it.py").read_text()
    runner.write(test_it=text.replace('@pytest.mark.limit_memory("1 MB")\n', ""))
    ran = runner.run("--memray")
    ran.counts(passed=6)
    assert "Measured 4 tests; 2 not measured: 2 no_memray" in ran.lines


def test_json_has_every_result(runner: Pytest) -> None:
    """With and without pytest-xdist; stacks for those that the report shows."""
    runner.write(test_it=TESTS)
    for arguments in ((), ("-n", "2")):
        runner.run("--memray", "--memray-json", "memory.json", "--most-allocations=1", *arguments)
        data = json.loads((runner.directory / "memory.json").read_text())
        assert data["format"] == 2
        results = {result["name"]: result for result in data["results"]}
        assert set(results) == {f"test_it.py::test_{name}" for name in ("over", "within", "free")}
        over = results["test_it.py::test_over"]
        assert over["measurement"]["peak_bytes"] == 1000 * 1024
        assert over["verdict"]["excesses"][0]["limit"]["maximum"] == 100 * 1024
        assert over["measurement"]["allocations"][0]["stack"][0]["function"] == "malloc"
        assert results["test_it.py::test_free"]["verdict"]["excesses"] == []
        (runner.directory / "memory.json").unlink()
    ran = runner.run("--memray", "--memray-json", "nowhere/memory.json")
    assert ran.returncode == 4
    assert "--memray-json: cannot write to 'nowhere/memory.json': there is no directory" in (
        ran.stderr
    )


def test_stacks_are_as_long_as_asked_for(runner: Pytest) -> None:
    runner.write(
        test_it="""
import pytest
def deep(n): return bytearray(500_000) if not n else deep(n - 1)
@pytest.mark.limit_memory("1 KB")
def test_deep(): deep(20)
"""
    )
    for option, n_lines in (("--stacks=1", 0), ("--stacks=3", 2), ("-v", 4)):
        ran = runner.run("--memray", option)
        assert sum("called by" in line for line in ran.lines) == n_lines, ran.stdout


def test_python_allocators_can_be_traced(runner: Pytest) -> None:
    """Objects are counted one by one then, and small ones are seen."""
    runner.write(
        test_it="""
import pytest
from workloads import *
make_headroom()
@pytest.mark.limit_memory("20 KB")
def test_objects(): kept = [str(n) for n in range(1000, 2000)]
"""
    )
    runner.run("--memray").counts(passed=1)
    ran = runner.run("--memray", "--trace-python-allocators")
    ran.counts(failed=1)
    assert "Test was limited to 20.0KiB but allocated " in ran.stdout
    runner.run("--memray", "--native").counts(passed=1)


def test_results_of_other_processes_reach_the_report(runner: Pytest) -> None:
    """As with pytest-forked, where a test runs in a child and its report comes back as data."""
    runner.write(
        test_it=TESTS,
        conftest="""
import os, pickle
import pytest
from _pytest.runner import runtestprotocol

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    read, write = os.pipe()
    if not os.fork():
        reports = runtestprotocol(item, log=False)
        data = [item.config.hook.pytest_report_to_serializable(config=item.config, report=report)
                for report in reports]
        os.write(write, pickle.dumps(data))
        os._exit(0)
    os.wait()
    for data in pickle.loads(os.read(read, 1 << 20)):
        item.ihook.pytest_runtest_logreport(report=item.config.hook.pytest_report_from_serializable(
            config=item.config, data=data))
    return True
""",
    )
    ran = runner.run("--memray")
    ran.counts(failed=1, passed=2)
    assert "Test was limited to 100.0KiB but allocated 1000.0KiB" in ran.lines
    assert "Measured 3 tests" in ran.lines


@pytest.mark.skipif(scanner_problem() is not None, reason="there is no scanner")
def test_captures_are_kept_for_memray(runner: Pytest) -> None:
    """One for each test, that memray's reporters read; the summary names directory and prefix."""
    runner.write(
        test_it=TESTS
        + """
@pytest.mark.no_memray
def test_own(): ...
def test_nested():
    from membudget import limit_memory
    with limit_memory("2 MB"): large()
"""
    )
    kept = runner.directory / "some/kept"
    ran = runner.run("--memray", "--memray-bin-path=some/kept", "--memray-bin-prefix=nightly")
    assert f"Captures for memray flamegraph, stats and tree: {kept}/nightly-*.bin" in ran.lines
    files = {file.name.split("-")[2]: file for file in kept.iterdir()}
    assert set(files) == {"test_over", "test_within", "test_free", "test_nested"}
    for command in (["stats"], ["flamegraph", "-o", "x.html", "-f"], ["summary"]):
        done = run_python_in(runner.directory, "-m", "memray", *command, str(files["test_over"]))
        assert done.returncode == 0, done.stderr
        if command == ["stats"]:
            assert "\t1.024MB" in done.stdout
            assert "Total allocations:\n\t1\n" in done.stdout
    other = kept / "other-test_it.py-test_over.bin"
    other.write_text("somebody's")
    before = {file.name: file.stat().st_mtime_ns for file in kept.iterdir()}
    runner.run("--memray", "--memray-bin-path=some/kept", "--memray-bin-prefix=nightly")
    after = {file.name: file.stat().st_mtime_ns for file in kept.iterdir()}
    assert set(after) == set(before)
    assert {name for name in after if after[name] == before[name]} == {other.name}
    runner.run("--memray", "--memray-bin-path=some/kept", "--memray-json=run.json")
    assert len(list(kept.iterdir())) == 9
    run = read_run(str(runner.directory / "run.json"))
    assert all(Path(capture_of(one, run.environment)).exists() for one in run.results)
    runner.run("--memray-bin-path=elsewhere")
    assert not (runner.directory / "elsewhere").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--memray-bin-path=test_it.py"], "--memray-bin-path: 'test_it.py' is not a directory"),
        (["--memray-bin-path=/proc/x"], "cannot keep captures"),
        (["--memray-bin-path=k", "--memray-bin-prefix=a/b"], "a file name cannot start with 'a/b'"),
        (["--memray-bin-path=k", f"--memray-bin-prefix={'p' * 101}"], "use 1 to 100 bytes"),
    ],
)
def test_captures_that_cannot_be_kept_are_a_usage_error(
    runner: Pytest, options: list[str], message: str
) -> None:
    for arguments in ((), ("-n", "2")):
        ran = runner.run("--memray", *options, *arguments)
        assert ran.returncode == 4, ran.stdout
        assert message in ran.stderr
        assert "Traceback" not in ran.stderr


def test_verbosity(runner: Pytest) -> None:
    """As with pytest-memray: the largest ten by default, -vv for all; two with -q."""
    runner.write(
        test_it="""
import pytest
from workloads import *
make_headroom()
@pytest.mark.limit_memory("1 KB")
def test_many():
    kept = []
"""
        + "".join(f"    kept.append(bytearray(10_000 + {n}))\n" for n in range(12))
    )

    def listed(*options: str) -> int:
        lines = runner.run("--memray", *options).lines
        assert any(line.startswith("Exactly ") for line in lines)
        return sum(line.startswith("\t- test_many") for line in lines)

    assert [listed(), listed("-v"), listed("-vv"), listed("-q")] == [10, 10, 12, 2]
    (runner.directory / "pytest.ini").write_text("[pytest]\nverbosity_memray = 2\n")
    assert listed("-q") == 12
    (runner.directory / "pytest.ini").write_text("[pytest]\nverbosity_memray = much\n")
    ran = runner.run("--memray")
    assert ran.returncode == 4
    assert "verbosity_memray: 'much' is not 'auto' or a whole number" in ran.stderr


@pytest.mark.parametrize("head", ["[pytest]", "[tool.pytest.ini_options]", "[tool.pytest]"])
def test_every_option_works_from_the_configuration_file(runner: Pytest, head: str) -> None:
    """What is set there can be seen in what the run does."""
    values = {
        "memray": "true",
        "most_allocations": "1",
        "hide_memray_summary": "false",
        "stacks": "2",
        "memray_default_limit": "500 KB",
        "memray_enforce_markers": "always",
        "memray_stable": "true",
        "memray_include": "call, setup",
        "memray_table": "true",
        "memray_margins": "true",
        "memray_suggest": "true",
        "memray_fix": "raise",
        "memray_fix_in_ci": "true",
        "memray_baseline": "memory",
        "memray_tolerance": "5%",
        "memray_update_baseline": "new",
        "memray_require_baseline": "true",
        "fail_on_increase": "false",  # has a baseline of its own
        "memray_json": "memory.json",
        "memray_html": "memory.html",
        "memray_markdown": "memory.md",
        "memray_github": "off",
        "memray_log": "log.jsonl",
        "memray_bin_path": "kept",
        "memray_bin_prefix": "p",
        "memray_evidence": "evidence",
        "memray_evidence_count": "1",
        "memray_evidence_size": "50 MB",
        "memray_own_allocators": "untouched",
        "memray_blind": "error",
        "native": "true",
        "trace_python_allocators": "true",
    }
    assert set(values) == {option.name for option in OPTIONS}
    if scanner_problem() is not None:
        del values["memray_bin_path"], values["memray_evidence"]
    name = "pytest.ini" if head == "[pytest]" else "pyproject.toml"
    lines = [
        f"{key} = {value if typed or head == '[pytest]' else repr(value)}"
        for key, value in values.items()
        for typed in [head == "[tool.pytest]" and value in ("true", "false", "1", "2")]
    ]
    (runner.directory / name).write_text("\n".join([head, *lines]))
    runner.write(test_it=TESTS + "\ndef test_large(): large()\n")
    ran = runner.run("-W", "default", CI="true")
    ran.counts(failed=2, passed=2)
    assert ran.stdout.count("Allocations results for") == 1
    assert "Test was limited to 500.0KiB but allocated" in ran.stdout
    assert sum("called by" in line for line in ran.lines) >= 2
    assert "Margins, tightest first:" in ran.lines
    assert "test_it.py::test_large  OVER" in ran.stdout
    assert "test_large" in (runner.directory / "memory.html").read_text()
    assert (runner.directory / "memory.md").read_text().startswith("## Memory: ")
    assert "over its limit; used + 10% + 4 KB" in ran.stdout
    assert "Wrote 1 limit into 1 file" in ran.lines
    assert re.search(r"Peak of each phase: setup [\d.]+B, call ", ran.stdout)
    data = json.loads((runner.directory / "memory.json").read_text())
    assert len(data["results"]) == 4
    assert data["results"][0]["verdict"]["budget"]["scope"]["stable"] is True
    assert "Without a baseline: " in ran.stdout
    assert len(list((runner.directory / "memory").iterdir())) == 1
    assert (runner.directory / "log.jsonl").read_text().count('"event": "end"') == 4
    if scanner_problem() is None:
        assert len(list((runner.directory / "kept").glob("p-*.bin"))) == 4
        assert len(list((runner.directory / "evidence").iterdir())) == 1
    assert "MEMRAY" not in runner.run("--hide-memray-summary").stdout


LIMITS = """
import pytest
from membudget import limit_memory
from workloads import *
make_headroom()
kept = []

@pytest.mark.limit_memory("1 MB", total="300 KB", allocations=3)
def test_steps(): steps()
@pytest.mark.limit_memory(retained="10 KB")
def test_retained():
    kept.append(bytes(20_447))
    small()
@pytest.mark.limit_memory(retained="21 KB", allocations=10)
def test_within():
    kept.append(bytearray(20_479))
@pytest.mark.limit_memory(total="150 KB")
class TestKinds:
    @pytest.mark.limit_memory("50 KB")
    def test_both(self):
        small()
        small()
    @pytest.mark.limit_memory(total="1 MB")
    def test_closest(self):
        small()
        small()
    @limit_memory(allocations=1)
    def test_decorated(self):
        small()
        small()
    @pytest.mark.no_memory_limit("why")
    def test_waived(self): large()
"""


def test_limits_of_every_kind(runner: Pytest) -> None:
    """All that were exceeded in one message; the closest wins, kind by kind."""
    runner.write(test_it=LIMITS)
    ran = runner.run("--memray", "--memray-margins", "--most-allocations=0")
    ran.counts(failed=4, passed=3)
    assert (
        "Test was limited to 300.0KiB in total but allocated 500.0KiB in total; "
        "limited to 3 allocations but made 4 allocations" in ran.lines
    )
    assert "Test was limited to 10.0KiB retained but retained 20.0KiB" in ran.lines
    assert (
        "Test was limited to 50.0KiB but allocated 100.0KiB; "
        "limited to 150.0KiB in total but allocated 200.0KiB in total" in ran.lines
    )
    assert (
        "Test was limited to 1 allocation but made 2 allocations; "
        "limited to 150.0KiB in total but allocated 200.0KiB in total" in ran.lines
    )
    start = ran.lines.index("Test was limited to 10.0KiB retained but retained 20.0KiB")
    assert ran.lines[start + 2 : start + 6] == [
        "Test is using 20.0KiB out of limit of 10.0KiB retained",
        "Exactly 20,480 bytes retained, 10,240 bytes (100.0%) over the limit of 10,240 bytes",
        "Still alive at the end: ",
        f"\t- test_retained:{runner.directory}/test_it.py:12 -> 20.0KiB",
    ]
    assert "\t 📏 Total allocations: 4 (133% of the limit of 3) OVER" in ran.lines
    assert "\t 📌 Retained memory: 20.0KiB (95% of the 21.0KiB limit) NEAR" in ran.lines
    margins = ran.lines[ran.lines.index("Margins, tightest first:") + 1 :][:13]
    assert margins[0] == (
        "   200%  test_it.py::TestKinds::test_both: 100.0KiB of 50.0KiB at the peak OVER"
    )
    assert "    95%  test_it.py::test_within: 20.0KiB of 21.0KiB retained NEAR TIGHT" in margins
    assert "    10%  test_it.py::test_within: 1 of 10 allocations TIGHT" in margins
    assert sum("%  test_it.py" in line for line in ran.lines) == 11


LEAKS = """
import pytest
from membudget import limit_leaks
from workloads import *
kept = []
class Node: pass

@pytest.mark.limit_leaks("10 KB")
def test_leaks():
    kept.append(bytearray(20_000))
    kept.append(bytearray(30_000))
    kept.append(bytearray(5_000))
@pytest.mark.limit_leaks("10 KB", filter_fn=lambda stack: "third" in stack.frames[0].function)
def test_filtered(): kept.append(bytearray(20_000))
@pytest.mark.limit_leaks("10 KB")
def test_garbage():
    node = Node()
    node.itself, node.data = node, bytearray(100_000)
@pytest.mark.limit_leaks("10 KB")
@pytest.mark.limit_memory("50 KB", allocations=1_000_000)
def test_both(): kept.append(bytearray(100_000))
@limit_leaks("10 KB")
def test_decorated(): kept.append(bytearray(20_000))
@pytest.mark.limit_leaks("10 KB", filter_fn=lambda stack: 1 / 0)
def test_broken_filter(): kept.append(bytearray(20_000))
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=" ".join)
def test_limits_of_leaks(runner: Pytest, arguments: tuple[str, ...]) -> None:
    """Stack by stack, after garbage was collected; several markers stand on one test."""
    runner.write(test_it=LEAKS)
    ran = runner.run("--memray", "--memray-json=memory.json", *arguments)
    ran.counts(failed=4, passed=2)
    start = next(
        number
        for number, line in enumerate(ran.lines)
        if "was allowed to leak 10.0KiB per location but 2 locations leaked more, the l" in line
    )
    assert "memray-leaked-memory" in ran.lines[start + 1]
    assert ran.lines[start + 2] == ran.lines[start]
    assert ran.lines[start + 3] == "List of leaked allocations: "
    place = f"\t- test_leaks:{runner.directory}/test_it.py:"
    assert ran.lines[start + 4].startswith(f"{place}11 -> 29.")
    assert ran.lines[start + 5].startswith(f"{place}10 -> 19.")
    both = next(line for line in ran.lines if line.startswith("Test was limited to 50.0KiB"))
    assert "; allowed to leak 10.0KiB per location but 1 location leaked more: 97." in both
    assert "FilterError: the filter_fn of limit_leaks raised ZeroDivisionError: division by" in (
        ran.stdout
    )
    data = json.loads((runner.directory / "memory.json").read_text())
    leaks = {
        one["name"]: [leak["size_bytes"] for leak in one["verdict"]["leaks"]]
        for one in data["results"]
    }
    assert [len(leaks[f"test_it.py::test_{name}"]) for name in ("leaks", "garbage", "both")] == [
        *(2, 0, 1)
    ]
    assert runner.run().returncode != 0  # the decorator is code
    runner.run("--deselect", "test_it.py::test_decorated").counts(passed=5)


def test_the_closest_class_wins(runner: Pytest) -> None:
    """pytest has the markers of a base class first; the limit of the class itself is the closer."""
    runner.write(
        test_it="""
import pytest
from workloads import *
make_headroom()
@pytest.mark.limit_memory("2 MB")
class TestBase:
    def test_base(self): large()
@pytest.mark.limit_memory("500 KB")
class TestStrict(TestBase):
    def test_own(self): large()
@pytest.mark.limit_memory("3 MB")
class TestFree(TestStrict): ...
"""
    )
    ran = runner.run("--memray", "-rA")
    ran.counts(failed=2, passed=3)
    for name in ("test_base", "test_own"):
        assert any(f"MEMORY PROBLEMS test_it.py::TestStrict::{name}" in one for one in ran.lines)


def test_two_markers_in_one_place_are_an_error(runner: Pytest) -> None:
    """Nobody could say which one is closer, and one of them would be ignored."""
    runner.write(
        test_it="""
import pytest
@pytest.mark.limit_memory("1 MB")
@pytest.mark.limit_memory("2 MB")
def test_twice(): ...
@pytest.mark.limit_memory("1 MB")
@pytest.mark.no_memory_limit
def test_waived(): ...
@pytest.mark.limit_leaks("1 MB")
@pytest.mark.limit_leaks("2 MB")
class TestClass:
    def test_method(self): ...
@pytest.mark.limit_memory("1 MB")
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.limit_memory("2 MB"))])
def test_good(x): ...
""",
        test_module="""
import pytest
pytestmark = [pytest.mark.limit_memory("1 MB"), pytest.mark.limit_memory("2 MB")]
@pytest.mark.limit_memory("3 MB")
def test_it(): ...
""",
    )
    ran = runner.run("--memray")
    assert ran.returncode == 4
    for name in ("test_twice", "test_waived", "TestClass::test_method"):
        assert f"test_it.py::{name}: two limit_" in ran.stderr
    assert "test_module.py::test_it: two limit_memory" in ran.stderr
    assert "test_good" not in ran.stderr


def test_markers_with_wrong_arguments(runner: Pytest) -> None:
    """In the words of what was written, also where another marker is closer."""
    runner.write(
        test_it="""
import pytest
@pytest.mark.limit_memory("1 MB", "2 MB")
def test_two(): ...
@pytest.mark.limit_memory("1 MB", where="here")
def test_where(): ...
@pytest.mark.limit_leaks
def test_leaks(): ...
@pytest.mark.no_memray("it has its own tracker")
def test_own(): ...
@pytest.mark.no_memory_limit(why="an outer one")
class TestClass:
    @pytest.mark.no_memory_limit("the closest")
    def test_waived(self): ...
"""
    )
    ran = runner.run("--memray")
    assert ran.returncode == 4
    problems = [line for line in ran.stderr.splitlines() if line.startswith("test_it.py")]
    at = "test_it.py::{}: @pytest.mark.{}: {}".format
    assert problems == [
        at("test_two", "limit_memory('1 MB', '2 MB')", "too many positional arguments"),
        at(
            "test_where",
            "limit_memory('1 MB', where='here')",
            "got an unexpected keyword argument 'where'",
        ),
        at("test_leaks", "limit_leaks()", "missing a required argument: 'location_limit'"),
        at("test_own", "no_memray('it has its own tracker')", "too many positional arguments"),
        at(
            "TestClass::test_waived",
            "no_memory_limit(why='an outer one')",
            "got an unexpected keyword argument 'why'",
        ),
    ]


def test_a_limit_that_was_not_enforced_fails_the_test(runner: Pytest) -> None:
    """The marker was added too late, pytest did not call the test, or a future was not awaited."""
    runner.write(
        test_it="""
import asyncio, pytest
from membudget import limit_memory
from workloads import *
make_headroom()
def test_added(request):
    request.applymarker(pytest.mark.limit_memory("500 KB"))
    large()
@pytest.fixture
def limited(request): request.applymarker(pytest.mark.limit_memory("500 KB"))
def test_added_before(limited): large()
@pytest.fixture
def badly(request): request.applymarker(pytest.mark.limit_memory("5 XB"))
def test_added_badly(badly): large()
@pytest.mark.limit_memory("500 KB")
def test_replaced(): large()
@limit_memory("500 KB")
def future(): return asyncio.new_event_loop().create_future()
def test_future():
    with pytest.raises(RuntimeError, match="returned a Future that has not run yet"):
        future()
""",
        conftest="""
def pytest_collection_modifyitems(items):
    for item in items:
        if item.name == "test_replaced":
            item.runtest = item.function
""",
    )
    ran = runner.run("--memray", "-W", "ignore")
    ran.counts(failed=4, passed=1)
    assert "MisuseError: a marker about memory was added to this test while it ran" in ran.stdout
    assert "MisuseError: this test has a limit but was not measured" in ran.stdout
    assert "Test was limited to 500.0KiB but allocated 1000.0KiB" in ran.lines
    assert "limit_memory('5 XB'): '5 XB' is not a memory size" in ran.stdout
    assert "INTERNALERROR" not in ran.stdout


def test_measuring_changes_no_outcome(runner: Pytest) -> None:
    """Tests whose work is never done, or done by another plugin, fail only if they have a limit."""
    runner.write(
        test_it="""
import unittest
import pytest
def numbers(): yield 1
def test_returns_generator(): return numbers()
class TestCase(unittest.TestCase):
    def test_generator(self): yield 1
async def test_never_run(): yield 1
""",
        test_limited="""
import pytest
from test_it import numbers, TestCase
pytestmark = pytest.mark.limit_memory("1 MB")
def test_returns_generator(): return numbers()
""",
    )
    plain = runner.run("-Wignore", "test_it.py")
    plain.counts(failed=1, passed=2)
    ran = runner.run("--memray", "-Wignore", "test_it.py")
    ran.counts(failed=1, passed=2)
    failure = next(line for line in plain.lines if line.startswith("FAILED"))
    assert failure in ran.lines
    ran = runner.run("--memray", "-Wignore", "test_limited.py")
    ran.counts(failed=2)
    assert "it returned a generator or coroutine that was never run" in ran.stdout
    assert "TestCase.test_generator() returned a generator that has not run yet" in ran.stdout


def test_options_that_would_do_nothing(runner: Pytest) -> None:
    for option in ("--memray-default-limit=1 B", "--memray-json=m.json", "--memray-bin-path=k"):
        ran = runner.run(option)
        assert ran.returncode == 4
        flag = option.partition("=")[0]
        assert f"{flag} does nothing without --memray: add --memray" in ran.stderr
    ran = runner.run("--memray", "--memray-default-limit=512000", MEMBUDGET_MOST_ALLOCATIONS="")
    assert "Test was limited to 100.0KiB but allocated 1000.0KiB" in ran.lines
    ran = runner.run("--memray", MEMBUDGET="of")
    assert ran.returncode == 4
    assert "MEMBUDGET: 'of' is not on or off" in ran.stderr


def test_json_that_cannot_be_written_hides_nothing(runner: Pytest) -> None:
    """The run fails, and its results are printed anyway."""
    for arguments in ((), ("-n", "2")):
        ran = runner.run("--memray", "--memray-json=/dev/full", *arguments)
        assert ran.returncode == 4
        assert "--memray-json: cannot write to '/dev/full': " in ran.stderr
        assert "Test was limited to 100.0KiB but allocated 1000.0KiB" in ran.lines
        assert "Measured 3 tests" in ran.lines
        ran.counts(failed=1, passed=2)
    (runner.directory / "pytest.ini").write_text("[pytest]\nmemray = true\nmemray_json =\n")
    ran = runner.run()
    assert ran.returncode == 4
    assert "pytest.ini: memray_json: cannot write to '': the path is empty" in ran.stderr
    assert not ran.stdout


def test_a_default_limit_is_not_narrowed_by_a_marker(runner: Pytest) -> None:
    """The default would silently count only part of the memory."""
    runner.write(
        test_it="""
import pytest
from workloads import *
@pytest.mark.limit_memory(total="100 MB", only="json")
def test_narrowed(): large()
@pytest.mark.limit_memory("9 MB", total="100 MB", only="json")
def test_of_its_own(): large()
"""
    )
    ran = runner.run("--memray", "--memray-default-limit=10 MB")
    assert ran.returncode == 4
    assert "test_it.py::test_narrowed: the default limit also applies, to all memory, but " in (
        ran.stderr
    )
    assert "(only): limit the peak here too, or waive the default" in ran.stderr
    assert "test_of_its_own" not in ran.stderr


def test_a_test_that_cannot_be_measured_is_reported_as_such(runner: Pytest) -> None:
    """And is no failure in the setup of its test."""
    runner.write(
        test_it="""
import pytest
@pytest.mark.limit_memory("9 MB", only="jsno")
def test_misspelt(): ...
"""
    )
    ran = runner.run("--memray")
    ran.counts(failed=1)
    assert "1 not measured: 1 could not be measured" in ran.stdout
