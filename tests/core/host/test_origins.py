"""A failure says where its limit is written."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from conftest import RunPython, run_python_in
from membudget import (
    Allocation,
    Budget,
    Excess,
    LeakLimit,
    Limit,
    Measurement,
    ObjectLimit,
    Result,
    Verdict,
)
from membudget.report import failure_text as report_failure
from membudget.results import result_data as report_json
from membudget.runs import memory_budget
from membudget.settings_sources import resolve


def test_blocks_and_decorators_say_their_line(run_python: RunPython, tmp_path: Path) -> None:
    """Relative to where the program started, also when it has changed its directory since."""
    (tmp_path / "program.py").write_text("""
import os
from membudget import MemoryLimitExceeded, limit_leaks, limit_memory
os.chdir("/")
@limit_memory(total="1 MB")
@limit_memory("1 KB")
def load():
    return bytearray(5_000_000)
def block():
    with limit_memory("1 KB"):
        load.__wrapped__()
def leak():
    with limit_leaks("1 KB"):
        kept.append(bytearray(5000))
kept = []
for work in (load, block, leak):
    try:
        work()
    except MemoryLimitExceeded as error:
        print([line for line in str(error).splitlines() if "written" in line])
""")
    done = run_python(str(tmp_path / "program.py"))
    assert done.stdout.splitlines() == [
        "['The limit is written in program.py:6 and in program.py:5']",
        "['The limit is written in program.py:10']",
        "['The limit is written in program.py:13']",
    ], done.stderr


def test_a_place_elsewhere_is_shown_in_full(run_python: RunPython, tmp_path: Path) -> None:
    program = tmp_path / "elsewhere" / "program.py"
    program.parent.mkdir()
    program.write_text(
        "from membudget import limit_memory\nwith limit_memory('1 KB'): bytearray(5000)\n"
    )
    (tmp_path / "here").mkdir()
    done = run_python_in(tmp_path / "here", str(program))
    assert f"The limit is written in {program}:2" in done.stderr


@pytest.mark.parametrize("module", ["unittest", "unittest_membudget"])
def test_attributes_and_assertions_of_test_cases(tmp_path: Path, module: str) -> None:
    (tmp_path / "test_it.py").write_text("""
from membudget import limit_memory
from unittest_membudget import MemoryTestCase
import unittest
class Base(MemoryTestCase):
    memory_limit = "1 KB"
class Loads(Base):
    def test_attribute(self):
        bytearray(5000)
class Asserts(MemoryTestCase):
    def test_block(self):
        with self.assertMemoryLimit("1 KB"):
            bytearray(5000)
    def test_callable(self):
        self.assertMemoryLimit("1 KB", bytearray, 5000)
@limit_memory("1 KB")
class OnClass(unittest.TestCase):
    def test(self):
        bytearray(5000)
    @limit_memory(2000)
    def test_method(self):
        bytearray(5000)
""")
    done = run_python_in(tmp_path, "-m", module, "test_it")
    written = [line for line in done.stderr.splitlines() if "is written in" in line]
    assert sorted(line.removeprefix("The limit is written in ") for line in written) == [
        "test_it.py, Base.memory_limit",
        "test_it.py:12",
        "test_it.py:15",
        "test_it.py:16",
        "test_it.py:20",
    ], done.stderr


def test_settings_say_which_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The one that wins: of the file, the environment, the command line."""

    def origin(**given: str) -> str:
        settings = resolve(
            config={"memray_default_limit": "1 MB", "memray": "on"},
            command_line=given,
            config_name="pytest.ini",
        )
        return settings.default_budget.limits[0].origin

    assert origin() == "pytest.ini, memray_default_limit"
    monkeypatch.setenv("MEMBUDGET_MEMRAY_DEFAULT_LIMIT", "2 MB")
    assert origin() == "the environment, MEMBUDGET_MEMRAY_DEFAULT_LIMIT"
    assert origin(memray_default_limit="3 MB") == "the command line, --memray-default-limit"
    monkeypatch.delenv("MEMBUDGET_MEMRAY_DEFAULT_LIMIT")
    (tmp_path / "pyproject.toml").write_text('[tool.membudget]\nmemray_default_limit = "1 KB"')
    (tmp_path / "test_it.py").write_text(
        "import unittest\nclass It(unittest.TestCase):\n    def test(self): bytearray(5000)"
    )
    done = run_python_in(tmp_path, "-m", "unittest_membudget", "test_it")
    assert "The limit is written in pyproject.toml, memray_default_limit" in done.stderr


def test_limits_are_equal_wherever_they_are_written() -> None:
    """The place is kept when budgets are merged, written as JSON and pickled."""
    here, there = memory_budget("1 MB", origin="a.py:1"), memory_budget("1 MB", origin="b.py:2")
    assert here == there
    assert hash(here) == hash(there)
    merged = here.combined_with(memory_budget("2 MB", total="9 MB", origin="b.py:2"))
    assert [limit.origin for limit in merged.limits] == ["a.py:1", "b.py:2"]
    budget = Budget(
        (Limit("peak_bytes", 1, "a.py:1"),),
        leaks=LeakLimit(1, origin="b.py:2"),
        objects=ObjectLimit(origin="c.py:3"),
    )
    measurement = Measurement(5, 5, 1, 5, retained=(Allocation(5, 1, ()),))
    verdict = Verdict(budget, (Excess(budget.limits[0], 5),), measurement.retained)
    data = json.loads(json.dumps(report_json.result_to_json(Result("a", measurement, verdict))))
    pickled: Verdict = pickle.loads(pickle.dumps(verdict))
    for read in (report_json.result_from_json(data).verdict, pickled):
        assert read.excesses[0].limit.origin == "a.py:1"
        assert read.budget.leaks is not None
        assert read.budget.objects is not None
        assert (read.budget.leaks.origin, read.budget.objects.origin) == ("b.py:2", "c.py:3")
        message = report_failure.exceeded_message("Test", measurement, read)
        assert "The limit is written in a.py:1 and in b.py:2\n" in message
