"""One scenario through every front end: each writes a program, runs it, and says what came of it.

An outcome is what a user of that front end gets: passed, failed or error; the measurement; the
text. All front ends must give the same.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import run_python_in

HERE = Path(__file__).parent

PRELUDE = """
import asyncio, json, unittest, warnings
from membudget import *
warnings.simplefilter("ignore", NotRaisedWarning)
from workloads import *
import workloads
workload = workloads.{workload}
make_headroom()
try:
    {warm_up}
except (LookupError, MemoryLimitExceeded):
    pass
"""

# A script: the block or the decorated function, and one line of JSON about what came of it.
SCRIPT = """
outcome = dict(result="passed", type="", text="", measurement=None)
kept = []
def keep(error):
    outcome["type"] = type(error).__name__
    outcome["result"] = "failed" if isinstance(error, MemoryLimitExceeded) else "error"
    outcome["text"] = "\\n".join([str(error), *getattr(error, "__notes__", [])])
try:
    {body}
except BaseException as error:
    keep(error)
if kept and kept[0].measurement:
    outcome["measurement"] = report_json.measurement_to_json(kept[0].measurement)
print(json.dumps(outcome))
"""

WITH = """block = limit_memory({limit})
    kept.append(block)
    {define} run():
        with block:
            {call}
    run_async = run
    {run}"""

DECORATOR = """
    class watched(limit_memory):
        def _for_call(self, name):
            block = super()._for_call(name)
            kept.append(block)
            return block
    @watched({limit})
    {define} run():
        {call}
    run_async = run
    {run}"""

PYTEST = """
import pytest
@pytest.fixture
def anyio_backend():
    return "asyncio"

{anyio}
@pytest.mark.limit_memory({limit})
{define} test():
    {call}
"""

PYTEST_CONFTEST = """
import json
def pytest_runtest_logreport(report):
    if report.when == "call":
        section = "".join(text for name, text in report.sections if name.startswith("memray-"))
        print("\\nOUTCOME" + json.dumps(dict(
            report=report.outcome,
            exceeded=getattr(report, "membudget_exceeded", False),
            result=getattr(report, "membudget_result", None),
            text=str(report.longrepr or "") + "\\n" + section,
        )))
"""

UNITTEST = """
from unittest_membudget import *

class Case({base}):
    {class_limit}
    {method_limit}
    {define} test(self):
        {call}

if __name__ == "__main__":
    runner = MemoryTestRunner(verbosity=0)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromTestCase(Case))
    measured = [report_json.result_to_json(one) for one in result.memory_run.results]
    print("OUTCOME" + json.dumps(dict(
        failures=[text for _, text in result.failures],
        errors=[text for _, text in result.errors],
        result=measured[0] if measured else None,
    )))
"""


@dataclass(frozen=True)
class Outcome:
    """What a user gets. ``text`` is without the stack below the innermost frame."""

    result: str
    type: str
    measurement: dict[str, Any] | None
    text: str


@dataclass(frozen=True)
class Scenario:
    """Work, a limit as it is written in Python, and what must come of it.

    ``noise_bytes`` is what Python's own machinery for threads and event loops allocates besides,
    which depends on timing and on the runner.
    """

    name: str
    workload: str
    limit: str
    result: str
    type: str = ""
    peak_bytes: int | None = None
    asynchronous: bool = False
    noise_bytes: int = 0
    environment: tuple[tuple[str, str], ...] = ()
    attribute: bool = True  # whether the limit can be written as memory_limit
    limiter: str = "limit_memory"
    calls_twice: bool = False  # measures the second call: a block has one only

    def fill(self, template: str, **more: str) -> str:
        call = "await workload()" if self.asynchronous else "workload()"
        warm_up = "asyncio.run(workload())" if self.asynchronous else "workload()"
        values = {
            "workload": self.workload,
            "limit": self.limit,
            "call": call,
            "define": "async def" if self.asynchronous else "def",
            "run": "asyncio.run(run_async())" if self.asynchronous else "run()",
            "warm_up": warm_up if not self.calls_twice else "pass",
            "anyio": "@pytest.mark.anyio" if self.asynchronous else "",
            **more,
        }
        # Twice: a value may hold a placeholder.
        for _ in range(2):
            for written in ("limit_memory({limit})", "watched(limit_memory)"):
                limiter = written.replace("limit_memory", self.limiter)
                template = template.replace(written, limiter)
            template = re.sub(r"\{(\w+)\}", lambda m: values.get(m[1], m[0]), template)
        return template


def _run(scenario: Scenario, directory: Path, *arguments: str) -> Any:
    environment = {"PYTHONPATH": str(HERE), **dict(scenario.environment)}
    return run_python_in(directory, *arguments, environment=environment)


def _script(scenario: Scenario, directory: Path, body: str) -> Outcome:
    program = scenario.fill(PRELUDE) + scenario.fill(SCRIPT, body=body)
    done = _run(scenario, directory, "-c", program)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    return Outcome(
        outcome["result"], outcome["type"], outcome["measurement"], normalized(outcome["text"])
    )


def with_block(scenario: Scenario, directory: Path) -> Outcome:
    return _script(scenario, directory, WITH)


def decorator(scenario: Scenario, directory: Path) -> Outcome:
    return _script(scenario, directory, DECORATOR)


def pytest_marker(scenario: Scenario, directory: Path) -> Outcome:
    (directory / "conftest.py").write_text(PYTEST_CONFTEST)
    (directory / "test_it.py").write_text(scenario.fill(PRELUDE) + scenario.fill(PYTEST))
    done = _run(scenario, directory, "-m", "pytest", "--memray", "-s", "-p", "no:cacheprovider")
    if done.returncode == 4:
        kind = "InvalidSizeError" if "memory size" in done.stderr else "InvalidLimitError"
        if re.search(r"only CPython|objects are read in C", done.stderr):
            kind = "UnsupportedLimitError"
        return Outcome("error", kind, None, normalized(done.stderr))
    found = re.search(r"^OUTCOME(.*)$", done.stdout, re.M)
    assert found, done.stdout + done.stderr
    report = json.loads(found[1])
    measurement = report["result"]["measurement"] if report["result"] else None
    result, kind = "passed", ""
    if report["report"] == "failed":
        names = re.findall(r"^E   +(?:\w+\.)*(\w+Error|\w+Exceeded): ", report["text"], re.M)
        kind = "MemoryLimitExceeded" if report["exceeded"] else names[0]
        result = "failed" if report["exceeded"] else "error"
    return Outcome(result, kind, measurement, normalized(report["text"]))


def _unittest(scenario: Scenario, directory: Path, **values: str) -> Outcome:
    base = "unittest.IsolatedAsyncioTestCase" if scenario.asynchronous else "unittest.TestCase"
    program = scenario.fill(PRELUDE) + scenario.fill(
        UNITTEST, **{"base": base, "class_limit": "", "method_limit": "", **values}
    )
    if "decorate" in values:
        program = program.replace("class Case", f"{scenario.fill(values['decorate'])}\nclass Case")
    (directory / "it.py").write_text(program)
    done = _run(scenario, directory, "it.py")
    found = re.search(r"^OUTCOME(.*)$", done.stdout, re.M)
    if not found:
        assert done.returncode == 1, done.stderr
        kind = re.findall(r"^(?:\w+\.)*(\w+Error): ", done.stderr, re.M)[-1]
        return Outcome("error", kind, None, normalized(done.stderr))
    report = json.loads(found[1])
    text = "".join([*report["failures"], *report["errors"]])
    kinds = re.findall(r"^(?:\w+\.)*(\w+Error|\w+Exceeded): ", text, re.M)
    result = "failed" if report["failures"] else "error" if report["errors"] else "passed"
    measurement = report["result"]["measurement"] if report["result"] else None
    return Outcome(result, kinds[-1] if kinds else "", measurement, normalized(text))


def unittest_method(scenario: Scenario, directory: Path) -> Outcome:
    return _unittest(scenario, directory, method_limit="@limit_memory({limit})")


def unittest_class(scenario: Scenario, directory: Path) -> Outcome:
    return _unittest(scenario, directory, decorate="@limit_memory({limit})")


def memory_test_case(scenario: Scenario, directory: Path) -> Outcome:
    base = "MemoryTestMixin, unittest.IsolatedAsyncioTestCase"
    return _unittest(
        scenario,
        directory,
        base=base if scenario.asynchronous else "MemoryTestCase",
        class_limit="memory_limit = {limit}",
    )


def normalized(text: str) -> str:
    """Reduce a text to the lines about memory, with one name for what was limited."""
    lines = []
    for line in text.splitlines():
        line = re.sub(r"^(E   +)?(\w+\.)*MemoryLimitExceeded: ", "", line.strip())
        line = re.sub(r"^E\s+", "", line)
        line = re.sub(r"^(Test|Block|run\(\)) (was (limited|allowed))", r"It \2", line)
        line = re.sub(
            r"^.*(say what is limited|, allocations: .* is no|='\w+' matches no|is not a p)\w*",
            r"It was \1",
            line,
        )
        line = re.sub(r"^- (\w+):.*/(\w+\.py:\d+)", r"- \1:\2", line)
        if re.match(r"It was|Exactly |List of|Alive at|Still alive|- ", line):
            lines.append(line)
        elif found := re.search(r"('[^']*' is not a memory size: write .*)", line):
            lines.append(found[1])
    return "\n".join(dict.fromkeys(lines))
