"""The tools that run unittest tests: other runners, other results, worker processes, Django."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from conftest import REPOSITORY, RunPython, run_python_in
from membudget.recording.readers.scanner import scanner_problem
from membudget.results import read_run

WORKLOADS = str(REPOSITORY / "tests/contract")

PRELUDE = """
import sys
import unittest
from membudget import limit_memory
from unittest_membudget import *
from workloads import *
make_headroom()
"""
TESTS = (
    PRELUDE
    + """
class One(unittest.TestCase):
    @limit_memory("500 KB")
    def test_over(self): large()
    def test_small(self): small()
class Two(unittest.TestCase):
    def test_free(self): allocate(200_000)
    @unittest.skip("")
    def test_skipped(self): ...
class Three(MemoryTestCase):
    memory_limit = "500 KB"
    def test_over(self): large()
    def test_small(self): small()
"""
)
SIZED = (
    PRELUDE
    + """
class Sized(unittest.TestCase):
    def __init__(self, method, size=0):
        super().__init__(method)
        self.size = size
    @limit_memory("100 KB")
    def test_size(self): allocate(self.size)
def load_tests(loader, tests, pattern):
    return unittest.TestSuite([Sized("test_size", size) for size in (200_000, 300_000, 100)])
"""
)
PEAKS = {
    "One.test_over": 1000 * 1024,
    "One.test_small": 100 * 1024,
    "Two.test_free": 200_000,
    "Three.test_over": 1000 * 1024,
    "Three.test_small": 100 * 1024,
}


def run(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": f"{WORKLOADS}:{directory}", "PYTHONWARNINGS": "", **environment}
    return run_python_in(directory, "-W", "default", *arguments, environment=environment)


def peaks(directory: Path) -> dict[str, int]:
    """The peaks in the JSON file, by the last two parts of the tests' names."""
    data = json.loads((directory / "memory.json").read_text())
    return {
        ".".join(one["name"].split(".")[-2:]): one["measurement"]["peak_bytes"]
        for one in data["results"]
    }


@pytest.fixture
def case(tmp_path: Path) -> Path:
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text('[tool.membudget]\nmemray_json = "memory.json"\n')
    return tmp_path


RUNNERS = {
    "xmlrunner": """
import xmlrunner
class Runner(MemoryRunnerMixin, xmlrunner.XMLTestRunner): ...
unittest.main("test_it", testRunner=Runner(output="xml"))
""",
    "a result of its own": """
class Result(unittest.TextTestResult):
    def addFailure(self, test, err):
        super().addFailure(test, err)
        print("own result saw", type(err[1]).__name__)
unittest.main("test_it", testRunner=MemoryTestRunner(resultclass=Result))
""",
    "a result that is made by a function": """
import functools
unittest.main("test_it", testRunner=MemoryTestRunner(
    resultclass=functools.partial(unittest.TextTestResult)))
""",
    "a subclass of the result": """
class Result(MemoryTestResult):
    def stopTestRun(self):
        super().stopTestRun()
        print("measured", len(self.memory_run.results))
class Runner(MemoryTestRunner):
    resultclass = Result
unittest.main("test_it", testRunner=Runner)
""",
    "testtools": """
from testtools.run import TestToolsTestRunner
class Runner(MemoryRunnerMixin, TestToolsTestRunner): ...
unittest.main("test_it", testRunner=Runner(stdout=sys.stderr))
""",
    "a runner that looks at the tests first": """
class Looks(unittest.TextTestRunner):
    def run(self, test):
        print(len(list(test)))
        return super().run(test)
class Runner(MemoryRunnerMixin, Looks):
    resultclass = MemoryTestResult
unittest.main("test_it", testRunner=Runner)
""",
    "a runner that is not ours": """
result = unittest.TextTestRunner(resultclass=MemoryTestResult).run(
    unittest.defaultTestLoader.loadTestsFromName("test_it"))
result.memory_run.report(result.stream)
raise SystemExit(not result.wasSuccessful())
""",
}


@pytest.mark.parametrize("name", RUNNERS)
def test_other_runners_and_results(name: str, case: Path) -> None:
    """Every test is measured, whoever makes the result; what they add is there as well."""
    (case / "main.py").write_text(PRELUDE + RUNNERS[name])
    done = run(case, "main.py")
    assert done.returncode == 1, done.stderr
    assert peaks(case) == PEAKS
    assert "MEMRAY REPORT" in done.stderr
    assert "Measured 5 tests; 1 not measured: 1 skipped" in done.stderr.splitlines(), done.stderr
    assert "Test was limited to 500.0KiB but allocated 1000.0KiB" in done.stderr
    if name == "xmlrunner":
        texts = [file.read_text() for file in (case / "xml").glob("*.xml")]
        failures = [one for text in texts for one in ET.fromstring(text).iter("failure")]
        assert len(failures) == 2
        for failure in failures:
            assert "Test was limited to 500.0KiB but allocated 1000.0KiB" in failure.get(
                "message", ""
            )
            assert "Exactly 1,024,000 bytes" in (failure.text or "")
        cases = [one for text in texts for one in ET.fromstring(text).iter("testcase")]
        assert {one.get("name"): peak_in(one) for one in cases} == {
            name.rpartition(".")[2]: str(peak) for name, peak in PEAKS.items()
        } | {one.get("name"): "" for one in cases if one.find("skipped") is not None}
    if name == "a result of its own":
        assert done.stdout.count("own result saw MemoryLimitExceeded") == 2
    if name == "a subclass of the result":
        assert "measured 5" in done.stdout


def peak_in(case: ET.Element) -> str:
    """The peak of a test in JUnit XML; empty without one."""
    first = case[0] if len(case) else case
    values = {one.get("name"): one.get("value", "") for one in first.iter("property")}
    return values.get("memray_peak_bytes", "")


def test_the_settings_of_pyproject(case: Path) -> None:
    """The command line wins over the environment, that over the nearest file."""
    (case / "pyproject.toml").write_text(
        '[tool.membudget]\nmost_allocations = 1\nmemray_default_limit = "150 KB"\nstacks = 1\n'
    )
    below = case / "below"
    below.mkdir()
    done = run(below, "-m", "unittest_membudget", "test_it", PYTHONPATH=f"{WORKLOADS}:{case}")
    assert done.stderr.count("Allocations results for") == 1
    assert "Test was limited to 150.0KiB but allocated 195.3KiB" in done.stderr
    assert "called by" not in done.stderr
    done = run(case, "-m", "unittest_membudget", "test_it", MEMBUDGET_MOST_ALLOCATIONS="2")
    assert done.stderr.count("Allocations results for") == 2
    done = run(
        *(case, "-m", "unittest_membudget", "test_it", "--most-allocations=3", "--stacks=2"),
        MEMBUDGET_MOST_ALLOCATIONS="2",
    )
    assert done.stderr.count("Allocations results for") == 3
    assert "called by" in done.stderr
    for text, message in (
        ("[tool.membudget]\nmost = 1\n", "[tool.membudget] has no option 'most'; it has memray, "),
        ("[tool.membudget]\nstacks = 'x'\n", "pyproject.toml: stacks: 'x' is not a whole number"),
        ("[tool.membudget", "pyproject.toml cannot be read: "),
        ("[tool]\nmembudget = 3", "pyproject.toml: membudget is not a table: write [tool.membud"),
    ):
        (case / "pyproject.toml").write_text(text)
        done = run(case, "-m", "unittest_membudget", "test_it")
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.skipif(scanner_problem() is not None, reason="there is no scanner")
def test_captures_are_kept(case: Path) -> None:
    done = run(
        *(case, "-m", "unittest_membudget", "test_it"),
        *("--memray-bin-path=kept", "--memray-bin-prefix=p"),
    )
    pattern = f"Captures for memray flamegraph, stats and tree: {case}/kept/p-*.bin"
    assert pattern in done.stderr.splitlines()
    files = sorted((case / "kept").glob("p-*.bin"))
    assert len(files) == 5
    stats = run(case, "-m", "memray", "stats", str(files[0]))
    assert "\t1.024MB" in stats.stdout, stats.stdout + stats.stderr
    done = run(case, "-m", "unittest_membudget", "test_it", "--memray-bin-path=/proc/x")
    assert done.returncode == 2
    assert "cannot keep captures in '/proc/x'" in done.stderr
    assert "Ran" not in done.stderr


@pytest.mark.skipif(scanner_problem() is not None, reason="there is no scanner")
def test_captures_of_other_processes_are_kept_in_one_place(case: Path) -> None:
    """Also where tests change the working directory of theirs."""
    (case / "test_it.py").write_text(
        PRELUDE
        + """
import os
class Moves(MemoryTestCase):
    def test_1(self): os.mkdir("elsewhere"); os.chdir("elsewhere")
    def test_2(self): small()
"""
    )
    run(
        *(case, "-m", "unittest_membudget.collect", "--memray-bin-path=kept", "--"),
        *(sys.executable, "-m", "unittest", "test_it"),
    )
    assert len(list((case / "kept").iterdir())) == 2
    assert not list((case / "elsewhere").iterdir())


@pytest.mark.parametrize("level", ["module", "class", "test"])
def test_unittest_parallel(case: Path, level: str) -> None:
    """Its worker processes leave their results to one report."""
    done = run(
        *(case, "-m", "unittest_membudget.collect", "--most-allocations=0", "--"),
        *("unittest-parallel", "-j", "2", "--level", level),
        *("--runner", "unittest_membudget.MemoryTestRunner"),
        PATH=str(Path(run(case, "-c", "import sys; print(sys.executable)").stdout).parent),
    )
    assert done.returncode == 2, done.stderr
    assert peaks(case) == PEAKS
    assert done.stderr.count("MEMRAY REPORT") == 1
    assert done.stderr.count("Allocations results for") == 5
    assert "Measured 5 tests; 1 not measured: 1 skipped" in done.stderr.splitlines()
    assert done.stderr.count("was limited to 500.0KiB") >= 2
    # Without it, no worker writes over what another one has written.
    (case / "memory.json").unlink()
    done = run(
        *(case, "-m", "unittest_parallel", "-j", "2", "--level", level),
        *("--runner", "unittest_membudget.MemoryTestRunner"),
    )
    assert not (case / "memory.json").exists()
    assert "memory.json was not written, because this is only one of" in done.stderr


def test_tests_of_one_id_in_several_processes_get_different_names(case: Path) -> None:
    """None of them takes the place of another one in the report."""
    (case / "test_it.py").write_text(SIZED)
    done = run(
        *(case, "-m", "unittest_membudget.collect", "--"),
        *("unittest-parallel", "-j", "2", "--level", "test"),
        *("--runner", "unittest_membudget.MemoryTestRunner"),
        PATH=str(Path(run(case, "-c", "import sys; print(sys.executable)").stdout).parent),
    )
    assert "Measured 3 tests" in done.stderr.splitlines(), done.stderr
    assert sorted(peaks(case).values()) == [100, 200_000, 300_000]
    assert set(peaks(case)) == {f"Sized.test_size{number}" for number in ("", " (2)", " (3)")}


@pytest.mark.parametrize(
    ("runner", "unmeasured"),
    [
        ("unittest", "1 not measured: 1 ended without a measurement"),
        ("unittest_membudget", "2 not measured: 1 ended without a measurement, 1 skipped"),
    ],
)
def test_results_of_a_dead_process_are_kept(case: Path, runner: str, unmeasured: str) -> None:
    """And the report counts the test in which it died."""
    (case / "test_it.py").write_text(
        PRELUDE
        + """
import os
class One(MemoryTestCase):
    def test_1(self): small()
    @unittest.skip("")
    def test_2(self): ...
    def test_3(self): os._exit(3)
"""
    )
    done = run(
        *(case, "-m", "unittest_membudget.collect", "--"),
        *(sys.executable, "-m", runner, "test_it"),
    )
    assert done.returncode == 3
    assert peaks(case) == {"One.test_1": 100 * 1024}
    assert done.stderr.splitlines()[-1] == f"Measured 1 test; {unmeasured}", done.stderr


def test_stestr(case: Path) -> None:
    """Budgets hold in its workers; what a class measures by itself reaches the report."""
    (case / ".stestr.conf").write_text("[DEFAULT]\ntest_path=.\n")
    path = str(Path(run(case, "-c", "import sys; print(sys.executable)").stdout).parent)
    collect = ("-m", "unittest_membudget.collect", "--", "stestr")
    run(case, "-m", "stestr.cli", "init")
    done = run(
        *(case, *collect, "run", "--concurrency", "2"),
        PATH=f"{path}:/usr/bin:/bin",
        HOME=str(case),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.count("Test was limited to 500.0KiB but allocated 1000.0KiB") >= 2
    assert peaks(case) == {name: peak for name, peak in PEAKS.items() if "Three" in name}
    assert "Measured 2 tests" in done.stderr.splitlines()
    # The options reach the classes that measure by themselves.
    (case / "test_it.py").write_text(
        PRELUDE + "class Three(MemoryTestCase):\n    def test_large(self): large()\n"
    )
    options = ["--memray-default-limit", "500 KB", "--most-allocations=0"]
    if scanner_problem() is None:
        options.append("--memray-bin-path=kept")
    done = run(
        case,
        *("-m", "unittest_membudget.collect", *options, "--", "stestr", "run"),
        PATH=f"{path}:/usr/bin:/bin",
        HOME=str(case),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Peak memory: 1000.0KiB (200% of the 500.0KiB limit) OVER" in done.stderr
    if scanner_problem() is None:
        assert len(list((case / "kept").iterdir())) == 1
    done = run(case, "-m", "unittest_membudget.collect", "no-such-command")
    assert done.returncode == 2
    assert "cannot run 'no-such-command'" in done.stderr
    assert run(case, "-m", "unittest_membudget.collect").returncode == 2


DJANGO = {
    "manage.py": """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
from django.core.management import execute_from_command_line
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
""",
    "project/__init__.py": "",
    "project/settings.py": """
SECRET_KEY = "x"
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
TEST_RUNNER = "unittest_membudget.django.MemoryRunner"
""",
    "shop/__init__.py": "",
    "shop/models.py": """
from django.db import models
class Order(models.Model):
    text = models.TextField()
""",
    "shop/tests.py": """
import unittest
from django.test import SimpleTestCase, TestCase
from membudget import limit_memory
from unittest_membudget import *
from workloads import *
from .models import Order
make_headroom()

class OrderTest(TestCase):
    @classmethod
    def setUpTestData(cls): Order.objects.create(text="x" * 2_000_000)
    @limit_memory("500 KB")
    def test_over(self): self.assertEqual(len(Order.objects.get().text), 2_000_000)
    @limit_memory("50 MB")
    def test_within(self): self.assertEqual(Order.objects.count(), 1)
class PlainTest(SimpleTestCase):
    def test_small(self): small()
    @unittest.skip("")
    def test_skipped(self): ...
@limit_memory("500 KB")
class LimitedTest(SimpleTestCase):
    def test_over(self): large()
    def test_small(self): small()
    @no_memory_limit("a reason")
    def test_waived(self): large()
""",
}


@pytest.fixture
def django_project(tmp_path: Path) -> Path:
    for name, text in DJANGO.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    (tmp_path / "pyproject.toml").write_text('[tool.membudget]\nmemray_json = "memory.json"\n')
    return tmp_path


@pytest.mark.parametrize("options", [(), ("--parallel", "2")], ids=" ".join)
def test_django(django_project: Path, options: tuple[str, ...]) -> None:
    """The report, the JSON and the captures are the same with worker processes."""
    if scanner_problem() is None:
        options = (*options, "--memray-bin-path=kept", "--memray-bin-prefix=p")
    done = run(django_project, "manage.py", "test", "--most-allocations=2", *options)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED (failures=2, skipped=1)" in done.stderr, done.stderr
    measured = peaks(django_project)
    assert measured["OrderTest.test_over"] >= 2_000_000
    assert measured["LimitedTest.test_over"] == 1000 * 1024
    assert measured["PlainTest.test_small"] == 100 * 1024
    assert len(measured) == 6
    lines = done.stderr.splitlines()
    assert sum("Allocations results for" in line for line in lines) == 2
    assert "Limit waived: shop.tests.LimitedTest.test_waived (a reason)" in lines
    last = "Measured 6 tests, shown 2: --most-allocations=0 shows all; 1 not measured: 1 skipped"
    assert last in lines
    assert re.search(r"^MEMORY PROBLEMS: test_over \(shop.tests.LimitedTest", done.stderr, re.M)
    if scanner_problem() is None:
        assert len(list((django_project / "kept").glob("p-*.bin"))) == 6


@pytest.mark.parametrize("options", [(), ("--parallel", "2")], ids=" ".join)
def test_django_subtests_and_async_tests(django_project: Path, options: tuple[str, ...]) -> None:
    """Workers pickle a test that has subtests; async tests are measured, with limits too."""
    (django_project / "shop/tests.py").write_text(
        PRELUDE
        + """
from django.test import SimpleTestCase
class Subtests(SimpleTestCase):
    def test_passes(self):
        with self.subTest(n=1): small()
    @limit_memory("500 KB")
    def test_fails(self):
        for n in range(3):
            with self.subTest(n=n): self.assertEqual(n, 1)
class Async(MemoryTestMixin, SimpleTestCase):
    memory_limit = "500 KB"
    async def test_over(self): large()
    @limit_memory("2 MB")
    async def test_within(self): large()
"""
    )
    done = run(django_project, "manage.py", "test", *options)
    assert "FAILED (failures=3)" in done.stderr, done.stderr
    assert len(re.findall(r"^FAIL: test_fails .*\(n=[02]\)$", done.stderr, re.M)) == 2
    assert re.search(r"^MEMORY PROBLEMS: test_over ", done.stderr, re.M)
    assert "Measured 4 tests" in done.stderr.splitlines()


def test_django_options(django_project: Path) -> None:
    done = run(django_project, "manage.py", "test", "--help")
    assert "--memray-default-limit SIZE" in done.stdout
    done = run(django_project, "manage.py", "test", "--memray-default-limit=many")
    assert done.returncode != 0
    assert "manage.py test: error: --memray-default-limit: 'many' is not a memory size" in (
        done.stderr
    )
    done = run(django_project, "manage.py", "test", "--debug-sql", "-k", "over")
    assert "FAILED (failures=2)" in done.stderr, done.stderr
    assert "Measured 2 tests" in done.stderr.splitlines()


def test_tests_of_one_id_get_different_names(case: Path) -> None:
    """As load_tests makes them with an argument: each has its own result, and its own capture."""
    (case / "test_it.py").write_text(SIZED)
    done = run(case, "-m", "unittest_membudget", "test_it")
    assert "FAILED (failures=2)" in done.stderr
    assert peaks(case) == {
        "Sized.test_size": 200_000,
        "Sized.test_size (2)": 300_000,
        "Sized.test_size (3)": 100,
    }
    assert "Measured 3 tests" in done.stderr.splitlines()


def test_changes_of_the_process_by_tests_do_not_affect_the_report(case: Path) -> None:
    """A working directory that is changed, or gone; tests that are generators."""
    (case / "test_it.py").write_text(
        PRELUDE
        + """
import os, tempfile, warnings
class Moves(unittest.TestCase):
    def test_moves(self):
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            small()
class Generates(unittest.TestCase):
    def test_generator(self):
        yield
"""
    )
    done = run(case, "-m", "unittest_membudget", "test_it")
    assert done.returncode == 0, done.stderr
    assert set(peaks(case)) == {"Moves.test_moves"}
    assert "Measured 1 test; 1 not measured: 1 nothing to measure" in done.stderr.splitlines()
    done = run(case, "-m", "unittest_membudget", "test_it", "--memray-json=/dev/full")
    assert done.returncode == 2
    assert "Measured 1 test" in done.stderr
    assert "--memray-json: cannot write to '/dev/full': " in done.stderr


def test_deferreds_of_twisted(case: Path) -> None:
    """What a test does after it has returned is not measured, and does not look as if it were."""
    (case / "test_it.py").write_text(
        PRELUDE
        + """
from twisted.internet import reactor, task
from twisted.trial import unittest as trial
class Deferreds(trial.TestCase):
    def test_deferred(self): return task.deferLater(reactor, 0, large)
    async def test_async(self): await task.deferLater(reactor, 0, large)
    @limit_memory("2 MB")
    def test_limited(self): return task.deferLater(reactor, 0, large)
"""
    )
    done = run(case, "-m", "unittest_membudget", "test_it")
    measured = peaks(case)
    assert measured.pop("Deferreds.test_limited") == 0
    assert list(measured) == ["Deferreds.test_async"]
    assert measured["Deferreds.test_async"] >= 1000 * 1024
    assert "MisuseError: Deferreds.test_limited() returned a Deferred that has not" in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "Measured 2 tests; 1 not measured: 1 ended without a measurement"
    )


def test_tests_that_are_not_test_cases(case: Path) -> None:
    """Whatever calls the result is a test, and those of testtools say why in details."""
    (case / "test_it.py").write_text(
        PRELUDE
        + """
import testtools
class Plain:
    def id(self): return "plain"
    def countTestCases(self): return 1
    def __call__(self, result):
        result.startTest(self)
        result.addSuccess(self)
        result.stopTest(self)
class Testtools(testtools.TestCase):
    def test_fails(self): self.fail()
    def test_error(self): raise LookupError
    def test_skips(self): self.skipTest("")
    def test_within(self): small()
def load_tests(loader, tests, pattern):
    tests.addTest(Plain())
    tests.addTest(testtools.PlaceHolder("placeholder"))
    return tests
"""
    )
    main = PRELUDE + RUNNERS["testtools"]
    (case / "main.py").write_text(main)
    for command in (["-m", "unittest_membudget", "test_it"], ["main.py"]):
        done = run(case, *command)
        assert done.returncode == 1, done.stderr
        assert "Ran 6 tests" in done.stderr
        assert set(peaks(case)) == {
            f"Testtools.test_{name}" for name in ("fails", "error", "within", "skips")
        }
        assert done.stderr.splitlines()[-1].startswith("Measured 4 tests; 2 not measured: "), (
            done.stderr
        )


@pytest.mark.parametrize("options", [(), ("--parallel", "2")], ids=" ".join)
def test_django_stable_tests(django_project: Path, options: tuple[str, ...]) -> None:
    """The run before has a transaction of its own: what it writes is not there any more."""
    (django_project / "shop" / "tests.py").write_text(
        """
from django.test import SimpleTestCase, TestCase
from membudget import limit_memory
from .models import Order

@limit_memory("50 MB", stable=True)
class OrderTest(TestCase):
    @classmethod
    def setUpTestData(cls): Order.objects.create(text="given")
    def setUp(self): Order.objects.create(text="set up")
    def test_writes(self):
        Order.objects.create(text="written")
        self.assertEqual(Order.objects.count(), 3)
class PlainTest(SimpleTestCase):
    calls = []
    @limit_memory("50 MB", stable=True)
    def test_twice(self):
        self.calls.append(1)
        self.assertIn(len(self.calls), (1, 2))
        print("calls", len(self.calls))
"""
    )
    done = run(django_project, "manage.py", "test", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Measured 2 tests" in done.stderr.splitlines()
    assert "calls 2" in done.stdout or options


def test_the_report_names_the_test_of_a_process_that_died(tmp_path: Path) -> None:
    """What it had in memory is known, although it could tell nothing any more."""
    (tmp_path / "test_it.py").write_text(
        "import os, signal, unittest\n"
        "class One(unittest.TestCase):\n"
        "    def test_dies(self): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-m", "unittest_membudget", "test_it"]
    done = run_python_in(tmp_path, "-m", "unittest_membudget.collect", "--", *command)
    assert done.returncode == 128 + 9
    assert " ended while it ran test_it.One.test_dies; it had " in done.stderr


def test_the_log_of_a_run(tmp_path: Path) -> None:
    """A test that measures itself is in it once, whoever reports."""
    (tmp_path / "test_it.py").write_text(TESTS)
    log = f"--memray-log={tmp_path / 'log.jsonl'}"
    run_python_in(
        tmp_path, "-m", "unittest_membudget", log, "test_it", environment={"PYTHONPATH": WORKLOADS}
    )
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    ended = [line["name"] for line in lines if line["event"] == "end"]
    assert sorted(ended) == sorted(line["name"] for line in lines if line["event"] == "start")
    assert "test_it.Three.test_over" in ended
    assert len(ended) == len(set(ended))


def test_a_baseline_compares_with_an_earlier_run(tmp_path: Path) -> None:
    """With the same file, the same failure and the same options as under pytest."""
    test = "import unittest\nclass One(unittest.TestCase):\n    def test_load(self):\n        {}\n"
    path = tmp_path / "test_it.py"

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        arguments = ("--memray-stable", "--memray-baseline=memory", *options, "test_it")
        return run_python_in(tmp_path, "-m", "unittest_membudget", *arguments)

    path.write_text(test.format("bytearray(3 * 1024 * 1024)"))
    assert (
        "Without a baseline: test_it.One.test_load, written"
        in run("--memray-update-baseline=all").stderr
    )
    path.write_text(test.format("bytearray(4 * 1024 * 1024)  # larger"))
    done = run()
    assert done.returncode == 1
    assert "Test was limited to 3.3MiB but allocated 4.0MiB" in done.stderr
    assert "New since the baseline: test_load (test_it.py:4) +1.0MiB" in done.stderr
    path.write_text(test.format("pass"))
    assert "Better than the baseline: test_it.One.test_load 3.0MiB -> " in run().stderr
    done = run("--memray-require-baseline")
    assert done.returncode == 0
    (tmp_path / "test_it.py").write_text(test.format("pass").replace("test_load", "test_new"))
    done = run("--memray-require-baseline")
    assert done.returncode == 2
    assert "has no baseline for test_it.One.test_new" in done.stderr


RESULT_OF_ITS_OWN = """
import unittest
from membudget.runs import Settings
from unittest_membudget import MemoryRunnerMixin

class Result(unittest.TextTestResult):
    def addUnexpectedSuccess(self, test):
        self.addFailure(test, (AssertionError, AssertionError("it passed"), None))

class Runner(MemoryRunnerMixin, unittest.TextTestRunner):
    settings = Settings(memray_json="run.json")
    resultclass = Result

class Tests(unittest.TestCase):
    @unittest.expectedFailure
    def test_it(self):
        pass

result = Runner().run(unittest.defaultTestLoader.loadTestsFromTestCase(Tests))
assert isinstance(result, Result) and len(result.failures) == 1
"""


def test_what_a_result_reports_to_itself_is_seen(run_python: RunPython, tmp_path: Path) -> None:
    """An object in place of the result of another tool would not see these calls."""
    done = run_python("-c", RESULT_OF_ITS_OWN)
    assert done.returncode == 0, done.stderr
    (result,) = read_run(str(tmp_path / "run.json")).results
    assert result.outcome == "failed"
