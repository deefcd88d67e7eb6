"""pytest-membudget together with what people have installed besides."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from membudget.recording.readers.scanner import scanner_problem
from running import WORKLOADS, Pytest

KEEPS = scanner_problem() is None

PRELUDE = """
import pytest
from workloads import *
make_headroom()
"""

# Over its limit in the first run, within it in the second.
UNSTEADY = (
    PRELUDE
    + """
runs = []
@pytest.mark.limit_memory("500 KB")
{marker}
def test_unsteady():
    runs.append(1)
    large() if len(runs) == 1 else small()
@pytest.mark.limit_memory("500 KB")
{marker}
def test_over(): large()
"""
)


@pytest.fixture
def runner(tmp_path: Path) -> Pytest:
    return Pytest(tmp_path)


def measured(runner: Pytest) -> dict[str, int]:
    """The peaks of the last run, from the JSON file."""
    data = json.loads((runner.directory / "memory.json").read_text())
    return {one["name"]: one["measurement"]["peak_bytes"] for one in data["results"]}


JSON = ("--memray-json", "memory.json")


WRITTEN_FOR_PYTEST_MEMRAY = """
import pytest
pytest.importorskip("pytest_memray")
from pytest_memray import Stack, StackFrame
kept = []
def is_own(stack: Stack) -> bool:
    frames: tuple[StackFrame, ...] = stack.frames
    first = frames[0]
    return first.function == "make_leak" and first.filename == __file__ and first.lineno > 0
def make_leak(): kept.append(bytearray(100_000))
@pytest.mark.limit_memory("1 KB")
def test_over(): kept = bytearray(5000)
@pytest.mark.limit_leaks("1 KB", filter_fn=is_own)
def test_leaks(): make_leak()
@pytest.mark.limit_leaks("1 KB", filter_fn=lambda stack: not is_own(stack))
def test_leaks_what_it_may(): make_leak()
"""


def test_a_suite_that_still_imports_pytest_memray(runner: Pytest) -> None:
    """It is installed but kept out: nothing is skipped, and filters typed for its frames decide."""
    site = runner.directory / "site/pytest_memray"
    site.mkdir(parents=True)
    (site / "__init__.py").write_text("class Stack: ...\nclass StackFrame: ...\n")
    runner.write(test_it=WRITTEN_FOR_PYTEST_MEMRAY)
    ran = runner.run(
        "-p", "no:memray", "--memray", PYTHONPATH=os.pathsep.join([str(site.parent), WORKLOADS])
    )
    ran.counts(failed=2, passed=1)
    assert any(line.startswith("MEMORY PROBLEMS test_it.py::test_over") for line in ran.lines)
    assert any(line.startswith("MEMORY PROBLEMS test_it.py::test_leaks ") for line in ran.lines)


def test_rerunfailures_measures_anew(runner: Pytest) -> None:
    """The second run counts, in the outcome and in the report; one that stays over fails."""
    runner.plugins.append("rerunfailures")
    runner.write(test_it=UNSTEADY.format(marker="@pytest.mark.flaky(reruns=1)"))
    for arguments in ((), ("-n", "2")):
        ran = runner.run("--memray", *JSON, "--junitxml=junit.xml", *arguments)
        ran.counts(failed=1, passed=1, rerun=2)
        assert measured(runner) == {
            "test_it.py::test_unsteady": 100 * 1024,
            "test_it.py::test_over": 1000 * 1024,
        }
        assert "Measured 2 tests" in ran.lines
        # Each run is a test case of its own there, with its own figures.
        cases = ET.parse(runner.directory / "junit.xml").findall(".//testcase")
        peaks = [
            [one.get("value") for one in case.iter() if one.get("name") == "memray_peak_bytes"]
            for case in cases
        ]
        assert sorted(peaks) == [["102400"], ["1024000"], ["1024000"], ["1024000"]]


def test_flaky_runs_again_and_fails_what_stays_over(runner: Pytest) -> None:
    """It looks at what the call raised: a limit that only changed the report would pass there."""
    runner.plugins.append("flaky")
    marker = "@pytest.mark.flaky"
    runner.write(test_it=UNSTEADY.format(marker=marker))
    ran = runner.run("--memray", *JSON)
    ran.counts(failed=1, passed=1)
    assert measured(runner)["test_it.py::test_unsteady"] == 100 * 1024
    assert "===Flaky Test Report===" in ran.stdout
    assert "MemoryLimitExceeded" in ran.stdout


def test_strict_xfail_for_the_limit(runner: Pytest) -> None:
    runner.write(
        test_it=PRELUDE
        + """
from membudget import MemoryLimitExceeded
@pytest.mark.xfail(strict=True, raises=MemoryLimitExceeded)
@pytest.mark.limit_memory("500 KB")
class TestExpected:
    def test_over(self): large()
    def test_within(self): small()
    def test_other(self): assert 0
"""
    )
    ran = runner.run("--memray", "-v")
    ran.counts(failed=2, xfailed=1)
    assert "[XPASS(strict)]" in ran.stdout
    assert not any(line.startswith("MEMORY PROBLEMS") for line in ran.lines)


def test_an_expected_failure_reads_like_a_failure(runner: Pytest) -> None:
    """With --xfail-tb: the message and the allocations, without a traceback through the plugin."""
    runner.write(
        test_it=PRELUDE
        + """
@pytest.mark.xfail(strict=True)
@pytest.mark.limit_memory("500 KB")
def test_over(): large()
"""
    )
    ran = runner.run("--memray", "--xfail-tb")
    ran.counts(xfailed=1)
    start = ran.lines.index("Test was limited to 500.0KiB but allocated 1000.0KiB")
    assert "XFAILURES" in ran.lines[start - 2]
    assert "memray-max-memory" in ran.lines[start + 1]
    assert "MemoryLimitExceeded" not in ran.stdout
    assert not any(line.startswith("MEMORY PROBLEMS") for line in ran.lines)


def test_exit_first_and_last_failed(runner: Pytest) -> None:
    """A test over its limit is a failed one for -x, --maxfail and --lf."""
    runner.write(
        test_it=PRELUDE
        + """
def test_first(): small()
@pytest.mark.limit_memory("500 KB")
def test_over(): large()
def test_last(): small()
"""
    )
    runner.run("--memray", "-x").counts(failed=1, passed=1)
    runner.run("--memray", "-p", "cacheprovider").counts(failed=1, passed=2)
    ran = runner.run("--memray", "-p", "cacheprovider", "--lf", "-v")
    ran.counts(failed=1)
    assert "collected 1 item" in ran.stdout
    assert any(line.startswith("test_it.py::test_over MEMORY PROBLEMS") for line in ran.lines)


def test_the_debugger_opens_where_the_limit_was_exceeded(runner: Pytest) -> None:
    runner.write(
        test_it=PRELUDE + "@pytest.mark.limit_memory('500 KB')\ndef test_over(): large()\n",
        conftest="""
import pdb
class Quits(pdb.Pdb):
    def interaction(self, frame, traceback):
        print("DEBUGGER OPENED")
""",
    )
    ran = runner.run("--memray", "--pdb", "--pdbcls=conftest:Quits", PYTHONPATH="")
    assert ran.returncode != 0
    ran = runner.run("--memray", "--pdb", "--pdbcls=conftest:Quits")
    assert "DEBUGGER OPENED" in ran.stdout
    ran.counts(failed=1)


def test_the_debugger_of_trace_opens_in_the_test(runner: Pytest) -> None:
    """Not in what measures it."""
    runner.write(
        test_it=PRELUDE + "@pytest.mark.limit_memory('500 KB')\ndef test_over(): large()\n",
        conftest="""
import pdb
class Continues(pdb.Pdb):
    def interaction(self, frame, traceback):
        print("DEBUGGER OPENED IN", frame.f_code.co_name)
        self.set_continue()
""",
    )
    ran = runner.run("--memray", "--trace", "--pdbcls=conftest:Continues")
    assert "DEBUGGER OPENED IN test_over" in ran.lines, ran.stdout
    assert "Test was limited to 500.0KiB but allocated 10" in ran.stdout
    ran.counts(failed=1)


def test_junit_xml_has_the_figures(runner: Pytest) -> None:
    """Exact bytes as properties; with xdist as well; none without a measurement."""
    runner.write(
        test_it=PRELUDE
        + """
@pytest.mark.limit_memory("500 KB")
def test_over(record_property):
    record_property("own", 1)
    large()
def test_free(): small()
@pytest.mark.skip
def test_skipped(): ...
"""
    )
    for arguments in ((), ("-n", "2")):
        # pytest warns that xunit2, its default, has no schema for the properties of a test.
        family = ("-o", "junit_family=xunit1")
        ran = runner.run("--memray", "--junitxml=junit.xml", *family, *arguments)
        ran.counts(failed=1, passed=1, skipped=1)
        cases = {
            case.get("name"): {one.get("name"): one.get("value") for one in case.iter("property")}
            for case in ET.parse(runner.directory / "junit.xml").iter("testcase")
        }
        assert cases == {
            "test_over": {
                "own": "1",
                "memray_peak_bytes": "1024000",
                "memray_total_bytes": "1024000",
                "memray_n_allocations": "1",
                "memray_retained_bytes": "0",
                "memray_limit_peak_bytes": "512000",
                "memray_verdict": "exceeded",
            },
            "test_free": {
                "memray_peak_bytes": "102400",
                "memray_total_bytes": "102400",
                "memray_n_allocations": "1",
                "memray_retained_bytes": "0",
            },
            "test_skipped": {},
        }


def test_subtests_count_in_their_test(runner: Pytest) -> None:
    """The test has the limit; one failing subtest does not end the measurement."""
    runner.write(
        test_it=PRELUDE
        + """
import unittest
@pytest.mark.limit_memory("500 KB")
def test_over(subtests):
    for n in range(3):
        with subtests.test(n=n):
            large()
            assert n != 1
class TestCase(unittest.TestCase):
    @pytest.mark.limit_memory("500 KB")
    def test_case(self):
        for n in range(3):
            with self.subTest(n=n): large()
"""
    )
    ran = runner.run("--memray", *JSON)
    assert "Test was limited to 500.0KiB but allocated " in ran.stdout
    assert any(line.startswith("MEMORY PROBLEMS test_it.py::test_over") for line in ran.lines)
    assert any(line.startswith("MEMORY PROBLEMS test_it.py::TestCase") for line in ran.lines)
    assert set(measured(runner)) == {"test_it.py::test_over", "test_it.py::TestCase::test_case"}


def test_hypothesis_counts_all_examples(runner: Pytest) -> None:
    """The call of the test is all its examples; a test over its limit is not "flaky" to it."""
    runner.plugins.append("hypothesispytest")
    runner.write(
        test_it=PRELUDE
        + """
from hypothesis import given, settings, strategies as st
kept = []
@pytest.mark.limit_memory("1500 KB")
@settings(max_examples=20, database=None, derandomize=True)
@given(st.integers())
def test_examples(n): kept.append(bytearray(100_000))
"""
    )
    ran = runner.run("--memray", *JSON)
    ran.counts(failed=1)
    assert measured(runner)["test_it.py::test_examples"] >= 20 * 100_000
    assert "Test was limited to 1.5MiB but allocated" in ran.stdout
    assert "Flaky" not in ran.stdout


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_timeout_ends_a_test(runner: Pytest, method: str) -> None:
    """By a signal, the test fails and the next is measured; by a thread, the run ends."""
    runner.plugins.append("timeout")
    runner.write(
        test_it=PRELUDE
        + """
import time
@pytest.mark.timeout(0.5)
def test_slow():
    kept = bytearray(500_000)
    time.sleep(60)
def test_next(): small()
"""
    )
    ran = runner.run("--memray", *JSON, f"--timeout-method={method}")
    assert ran.returncode == 1
    if method == "signal":
        ran.counts(failed=1, passed=1)
        assert measured(runner)["test_it.py::test_slow"] >= 500_000
        assert measured(runner)["test_it.py::test_next"] == 100 * 1024


def test_cov_sees_the_lines_and_changes_no_figure(runner: Pytest) -> None:
    runner.write(
        test_it=PRELUDE
        + """
from product import work
@pytest.mark.limit_memory("500 KB")
def test_work(): assert work(1) == 2
""",
        product="def work(n):\n    if n:\n        n += 1\n    else:\n        n = 0\n    return n\n",
    )
    runner.plugins.append("pytest_cov")
    ran = runner.run("--memray", "--cov=product", "--cov-report=term-missing")
    ran.counts(passed=1)
    assert any(line.split() == ["product.py", "5", "1", "80%", "5"] for line in ran.lines)


def test_randomly_changes_the_order_and_no_figure(runner: Pytest) -> None:
    runner.plugins.append("randomly")
    tests = "\n".join(f"def test_{n}(): allocate({n} * 10_000)" for n in range(1, 8))
    runner.write(test_it=PRELUDE + tests)
    for seed in ("1", "2"):
        runner.run("--memray", *JSON, f"--randomly-seed={seed}")
        peaks = measured(runner)
        assert peaks == {f"test_it.py::test_{n}": n * 10_000 for n in range(1, 8)}
        assert list(peaks) != sorted(peaks), seed


def test_benchmark_counts_all_its_rounds(runner: Pytest) -> None:
    runner.plugins.append("benchmark")
    runner.write(
        test_it=PRELUDE
        + """
@pytest.mark.limit_memory("500 KB")
def test_fast(benchmark):
    benchmark.pedantic(small, rounds=7)
"""
    )
    ran = runner.run("--memray", *JSON)
    ran.counts(passed=1)
    data = json.loads((runner.directory / "memory.json").read_text())
    assert data["results"][0]["measurement"]["total_bytes"] >= 7 * 100 * 1024


ASYNC = (
    PRELUDE
    + """
import asyncio
{setup}
@pytest.mark.limit_memory("500 KB")
async def test_over({fixture}):
    await {sleep}(0)
    kept = bytearray(1_000_000)
    await {sleep}(0)

async def test_within({fixture}):
    await {sleep}(0)
"""
)


@pytest.mark.parametrize("plugin", ["anyio", "anyio on trio", "asyncio", "trio"])
def test_async_tests_are_measured_until_they_end(runner: Pytest, plugin: str) -> None:
    """What is allocated behind an await counts: the block is around what runs the coroutine."""
    sleep, fixture, setup = "asyncio.sleep", "", f"pytestmark = pytest.mark.{plugin}"
    if plugin.startswith("anyio"):
        backend = "trio" if "trio" in plugin else "asyncio"
        setup = (
            "pytestmark = pytest.mark.anyio\nimport anyio\n"
            f"@pytest.fixture\ndef anyio_backend(): return '{backend}'"
        )
        sleep = "anyio.sleep"
    elif plugin == "trio":
        sleep, setup = "trio.sleep", "import trio\n" + setup
    runner.plugins.append(plugin.partition(" ")[0])
    runner.write(test_it=ASYNC.format(setup=setup, sleep=sleep, fixture=fixture))
    ran = runner.run("--memray", *JSON, "-W", "default")
    ran.counts(failed=1, passed=1)
    over = next(peak for name, peak in measured(runner).items() if "test_over" in name)
    assert over >= 1_000_000
    assert "Test was limited to 500.0KiB but allocated" in ran.stdout


@pytest.mark.parametrize(
    "arguments", [("-p", "no:terminal"), ("-s",), ("-p", "no:cacheprovider"), ("-p", "no:xdist")]
)
def test_without_parts_of_pytest(runner: Pytest, arguments: tuple[str, ...]) -> None:
    """The limit holds, and the JSON is written, also where there is no terminal to report on."""
    runner.plugins = ["membudget"]
    runner.write(
        test_it=PRELUDE + "@pytest.mark.limit_memory('500 KB')\ndef test_over(): large()\n"
    )
    ran = runner.run("--memray", *JSON, *arguments)
    assert ran.returncode == 1, ran.stderr
    assert not ran.stderr
    assert measured(runner) == {"test_it.py::test_over": 1000 * 1024}
    assert ("MEMRAY REPORT" in ran.stdout) == ("no:terminal" not in arguments)


@pytest.mark.parametrize(
    "mode", ["load", "loadscope", "loadfile", "loadgroup", "worksteal", "each"]
)
def test_every_way_to_distribute(runner: Pytest, mode: str) -> None:
    """The same report, JSON and captures as without workers."""
    for n in range(3):
        runner.write(
            **{
                f"test_{n}": PRELUDE
                + "@pytest.mark.parametrize('n', range(4))\n@pytest.mark.limit_memory('35 KB')\n"
                "def test(n): allocate(n * 10_240 + 10_240)\n"
            }
        )
    arguments = ("--tx=2*popen", f"--dist={mode}")
    keep = ("--memray-bin-path=kept", "--memray-bin-prefix=p") if KEEPS else ()
    ran = runner.run("--memray", *keep, *JSON, *arguments)
    n_failed = 6 if mode == "each" else 3
    ran.counts(failed=n_failed)
    # The threads of a worker allocate a little at any time.
    assert {name: peak // 10_240 for name, peak in measured(runner).items()} == {
        f"test_{n}.py::test[{i}]": i + 1 for n in range(3) for i in range(4)
    }
    if not KEEPS:
        return
    names = {file.name for file in (runner.directory / "kept").iterdir()}
    assert len(names) == 12
    plain = runner.run("--memray", "--memray-bin-path=serial", "--memray-bin-prefix=p")
    assert {file.name for file in (runner.directory / "serial").iterdir()} == names
    last = [line for line in ran.lines if line.startswith(("Measured", "Captures"))]
    expected = [line for line in plain.lines if line.startswith(("Measured", "Captures"))]
    assert [line.replace("/kept/", "/serial/") for line in last] == expected


def test_a_crashed_worker_loses_only_its_own(runner: Pytest) -> None:
    """The report says how many have no measurement, and why."""
    runner.write(
        test_it=PRELUDE
        + """
import os
@pytest.mark.parametrize("n", range(8))
def test_works(n): small()
def test_crashes(): os._exit(9)
@pytest.mark.skip
def test_skipped(): ...
@pytest.fixture
def broken(): raise LookupError
def test_unfounded(broken): ...
@pytest.mark.no_memray
def test_own(): ...
"""
    )
    ran = runner.run("--memray", "-n", "2", *JSON)
    ran.counts(failed=1, passed=9, skipped=1, error=1)
    assert set(measured(runner)) == {f"test_it.py::test_works[{n}]" for n in range(8)}
    assert (
        "Measured 8 tests, shown 5: --most-allocations=0 shows all; 4 not measured: "
        "1 failed in setup, 1 lost with a crashed worker, 1 no_memray, 1 skipped" in ran.lines
    ), ran.stdout


def test_ids_of_any_length_and_characters(runner: Pytest) -> None:
    runner.write(
        test_it=PRELUDE
        + """
ODD = ["a/b", "a-b", "a::b", "a\\\\b", "n\\nl", "\\0", "ü☃😀", "x" * 3000, ""]
@pytest.mark.parametrize("x", ODD)
def test(x): small()
"""
    )
    for arguments in ((), ("-n", "2")):
        keep = ("--memray-bin-path=kept", "--memray-bin-prefix=p") if KEEPS else ()
        ran = runner.run("--memray", *keep, *arguments)
        ran.counts(passed=9)
        assert "Measured 9 tests, shown 5: --most-allocations=0 shows all" in ran.lines
        assert not KEEPS or len(list((runner.directory / "kept").iterdir())) == 9
