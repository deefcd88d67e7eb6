"""Functions of the system that a test replaces until after it, with unittest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import REPOSITORY, run_python_in
from replaced import WITHOUT_COVERAGE

CASES = """
import os
import unittest
from unittest import mock

from membudget import limit_memory
from workloads import *

NAMES = (
    "os.getpid", "os.close", "os.stat", "os.path.abspath", "time.perf_counter", "threading.Thread",
    "subprocess.Popen", "gc.collect", "sys.setprofile", "threading.setprofile", "json.dumps",
)

class Mocks(unittest.TestCase):
    def setUp(self):
        for name in NAMES:
            patcher = mock.patch(name)
            self.addCleanup(patcher.stop)
            self.addCleanup(self.assertFalse, patcher.start().mock_calls)

    @limit_memory("100 KB")
    def test_over(self): large()

    @limit_memory("100 KB")
    def test_within(self): small()

    def test_nothing(self): pass
"""


@pytest.mark.parametrize("command", [("-m", "unittest"), ("-m", "unittest_membudget")])
def test_a_set_up_that_replaces_functions(tmp_path: Path, command: tuple[str, str]) -> None:
    """The limits hold under both runners, and no mock is called."""
    (tmp_path / "test_it.py").write_text(CASES)
    path = str(REPOSITORY / "tests/contract")
    # Fresh: memray is imported while functions are replaced.
    environment = {"PYTHONPATH": path, **WITHOUT_COVERAGE}
    done = run_python_in(tmp_path, *command, "test_it", environment=environment, fresh=True)
    assert "Ran 3 tests" in done.stderr, done.stderr
    assert "FAILED (failures=1)" in done.stderr or "FAILED (memory problems=1" in done.stderr
    assert "large:" in done.stderr


def test_json_replaces_the_old_file_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import unittest\nclass T(unittest.TestCase):\n    def test_it(self): pass\n"
    )
    old = tmp_path / "old.json"
    old.write_text("old")
    (tmp_path / "memory.json").symlink_to(old)
    arguments = ("-m", "unittest_membudget", "test_it", "--memray-json=memory.json")
    done = run_python_in(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "memory.json").is_symlink()
    assert json.loads(old.read_text())["results"]
