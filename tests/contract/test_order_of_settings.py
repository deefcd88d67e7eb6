"""Which source of a setting wins: the same order for every front end."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import run_python_in

TESTS = """
import unittest
class Tests(unittest.TestCase):
    def test_1(self): bytearray(100_000)
    def test_2(self): bytearray(100_000)
    def test_3(self): bytearray(100_000)
    def test_4(self): bytearray(100_000)
    def test_5(self): bytearray(100_000)
"""
MANAGE = """
import sys
from django.conf import settings
from django.core.management import execute_from_command_line
runner = "unittest_membudget.django.MemoryRunner"
settings.configure(SECRET_KEY="x", TEST_RUNNER=runner, USE_TZ=True)
execute_from_command_line(sys.argv)
"""
COMMANDS = {
    "pytest": ("-m", "pytest", "-p", "no:cacheprovider", "--memray"),
    "unittest": ("-m", "unittest_membudget"),
    "Django": ("manage.py", "test"),
}
SOURCES = ("the table", "the ini file", "the environment", "the command line")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with tests, below a directory whose ``pyproject.toml`` has the table."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "test_it.py").write_text(TESTS)
    (project / "manage.py").write_text(MANAGE)
    (tmp_path / "pyproject.toml").write_text("[tool.membudget]\nmost_allocations = 1\n")
    (project / "pyproject.toml").write_text("[project]\nname = 'project'\n")
    return project


@pytest.mark.parametrize(
    ("front_end", "n_sources"),
    [
        (front_end, n_sources)
        for front_end in ("pytest", "unittest", "Django")
        for n_sources in (1, 2, 3, 4)
        if front_end == "pytest" or n_sources != 2  # the others have no file of their own
    ],
    ids=lambda value: SOURCES[value - 1] if isinstance(value, int) else str(value),
)
def test_the_last_source_wins(project: Path, front_end: str, n_sources: int) -> None:
    """The nearest table, pytest's own file, the environment, the command line."""
    if n_sources >= 2:
        (project / "pytest.ini").write_text("[pytest]\nmost_allocations = 2\n")
    environment = {"MEMBUDGET_MOST_ALLOCATIONS": "3"} if n_sources >= 3 else {}
    arguments = ("--most-allocations=4",) if n_sources >= 4 else ()
    done = run_python_in(project, *COMMANDS[front_end], *arguments, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("Allocations results for") == n_sources
