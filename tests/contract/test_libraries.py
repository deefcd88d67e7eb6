"""Libraries with an allocator of their own, three times the same, in every front end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import run_python_in
from libraries import WORK

HERE = Path(__file__).parent
KEEPS = {"_RJEM_MALLOC_CONF": "dirty_decay_ms:-1"}  # a user's own choice: give nothing back
JEMALLOC = {"_RJEM_MALLOC_CONF": "retain:false,dirty_decay_ms:0,muzzy_decay_ms:0"}

SCRIPT = """
import json
from membudget import limit_memory
from libraries import WORK

def with_block(work):
    with limit_memory("8 MB", stable={stable}):
        work()

def decorator(work):
    limit_memory("8 MB", stable={stable})(lambda: work())()

outcomes = {{}}
for name, work in WORK.items():
    try:
        {front_end}(work)
        outcomes[name] = "passed"
    except Exception as error:
        outcomes[name] = type(error).__name__
print(json.dumps(outcomes))
"""

PYTEST = """
import pytest
from libraries import WORK

@pytest.mark.limit_memory("8 MB")
@pytest.mark.parametrize("name", WORK)
def test(name):
    WORK[name]()
"""

UNITTEST = """
import unittest
from membudget import limit_memory
from libraries import WORK
from unittest_membudget import MemoryTestCase

{decorator}
class Case({base}):
    {attribute}

def method(work):
    return lambda self: work()

for name, work in WORK.items():
    setattr(Case, f"test_{{name}}", {method_decorator}(method(work)))
"""

UNITTEST_FORMS = {
    "unittest_method": {"method_decorator": "limit_memory('8 MB')"},
    "unittest_class": {"decorator": "@limit_memory('8 MB')"},
    "memory_test_case": {"base": "MemoryTestCase", "attribute": "memory_limit = '8 MB'"},
}


def verdicts(output: str, directory: Path) -> dict[str, str]:
    data = json.loads((directory / "memory.json").read_text())
    found = {}
    for result in data["results"]:
        name = re.search(r"\w+_\d", result["name"].replace("test_", ""))
        assert name, result["name"]
        blind = "blind" if result["blind"] else "passed"
        found[name[0]] = blind if result["within"] else "MemoryLimitExceeded"
    return found


def outcomes(
    front_end: str, directory: Path, *options: str, **environment: str
) -> tuple[dict[str, str], str]:
    """Run all work under a limit of 8 MB, and return what came of each, with the output."""
    environment = {"PYTHONPATH": str(HERE), **environment}
    if front_end in ("with_block", "decorator"):
        program = SCRIPT.format(front_end=front_end, stable="--memray-stable" in options)
        done = run_python_in(directory, "-W", "default", "-c", program, environment=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr
    options = (*options, "--memray-json=memory.json")
    if front_end == "pytest_marker":
        (directory / "test_it.py").write_text(PYTEST)
        command = ["-W", "default", "-m", "pytest", "-p", "no:cacheprovider", "--memray", *options]
    else:
        form = {"decorator": "", "base": "unittest.TestCase", "attribute": "pass"}
        form |= {"method_decorator": "", **UNITTEST_FORMS[front_end]}
        (directory / "test_it.py").write_text(UNITTEST.format(**form))
        command = ["-W", "default", "-m", "unittest_membudget", *options, "test_it"]
    done = run_python_in(directory, *command, environment=environment)
    return verdicts(done.stdout + done.stderr, directory), done.stdout + done.stderr


SCRIPTS = ("with_block", "decorator")
ADAPTERS = ("pytest_marker", *UNITTEST_FORMS)
ALL_EXCEED = dict.fromkeys(WORK, "MemoryLimitExceeded")


@pytest.mark.parametrize("stable", [(), ("--memray-stable",)], ids=["default", "stable"])
@pytest.mark.parametrize("front_end", ADAPTERS)
def test_the_third_time_exceeds_its_limit_as_the_first_does(
    front_end: str, stable: tuple[str, ...], tmp_path: Path
) -> None:
    """80 MB of pyarrow and 160 MB of polars fail a limit of 8 MB however often they ran before."""
    found, output = outcomes(front_end, tmp_path, *stable)
    assert found == ALL_EXCEED, output


@pytest.mark.parametrize("stable", [(), ("--memray-stable",)], ids=["default", "stable"])
@pytest.mark.parametrize("front_end", SCRIPTS)
def test_code_with_the_variable_in_its_environment(
    front_end: str, stable: tuple[str, ...], tmp_path: Path
) -> None:
    """A script does the same where polars was told to; a block switches pyarrow by itself."""
    found, output = outcomes(front_end, tmp_path, *stable, **JEMALLOC)
    assert found == ALL_EXCEED, output


@pytest.mark.parametrize("front_end", SCRIPTS)
def test_code_that_is_too_late_for_polars(front_end: str, tmp_path: Path) -> None:
    """No limit passes in silence: there is a warning at the user's line, or an error on request."""
    found, output = outcomes(front_end, tmp_path, **KEEPS)
    assert found["polars_1"] == found["polars_2"] == "passed"
    assert re.search(
        r"^<string>:\d+: BlindBudgetWarning: .*polars.*_RJEM_MALLOC_CONF=", output, re.M
    )
    found, _ = outcomes(front_end, tmp_path, MEMBUDGET_MEMRAY_BLIND="error", **KEEPS)
    assert found["polars_1"] == found["polars_2"] == "BlindBudgetError"
    assert "passed" not in found.values()


@pytest.mark.parametrize("front_end", ["pytest_marker", "unittest_class"])
def test_allocators_that_are_left_untouched(front_end: str, tmp_path: Path) -> None:
    """What was not seen is in the report, in the JSON file and in a warning; or it is an error."""
    untouched = "--memray-own-allocators=untouched"
    found, output = outcomes(front_end, tmp_path, untouched, **KEEPS)
    assert [found["arrow_2"], found["polars_2"]] == ["blind", "blind"]
    assert "Not counted: pyarrow took 76.3MiB from its own allocator" in output
    assert "could not be checked in full, see 'Not counted': " in output
    assert "BlindBudgetWarning: Test kept its limits as far as memray can see" in output
    results = json.loads((tmp_path / "memory.json").read_text())["results"]
    unseen = next(one for one in results if "arrow_2" in one["name"])["measurement"]["unseen"]
    assert {"library": "pyarrow", "size_bytes": 80_000_000} in unseen
    _, output = outcomes(front_end, tmp_path, untouched, "--memray-blind=error", **KEEPS)
    assert "BlindBudgetError: Test kept its limits as far as memray can see" in output
    assert not re.search(r"\d passed|^OK", output, re.M)


def test_workers_of_pytest_xdist(tmp_path: Path) -> None:
    """Workers are told before they load anything.

    With a variable that Python reads at its start, they are new interpreters: see fork_server.py.
    """
    found, output = outcomes("pytest_marker", tmp_path, "-n2", PYTHONUNBUFFERED="1")
    assert found == ALL_EXCEED, output


def test_settings_of_the_user_are_kept(tmp_path: Path) -> None:
    """The user's setting is kept, and the report shows what memray does not see."""
    found, output = outcomes("pytest_marker", tmp_path, **KEEPS)
    assert found["polars_2"] == "blind", output
    assert found["arrow_2"] == found["numpy_2"] == "MemoryLimitExceeded"
