"""The same test cases under pytest and unittest: the same report, JSON, failures and captures."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import run_python_in
from membudget.recording.readers.scanner import scanner_problem
from membudget.results import read_run

HERE = Path(__file__).parent

TESTS = """
import unittest
from membudget import limit_memory
from unittest_membudget import *
from workloads import *
make_headroom()

class Free(unittest.TestCase):
    def test_small(self): small()
    def test_steps(self): steps()
    def test_fails(self):
        small()
        self.fail("its own")
    def test_fails_in_setup(self): ...
    def setUp(self):
        if "setup" in self.id(): raise LookupError
    @unittest.skip("")
    def test_skipped(self): ...
    @no_memray
    def test_own(self): ...

@limit_memory("500 KB")
class OnClass(unittest.TestCase):
    def test_over(self): large()
    def test_over_and_fails(self):
        allocate(700_000)
        self.fail("its own")
    @limit_memory("2 MB")
    def test_within(self): large()
    @no_memory_limit("a reason")
    def test_waived(self): large()

class Written(MemoryTestCase):
    memory_limit = "105 KB"
    def test_near(self): small()
    @limit_memory("50 KB")
    def test_over(self): small()

class WrittenNone(Written):
    memory_limit = None
    def test_over(self): large()

class Inner(unittest.TestCase):
    def test_block(self):
        with limit_memory("50 KB"): small()

class Async(unittest.IsolatedAsyncioTestCase):
    @limit_memory("90 MB")
    async def test_within(self): pass
"""


@dataclass(frozen=True)
class Ran:
    """What a run says, with the names of tests as unittest writes them."""

    report: list[str]
    results: dict[str, Any]
    texts: dict[str, list[str]]
    captures: int


def as_unittest(name: str) -> str:
    return name.replace(".py::", ".").replace("::", ".")


def ran(directory: Path, *arguments: str, environment: dict[str, str] | None = None) -> Ran:
    done = run_python_in(
        directory,
        *arguments,
        *("--memray-json=memory.json", "--native"),
        environment={"PYTHONPATH": str(HERE), **(environment or {})},
    )
    output = done.stdout + done.stderr
    assert done.returncode == 1, output
    report = output.partition(" MEMRAY REPORT ")[2].splitlines()[1:]
    last = next(i for i, line in enumerate(report) if line.startswith("Measured"))
    data = json.loads((directory / "memory.json").read_text())
    # Who runs a test allocates a little more in a loop of asyncio's.
    results = {
        as_unittest(one["name"]): one for one in data["results"] if "Async" not in one["name"]
    }
    for one in results.values():
        del one["name"]
    return Ran(
        [as_unittest(line) for line in report[: last + 1]],
        results,
        texts(output),
        len(list(directory.glob("kept/p-*.bin"))),
    )


def texts(output: str) -> dict[str, list[str]]:
    """The failures about memory: the first line and the details, by what was limited to what."""
    lines = re.sub(r"^(?:E +)?(?:\w+\.)*MemoryLimitExceeded: ", "", output, flags=re.M).splitlines()
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines):
        line = re.sub(r"^E +", "", line)
        if re.match(r"(Test|Block) was limited to ", line):
            end = next((n for n in range(number, len(lines)) if not lines[n].strip()), len(lines))
            rest = [re.sub(r"^E +", "", one) for one in lines[number + 1 : end]]
            details = [one.strip() for one in rest if re.match(r"Exactly |\t?- |\s+called by", one)]
            found.setdefault(line, details)
    return found


OPTIONS = [
    (),
    ("--most-allocations=0",),
    ("--most-allocations=2", "--memray-default-limit=150 KB"),
    ("--stacks=2",),
    ("--trace-python-allocators", "--most-allocations=1"),
    ("--memray-margins",),
    ("--memray-stable",),
    ("--memray-include=setup,call,teardown",),
    ("--memray-bin-path=kept", "--memray-bin-prefix=p"),
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(options) or "no options")
def test_pytest_and_unittest_say_the_same(options: tuple[str, ...], tmp_path: Path) -> None:
    check_that_both_say_the_same(options, tmp_path)


def test_pytest_says_the_same_on_a_ci_server(tmp_path: Path) -> None:
    """pytest prints more where the variable CI is set."""
    check_that_both_say_the_same((), tmp_path, CI="true")


def check_that_both_say_the_same(
    options: tuple[str, ...], tmp_path: Path, **environment: str
) -> None:
    if "--memray-bin-path=kept" in options and scanner_problem() is not None:
        pytest.skip("there is no scanner")
    (tmp_path / "test_it.py").write_text(TESTS)
    unit = ran(tmp_path, "-m", "unittest_membudget", *options, "test_it")
    for file in tmp_path.glob("kept/*"):
        file.unlink()
    pytest_arguments = ("-m", "pytest", "-p", "no:cacheprovider", "--memray", *options)
    py = ran(tmp_path, *pytest_arguments, environment=environment)
    counts_setup = any("include" in option for option in options)
    assert len(unit.results) == 12 + counts_setup  # one is skipped in its setup
    # Who sets a test up and calls it makes a few objects besides.
    differs_in_bytes = counts_setup or {"--trace-python-allocators", "--memray-stable"} & {*options}
    for name, result in unit.results.items():
        other = py.results[name]
        assert other["verdict"]["budget"] == result["verdict"]["budget"], name
        assert other["within"] == result["within"], name
        if not differs_in_bytes and "fails" not in name:  # how a failure is made differs
            assert without_stacks(other) == without_stacks(result), name
    assert py.captures == unit.captures == (13 if "--memray-bin-path=kept" in options else 0)
    assert kept_lines(py.report)[-1] == kept_lines(unit.report)[-1]
    if not differs_in_bytes:
        assert kept_lines(py.report) == kept_lines(unit.report)
        assert py.texts.keys() >= {
            "Test was limited to 500.0KiB but allocated 1000.0KiB",
            "Test was limited to 50.0KiB but allocated 100.0KiB",
            "Block was limited to 50.0KiB but allocated 100.0KiB",
        }
        for line, details in unit.texts.items():
            if line.startswith("Test"):
                assert py.texts[line][: len(details)] == details, line


def without_stacks(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result without its stacks, and without its curve: that depends on the time."""
    return {**result, "measurement": {**result["measurement"], "allocations": None, "curve": None}}


def kept_lines(report: list[str]) -> list[str]:
    """The lines of a report that do not depend on how a failing or an async test is run."""
    blocks = "\n".join(report).split("Allocations results for ")
    steady = [one for one in blocks[1:] if "fails" not in one and "Async" not in one]
    sites = re.compile(r"^\t\t- .*$", re.M)
    last = blocks[-1].rpartition("\n\n")[2]
    return [*sorted(sites.sub("", one).partition("\n\n\n")[0] for one in steady), last]


ENDS = """
import unittest
class Ends(unittest.TestCase):
    def test_error(self): raise KeyError
    def test_failed(self): self.fail()
    def test_passed(self): pass
    def test_skipped(self):
        bytearray(1)
        self.skipTest("")
"""


@pytest.mark.parametrize("command", ["pytest", "pytest -n1", "unittest"])
def test_a_run_file_says_how_tests_ended_and_where_they_are(command: str, tmp_path: Path) -> None:
    """And how they were measured: by which worker, for which time, after a run to warm up."""
    (tmp_path / "test_it.py").write_text(ENDS)
    framework, *workers = command.split()
    arguments = ["-m", "pytest", "--memray", "-p", "membudget", "-p", "xdist", "test_it.py"]
    if framework == "unittest":
        arguments = ["-m", "unittest_membudget", "test_it"]
    options = ["--memray-json=run.json", "--memray-stable"]
    done = run_python_in(
        tmp_path,
        *arguments,
        *workers,
        *options,
        environment={"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "4"},
    )
    run = read_run(str(tmp_path / "run.json"))
    assert (run.environment.workers, run.environment.shard) == (len(workers), "2/4"), done.stderr
    assert dict(run.environment.settings)["memray_stable"] == "true"
    assert run.environment.root == str(tmp_path)
    outcomes = {result.name.split("_")[-1]: result.outcome for result in run.results}
    error = "failed" if framework == "pytest" else "error"
    assert outcomes == {
        "error": error,
        "failed": "failed",
        "passed": "passed",
        "skipped": "skipped",
    }
    assert [(one.file, one.line) for one in sorted(run.results, key=lambda one: one.line)] == [
        ("test_it.py", line) for line in (4, 5, 6, 7)
    ]
    assert {one.worker for one in run.results} == {"gw0" if workers else ""}
    assert {(one.attempt, one.is_warm) for one in run.results} == {(1, True)}
