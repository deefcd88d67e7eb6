"""Reports that a run writes by itself: the same with every test framework, written once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import run_python_in

TESTS = """
import unittest
from membudget import limit_memory

class Sizes(unittest.TestCase):
    @limit_memory("100 KB")
    def test_over(self): bytearray(200_000)
    @limit_memory("100 KB")
    def test_near(self): bytes(100_900)
    def test_free(self): bytes(49_950)
"""
COMMANDS = {
    "pytest": ("-m", "pytest", "-p", "no:cacheprovider", "--memray", "test_it.py"),
    "pytest -n2": ("-m", "pytest", "-p", "no:cacheprovider", "--memray", "-n2", "test_it.py"),
    "unittest": ("-m", "unittest_membudget", "test_it"),
}
HEADLINE = "## Memory: 1 of 3 tests is over its memory limit"
ON_GITHUB = {"GITHUB_ACTIONS": "true"}


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "test_it.py").write_text(TESTS)
    return COMMANDS[request.param]


def ran(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = run_python_in(directory, *arguments, environment=environment)
    assert done.returncode == 1, done.stdout + done.stderr
    return done


def annotated(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith("::")]


def test_reports_in_files(command: tuple[str, ...], tmp_path: Path) -> None:
    """With paths relative to the root."""
    done = ran(tmp_path, *command, "--memray-markdown=memory.md", "--memray-html=memory.html")
    page = (tmp_path / "memory.md").read_text()
    assert page.count(HEADLINE) == 1
    assert page.startswith(f"{HEADLINE}\n\nCPython 3.")
    assert "    - test_over:test_it.py:7 -&gt; 195.3KiB" in page.splitlines()
    assert str(tmp_path) not in page
    assert "1 of 3 tests is over its memory limit" in (tmp_path / "memory.html").read_text()
    assert not annotated(done)


def test_github_gets_annotations_and_a_summary(command: tuple[str, ...], tmp_path: Path) -> None:
    """Also if the report is not shown; the summary of an earlier command in the step stays."""
    summary = tmp_path / "summary.md"
    summary.write_text("# Of another tool\n")
    environment = {**ON_GITHUB, "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_WORKSPACE": "/w"}
    done = ran(tmp_path, *command, "--hide-memray-summary", **environment)
    error, warning = annotated(done)
    assert error.startswith("::error file=test_it.py,line=6,title=Memory limit exceeded::"), error
    assert "was limited to 100.0KiB but allocated 195.3KiB" in error
    assert "The limit is written in test_it.py:6" in error
    assert warning.startswith("::warning file=test_it.py,line=8,title=Memory limit leaves little")
    assert summary.read_text().startswith(f"# Of another tool\n{HEADLINE}\n")
    assert summary.read_text().count("## Memory") == 1


def test_one_setting_turns_github_off(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    summary = tmp_path / "summary.md"
    environment = {**ON_GITHUB, "GITHUB_STEP_SUMMARY": str(summary)}
    done = ran(tmp_path, *COMMANDS["unittest"], "--memray-github=off", **environment)
    assert not annotated(done)
    assert not summary.exists()


def test_a_summary_that_cannot_be_written_changes_no_outcome(tmp_path: Path) -> None:
    """As in a container that has GitHub's variables, but not its files."""
    (tmp_path / "test_it.py").write_text(TESTS)
    summary = str(tmp_path / "missing" / "summary.md")
    done = ran(tmp_path, *COMMANDS["pytest"], **ON_GITHUB, GITHUB_STEP_SUMMARY=summary)
    problem, error, _ = annotated(done)
    assert problem.startswith("::warning title=membudget::The memory summary could not be written:")
    assert error.startswith("::error ")


def test_a_table_of_all_tests(command: tuple[str, ...], tmp_path: Path) -> None:
    done = ran(tmp_path, *command, "--memray-table", "--most-allocations=1")
    lines = (done.stdout + done.stderr).splitlines()
    start = lines.index("    peak     limit  used     total  allocs  left  test") + 1
    rows = [line.split() for line in lines[start : start + 3]]
    assert [row[:3] for row in rows] == [
        ["195.3KiB", "100.0KiB", "195%"],
        ["98.6KiB", "100.0KiB", "99%"],
        ["48.8KiB", "-", "-"],
    ]
    assert [row[6].rpartition("test_")[2] for row in rows] == ["over", "near", "free"]


def test_errors_are_not_annotated_twice(tmp_path: Path) -> None:
    """pytest-github-actions-annotate-failures writes one for every failure."""
    (tmp_path / "test_it.py").write_text(TESTS)
    plugin = "pytest_github_actions_annotate_failures"
    (tmp_path / f"{plugin}.py").write_text("")
    plugins = f"-p membudget -p {plugin}"
    done = ran(tmp_path, *COMMANDS["pytest"], **ON_GITHUB, PYTEST_ADDOPTS=plugins, PYTHONPATH=".")
    (warning,) = annotated(done)
    assert warning.startswith("::warning ")
