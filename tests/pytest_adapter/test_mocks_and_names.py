"""Tests that replace functions of the system, or have names that a terminal must not see."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from running import Pytest

MOCKS = """
import os, sys
from unittest import mock
import pytest
from membudget import MemoryLimitExceeded, limit_memory, measure_memory
from workloads import *

NAMES = [
    "subprocess.Popen", "sys.executable", "os.close", "os.read", "os.write", "os.open", "os.pipe",
    "os.posix_spawn", "os.waitpid", "os.getpid", "builtins.open", "builtins.__import__",
    "json.dumps", "threading.Thread", "pathlib.Path.exists", "os.stat", "os.path.abspath",
    "sys.platform", "importlib.import_module", "os.fork", "sys.argv", "sys.path", "os.environ",
    "sys.setprofile", "threading.setprofile", "time.time", "time.perf_counter", "os.getcwd",
    "platform.system", "gc.collect",
]

def check(exceeded):
    assert "large" in str(exceeded.value) or "workloads" in str(exceeded.value), exceeded.value

@pytest.mark.parametrize("patterns", [{}, {"only": "workloads"}])
@pytest.mark.parametrize("name", NAMES)
def test_nested(name, patterns):
    patcher = mock.patch(name)
    mocked = patcher.start()
    calls = getattr(mocked, "mock_calls", [])
    try:
        with limit_memory("100 KB", **patterns):
            large()
    except MemoryLimitExceeded as error:
        exceeded = error
    finally:
        n_calls = len(calls)
        patcher.stop()
    assert "workloads" in str(exceeded), exceeded
    assert not n_calls, calls

def test_fp(fp):
    with pytest.raises(MemoryLimitExceeded, match="workloads"):
        with limit_memory("100 KB"):
            large()
    assert not fp.calls

def test_fs(fs):
    with pytest.raises(MemoryLimitExceeded, match="workloads"):
        with limit_memory("100 KB"):
            large()

@pytest.fixture
def no_threads():
    with mock.patch("threading.Thread") as thread:
        yield thread

def test_starts_a_thread(no_threads):
    import threading
    threading.Thread(target=print).start()
    no_threads.assert_called_once_with(target=print)

@pytest.fixture
def clock():
    with mock.patch("time.perf_counter"):
        yield

def test_with_a_mocked_clock(clock): pass

@pytest.mark.parametrize("n", range(4))
def test_innocent(n): pass
"""


@pytest.fixture
def runner(tmp_path: Path) -> Pytest:
    return Pytest(tmp_path)


@pytest.mark.parametrize("reader", ["auto", "replay"])
@pytest.mark.parametrize("measures", [True, False])
def test_whatever_a_test_mocks_its_limits_hold(runner: Pytest, reader: str, measures: bool) -> None:
    """With their stacks, and without a call of the mock."""
    runner.fresh = True  # memray is imported while functions are replaced
    runner.plugins += ["pytest_subprocess.fixtures", "pyfakefs.pytest_plugin"]
    runner.write(test_it=MOCKS)
    ran = runner.run(*["--memray"] * measures, "-q", MEMBUDGET_READER=reader)
    assert ran.returncode == 0, ran.stdout[-5000:]


OVER_UNTIL_TEARDOWN = """
import os
import pytest
from workloads import *

@pytest.mark.limit_memory("100 KB")
def test_over(monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)
    large()

def test_no_limit(monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)
    large()
"""


def test_a_function_that_is_replaced_until_the_teardown(runner: Pytest) -> None:
    runner.write(test_it=OVER_UNTIL_TEARDOWN)
    ran = runner.run("--memray")
    assert "MEMORY PROBLEMS test_it.py::test_over" in ran.stdout, ran.stdout
    assert "Measured 2 tests" in ran.stdout


def test_an_old_json_file_stays_until_the_new_one_is_whole(runner: Pytest) -> None:
    """And a link to it stays a link."""
    runner.write(test_it="def test_it(): pass\n")
    old = runner.directory / "old.json"
    old.write_text("old")
    old.chmod(0o640)
    (runner.directory / "memory.json").symlink_to(old)
    ran = runner.run("--memray", "--memray-json=memory.json")
    assert ran.returncode == 0, ran.stdout
    assert (runner.directory / "memory.json").is_symlink()
    assert json.loads(old.read_text())["results"]
    assert old.stat().st_mode & 0o777 == 0o640
    assert not [name for name in os.listdir(runner.directory) if name.startswith(".membudget")]


HOSTILE = r"""
import enum
import pytest
from workloads import *

class Most(enum.IntEnum):
    BYTES = 100_000
    ALLOCATIONS = 1_000

class Why(enum.StrEnum):
    LARGE = "it is large"

exec(compile("def load(): return bytearray(500_000)", "evil\x1b[2J\n\udcff.py", "exec"))

@pytest.mark.no_memory_limit(reason="because\x1b[31m\nMeasured 99 tests")
def test_waived(): pass

@pytest.mark.no_memory_limit(Why.LARGE)
def test_waived_by_name(): pass

@pytest.mark.limit_memory("100 KB")
def test_over(): kept = load()

@pytest.mark.limit_memory(Most.BYTES, allocations=Most.ALLOCATIONS)
def test_over_a_named_size(): kept = load()
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2")])
def test_control_characters_in_names_are_escaped(
    runner: Pytest, arguments: tuple[str, ...]
) -> None:
    if arguments and sys.version_info >= (3, 12):
        pytest.skip("memray raises in code of such a file, and xdist cannot send that traceback")
    runner.write(test_it=HOSTILE)
    ran = runner.run("--memray", "--junitxml=junit.xml", "--color=no", *arguments)
    ran.counts(failed=2, passed=2)
    assert "Limit waived: test_it.py::test_waived_by_name (it is large)" in ran.lines
    assert "\x1b" not in ran.stdout.replace("\x1b[0m", "")
    assert (
        r"Limit waived: test_it.py::test_waived (because\x1b[31m\nMeasured 99 tests)" in ran.lines
    )
    assert (runner.directory / "junit.xml").exists()
