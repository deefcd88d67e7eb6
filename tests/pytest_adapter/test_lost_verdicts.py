"""A test over its limit ends as a failure, whatever became of the exception that said so."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Pytest

EVERYWHERE = pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=" ".join)
SWALLOWS = """
import pytest
@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call():
    try:
        return (yield)
    except AssertionError:
        return True
"""


@pytest.fixture
def runner(tmp_path: Path) -> Pytest:
    return Pytest(tmp_path)


def over(lines: list[str]) -> list[str]:
    found = [line.split()[2] for line in lines if line.startswith("MEMORY PROBLEMS ")]
    return sorted(name.partition("::")[2] for name in found)


TESTS = """
import unittest
import pytest
pytestmark = pytest.mark.limit_memory("1 MB")
def test_over(): kept = bytearray(5_000_000)
def test_over_and_skipped():
    kept = bytearray(5_000_000)
    pytest.skip("late")
def test_over_and_expected():
    kept = bytearray(5_000_000)
    pytest.xfail("known")
@pytest.mark.xfail
def test_over_and_marked(): kept = bytearray(5_000_000)
@pytest.mark.xfail
def test_within_and_marked(): ...
def test_within(): ...
def test_skipped(): pytest.skip("early")
class TestCase(unittest.TestCase):
    def test_over_and_skipped(self):
        kept = bytearray(5_000_000)
        self.skipTest("late")
    @unittest.expectedFailure
    def test_over_and_expected(self): kept = bytearray(5_000_000)
"""


@EVERYWHERE
@pytest.mark.parametrize("conftest", [SWALLOWS, ""], ids=["swallows", "plain"])
def test_over_is_a_failure(runner: Pytest, conftest: str, arguments: tuple[str, ...]) -> None:
    """Passed and skipped are made one; a failure that is expected stays so."""
    runner.write(conftest=conftest, test_it=TESTS)
    ran = runner.run("--memray", *arguments)
    ran.counts(failed=3, passed=1, skipped=1, xfailed=3, xpassed=1)
    assert over(ran.lines) == [
        "TestCase::test_over_and_skipped",
        "test_over",
        "test_over_and_skipped",
    ]
    line = "Test was limited to 1.0MiB but allocated 4.8MiB"
    assert ran.stdout.count(f"\n{line}") == 3
    caught = f"{line}. It passed anyway: something around the test caught the exception"
    assert (caught in ran.lines) == bool(conftest)


def test_a_report_that_a_conftest_changes(runner: Pytest) -> None:
    runner.write(
        conftest="""
import pytest
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    report.outcome, report.longrepr = "passed", None
    return report
""",
        test_it=TESTS,
    )
    ran = runner.run("--memray", "-k", "test_over and not expected and not marked")
    ran.counts(failed=3)
    assert len(over(ran.lines)) == 3


def test_rerunfailures_repeats_a_test_over_its_limit(runner: Pytest) -> None:
    """The failure of the first run stays a rerun."""
    runner.plugins.append("rerunfailures")
    runner.write(
        conftest=SWALLOWS,
        test_it="""
import pytest
runs = []
@pytest.mark.limit_memory("1 MB")
def test_unsteady():
    runs.append(1)
    kept = bytearray(5_000_000 if len(runs) == 1 else 5)
""",
    )
    runner.run("--memray", "--reruns=1").counts(passed=1, rerun=1)


# What pytest's own protocol does, without its hooks.
PROTOCOL = """
from _pytest.reports import TestReport
from _pytest.runner import CallInfo
import pytest
def pytest_runtest_protocol(item, nextitem):
    steps = {{
        "setup": lambda: item.session._setupstate.setup(item),
        "call": item.runtest,
        "teardown": lambda: item.session._setupstate.teardown_exact(nextitem),
    }}
    for when, step in steps.items():
        call = CallInfo.from_call(step, when)
        item.ihook.pytest_runtest_logreport(report={makes_report})
    return True
"""


@EVERYWHERE
@pytest.mark.parametrize(
    "makes_report",
    [
        "item.ihook.pytest_runtest_makereport(item=item, call=call)",
        "TestReport.from_item_and_call(item, call)",
    ],
)
def test_a_protocol_that_measures_nothing_fails_the_test(
    runner: Pytest, makes_report: str, arguments: tuple[str, ...]
) -> None:
    """For tests with a limit; the failure says what may have run them. Others pass."""
    runner.write(
        conftest=PROTOCOL.format(makes_report=makes_report),
        test_it="import pytest\n@pytest.mark.limit_memory('1 MB')\ndef test_limited(): ...\n"
        "def test_free(): ...\n",
    )
    ran = runner.run("--memray", *arguments)
    ran.counts(failed=1, passed=1)
    assert "this test has a limit but was not measured" in ran.stdout
    assert "Other code that runs tests here: conftest." in ran.stdout
    assert (
        "Measured 0 tests; 2 not measured: 1 could not be measured, 1 run by another plugin"
        in ran.lines
    )


def test_a_run_that_ends_before_the_report(runner: Pytest) -> None:
    """With a status of success: the run has none, and names the test."""
    runner.write(
        test_it="import pytest\n@pytest.mark.limit_memory('1 MB')\ndef test_over():\n"
        "    kept = bytearray(5_000_000)\n    pytest.exit('enough', returncode=0)\n"
    )
    ran = runner.run("--memray")
    assert ran.returncode == 1
    assert (
        "MEMORY PROBLEMS test_it.py::test_over: over its limit, but the run ended before its report"
        in ran.lines
    )
    assert runner.run().returncode == 0


INNER = """
import unittest
import pytest
from membudget import limit_memory
def load():
    with limit_memory("1 KB"):
        kept = bytearray(50_000)
        raise LookupError
@pytest.fixture
def loaded():
    with pytest.raises(LookupError): load()
def test_handles():
    with pytest.raises(LookupError): load()
def test_fixture(loaded): ...
@pytest.mark.xfail
def test_expected():
    with pytest.raises(LookupError): load()
def test_expects_the_limit():
    with pytest.raises(AssertionError), limit_memory("1 KB"): kept = bytearray(50_000)
class TestCase(unittest.TestCase):
    def test_handles(self):
        with self.assertRaises(LookupError): load()
"""


@pytest.mark.parametrize("arguments", [(), ("--memray",), ("--memray-enforce-markers=always",)])
def test_a_block_inside_of_a_test(runner: Pytest, arguments: tuple[str, ...]) -> None:
    """It is enforced in every run, also where the test handles what its body raised."""
    runner.write(test_it=INNER)
    ran = runner.run(*arguments)
    ran.counts(failed=2, passed=1, xfailed=1, error=1)
    assert "other code handled it" in ran.stdout


TWISTED = """
import pytest
import pytest_twisted
from twisted.internet import reactor, task

def later(): return task.deferLater(reactor, 0.01, lambda: None)
@pytest_twisted.inlineCallbacks
def test_free():
    yield later()
    kept = bytearray(5_000_000)
@pytest.mark.limit_memory("1 MB")
@pytest_twisted.inlineCallbacks
def test_over():
    yield later()
    kept = bytearray(5_000_000)
@pytest.mark.limit_memory("1 MB")
@pytest_twisted.ensureDeferred
async def test_over_async():
    await later()
    kept = bytearray(5_000_000)
@pytest.mark.limit_memory("1 MB")
def test_over_plain(): kept = bytearray(5_000_000)
@pytest.mark.limit_memory("5 MB")
def test_within(): return later()
"""


def test_twisted_tests_are_measured_to_their_end(runner: Pytest) -> None:
    """What a test does after it has returned its Deferred counts."""
    runner.plugins.append("twisted")
    runner.write(test_it=TWISTED)
    ran = runner.run("--memray", "--memray-margins", "-W", "default")
    ran.counts(failed=3, passed=2)
    assert over(ran.lines) == ["test_over", "test_over_async", "test_over_plain"]
    free = ran.stdout.partition("Allocations results for test_it.py::test_free")[2]
    assert "Peak memory: 4.8MiB" in free.partition("Allocations results")[0]


def test_a_generator_that_a_plugin_runs(runner: Pytest) -> None:
    """As pytest-tornado does; a generator that is never run fails a test with a limit."""
    runner.write(
        conftest="""
import pytest
@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    returned = pyfuncitem.obj()
    if "unrun" not in pyfuncitem.name:
        for _ in returned: pass
    return True
""",
        test_it="""
import pytest
def steps(n):
    yield
    kept = bytearray(n)
    yield
@pytest.mark.limit_memory("1 MB")
def test_over(): return steps(5_000_000)
@pytest.mark.limit_memory("1 MB")
def test_within(): return steps(5)
@pytest.mark.limit_memory("1 MB")
def test_unrun(): return steps(5)
def test_unrun_and_free(): return steps(5)
""",
    )
    ran = runner.run("--memray")
    ran.counts(failed=2, passed=2)
    assert over(ran.lines) == ["test_over"]
    assert "it returned a generator or coroutine that was never run" in ran.stdout
    assert (
        "Measured 2 tests; 2 not measured: 1 could not be measured, 1 nothing to measure"
        in ran.lines
    )


@pytest.mark.parametrize("limit", ["'9 MB'", "'9 MB', stable=True"])
def test_a_setup_that_fails_says_why(runner: Pytest, limit: str) -> None:
    """Once, and with pytest's own words, whether the test was to warm up or not."""
    runner.write(
        test_it=f"""
import pytest
set_up = []
@pytest.fixture
async def connection(): return 1
@pytest.fixture
def broken():
    set_up.append(1)
    raise LookupError(len(set_up))
@pytest.mark.limit_memory({limit})
def test_uses_it(connection): ...
@pytest.mark.limit_memory({limit})
def test_broken(broken): ...
@pytest.mark.limit_memory({limit})
def test_next(): ...
"""
    )
    ran = runner.run("--memray", "-W", "default")
    ran.counts(passed=1, errors=2)
    assert "'test_uses_it' requested an async fixture 'connection'" in ran.stdout
    assert "LookupError: 1" in ran.stdout
    assert "Measured 1 test; 2 not measured: 2 failed in setup" in ran.lines


def test_a_call_that_fails_before_its_measurement(runner: Pytest) -> None:
    """It is not said to have failed in its setup."""
    runner.write(
        conftest="""
import pytest
@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(): raise LookupError
""",
        test_it="def test(): ...\n",
    )
    ran = runner.run("--memray")
    ran.counts(failed=1)
    assert "Measured 0 tests; 1 not measured: 1 failed before it was measured" in ran.lines
