"""Every scenario through every front end, and what a user of that front end gets.

Each front end runs all scenarios of one environment in one process: as a test run does, and because
a process for each would take minutes. All front ends must give the same.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from conftest import run_python_in
from scenarios import Environment, Scenario

HERE = Path(__file__).parent

PYTEST: Final = """
import pytest
import workloads
from membudget import *

@pytest.fixture
def anyio_backend():
    return "asyncio"

"""

PYTEST_TEST: Final = """
@pytest.fixture
def prepared_{number}():
    workloads.prepare({workload!r}, warm_up={warms_up})

{anyio}
@pytest.mark.{limiter}({limit})
{define} test_{number}(prepared_{number}):
    {call}
"""

PYTEST_CONFTEST: Final = """
import json
from pathlib import Path

import pytest

outcomes = {}

@pytest.hookimpl(wrapper=True)
def pytest_report_teststatus(report):
    status = yield
    if report.when == "call":
        sections = "".join(text for name, text in report.sections if name.startswith("memray-"))
        text = str(report.longrepr or "") + "\\n" + sections
        outcomes[report.nodeid] = dict(report=report.outcome, letter=status[1], text=text)
    return status

def pytest_unconfigure():
    Path("outcomes.json").write_text(json.dumps(outcomes))
"""

UNITTEST: Final = """
import json
import traceback
import unittest
from pathlib import Path
import workloads
from membudget import *
from unittest_membudget import *

bad = {}
"""

UNITTEST_TEST: Final = """
try:
    {class_decorator}
    class Case{number}({base}):
        {class_limit}
        def setUp(self):
            workloads.prepare({workload!r}, warm_up={warms_up})
        {method_decorator}
        {define} test(self):
            {call}
except Exception as error:
    bad["Case{number}"] = dict(type=type(error).__name__, text=str(error))
"""

UNITTEST_END: Final = """
if __name__ == "__main__":
    runner = MemoryTestRunner(verbosity=0)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromModule(__import__("__main__")))
    failures = {type(test).__name__: text for test, text in result.failures}
    errors = {type(test).__name__: text for test, text in result.errors}
    Path("outcomes.json").write_text(json.dumps([bad, failures, errors]))
"""


# What messages about wrong arguments have in common.
WRONG: Final = "|".join(
    [
        "no limit is given",
        ", allocations: .* is no",
        r"='\w+' matches no",
        "is not a p",
        "is not callable",
        "leaked objects can",
    ]
)


@dataclass(frozen=True)
class Outcome:
    """What a user gets. ``text`` is without the stack below the innermost frame."""

    result: str
    type: str
    measurement: dict[str, Any] | None
    text: str


Outcomes = dict[str, Outcome]


def with_block(
    scenarios: Iterable[Scenario], directory: Path, environment: Environment
) -> Outcomes:
    return _scripted("with", [one for one in scenarios if not one.calls_twice], environment)


def decorator(scenarios: Iterable[Scenario], directory: Path, environment: Environment) -> Outcomes:
    return _scripted("decorator", scenarios, environment)


def _scripted(how: str, scenarios: Iterable[Scenario], environment: Environment) -> Outcomes:
    done = run_python_in(
        HERE,
        "scripted.py",
        how,
        environment=_environment(environment),
        stdin=json.dumps([asdict(scenario) for scenario in scenarios]),
    )
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout.splitlines()[-1])
    return {
        name: Outcome(one["result"], one["type"], one["measurement"], normalized(one["text"]))
        for name, one in outcomes.items()
    }


def pytest_marker(
    scenarios: Sequence[Scenario], directory: Path, environment: Environment
) -> Outcomes:
    """Run pytest twice: a bad marker is a usage error of the whole run, which lists all of them."""
    good = [scenario for scenario in scenarios if not scenario.is_bad]
    bad = [scenario for scenario in scenarios if scenario.is_bad]
    outcomes = {}
    if good:
        done = _pytest(good, directory, environment)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        reports = json.loads((directory / "outcomes.json").read_text())
        measurements = _measurements(directory)
        for number, scenario in enumerate(good):
            name = f"test_it.py::test_{number}"
            outcomes[scenario.name] = _outcome_of_report(reports[name], measurements.get(name))
    if bad:
        done = _pytest(bad, directory, environment)
        assert done.returncode == 4, done.stdout + done.stderr
        for number, scenario in enumerate(bad):
            found = re.search(rf"^(?:ERROR: )?test_it.py::test_{number}: (.*)$", done.stderr, re.M)
            assert found, done.stderr
            outcomes[scenario.name] = Outcome("error", scenario.type, None, normalized(found[1]))
    return outcomes


def _pytest(
    scenarios: Sequence[Scenario], directory: Path, environment: Environment
) -> subprocess.CompletedProcess[str]:
    tests = "".join(
        PYTEST_TEST.format(
            number=number,
            anyio="@pytest.mark.anyio" if scenario.asynchronous else "",
            limiter=scenario.limiter,
            limit=scenario.limit,
            **_code(scenario),
        )
        for number, scenario in enumerate(scenarios)
    )
    (directory / "conftest.py").write_text(PYTEST_CONFTEST)
    (directory / "test_it.py").write_text(PYTEST + tests)
    return run_python_in(
        directory,
        *("-m", "pytest", "--memray", "-p", "no:cacheprovider", "--memray-json=memory.json"),
        environment={
            **_environment(environment),
            "PYTEST_ADDOPTS": "-p membudget -p xdist -p anyio",
        },
    )


def _outcome_of_report(report: dict[str, str], measurement: dict[str, Any] | None) -> Outcome:
    result, kind = "passed", ""
    if report["report"] == "failed":
        exceeded = report["letter"] == "M"
        names = re.findall(r"^E   +(?:\w+\.)*(\w+Error|\w+Exceeded): ", report["text"], re.M)
        result, kind = ("failed", "MemoryLimitExceeded") if exceeded else ("error", names[0])
    return Outcome(result, kind, measurement, normalized(report["text"]))


def unittest_method(
    scenarios: Iterable[Scenario], directory: Path, environment: Environment
) -> Outcomes:
    return _unittest(scenarios, directory, environment, decorates="method")


def unittest_class(
    scenarios: Iterable[Scenario], directory: Path, environment: Environment
) -> Outcomes:
    return _unittest(scenarios, directory, environment, decorates="class")


def memory_test_case(
    scenarios: Iterable[Scenario], directory: Path, environment: Environment
) -> Outcomes:
    writable = [scenario for scenario in scenarios if scenario.attribute]
    return _unittest(writable, directory, environment, decorates="")


def _unittest(
    scenarios: Iterable[Scenario], directory: Path, environment: Environment, *, decorates: str
) -> Outcomes:
    scenarios = list(scenarios)
    tests = []
    for number, scenario in enumerate(scenarios):
        limiter = f"@{scenario.limiter}({scenario.limit})"
        base = "unittest.IsolatedAsyncioTestCase" if scenario.asynchronous else "unittest.TestCase"
        tests.append(
            UNITTEST_TEST.format(
                number=number,
                base=base if decorates else f"MemoryTestMixin, {base}",
                class_decorator=limiter if decorates == "class" else "",
                class_limit="" if decorates else f"memory_limit = {scenario.limit}",
                method_decorator=limiter if decorates == "method" else "",
                **_code(scenario),
            )
        )
    (directory / "it.py").write_text("".join([UNITTEST, *tests, UNITTEST_END]))
    variables = {**_environment(environment), "MEMBUDGET_MEMRAY_JSON": "memory.json"}
    done = run_python_in(directory, "it.py", environment=variables)
    assert done.returncode == 0, done.stderr
    bad, failures, errors = json.loads((directory / "outcomes.json").read_text())
    measurements = _measurements(directory)
    outcomes = {}
    for number, scenario in enumerate(scenarios):
        case = f"Case{number}"
        if case in bad:
            outcomes[scenario.name] = Outcome(
                "error", bad[case]["type"], None, normalized(bad[case]["text"])
            )
            continue
        text = failures.get(case, "") + errors.get(case, "")
        kinds = re.findall(r"^(?:\w+\.)*(\w+Error|\w+Exceeded): ", text, re.M)
        result = "failed" if case in failures else "error" if case in errors else "passed"
        measurement = measurements.get(f"__main__.{case}.test")
        kind = kinds[-1] if kinds else ""
        outcomes[scenario.name] = Outcome(result, kind, measurement, normalized(text))
    return outcomes


def _code(scenario: Scenario) -> dict[str, Any]:
    """Return the parts of a test that do a scenario's work."""
    call = f"workloads.{scenario.workload}()"
    return {
        "workload": scenario.workload,
        "warms_up": not scenario.calls_twice,
        "define": "async def" if scenario.asynchronous else "def",
        "call": f"await {call}" if scenario.asynchronous else call,
    }


def _environment(environment: Environment) -> dict[str, str]:
    return {"PYTHONPATH": os.fspath(HERE), **dict(environment)}


def _measurements(directory: Path) -> dict[str, Any]:
    data = json.loads((directory / "memory.json").read_text())
    return {one["name"]: one["measurement"] for one in data["results"]}


def normalized(text: str) -> str:
    """Reduce a text to the lines about memory, with one name for what was limited."""
    lines = []
    for line in text.splitlines():
        line = re.sub(r"^(E   +)?(\w+\.)*MemoryLimitExceeded: ", "", line.strip())
        line = re.sub(r"^E\s+", "", line)
        line = re.sub(r"^(Test|Block|run\(\)) (was (limited|allowed))", r"It \2", line)
        line = re.sub(rf"^.*({WRONG})\w*", r"It was \1", line)
        line = re.sub(r"^- (\w+):.*/(\w+\.py:\d+)", r"- \1:\2", line)
        if re.match(r"It was|Exactly |List of|Alive at|Still alive|- ", line):
            lines.append(line)
        elif found := re.search(r"('[^']*' is not a memory size: write .*)", line):
            lines.append(found[1])
    return "\n".join(dict.fromkeys(lines))
