"""The page on CI and the action: as far as they can be tried without a server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REPOSITORY
from membudget.__main__ import COMMANDS
from membudget.report.formats import FORMATS
from membudget.results import Environment, RunFile, write_run
from membudget.settings import OPTIONS
from membudget.testing import make_measurement, make_result

PAGE = (REPOSITORY / "docs/ci.md").read_text()
ACTION: dict[str, Any] = yaml.safe_load((REPOSITORY / "action.yml").read_text())


def test_the_files_are_yaml() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 5
    assert all(yaml.safe_load(block) for block in blocks)


def test_commands_and_options_exist() -> None:
    assert set(re.findall(r"membudget (\w+) memory", PAGE)) <= set(COMMANDS)
    assert set(re.findall(r"--format ([\w-]+)", PAGE)) <= set(FORMATS)
    flags = set(re.findall(r"--memray[\w-]*", PAGE))
    assert flags <= {option.flag for option in OPTIONS}
    variables = set(re.findall(r"MEMBUDGET_\w+", PAGE))
    assert variables <= {option.variable for option in OPTIONS}


def test_the_inputs_of_the_action_are_described() -> None:
    for name, each in ACTION["inputs"].items():
        default = f"`{each['default']}`" if each["default"] else "none"
        (row,) = re.findall(rf"^\| `{name}` \| .* \| (.*) \|$", PAGE, re.MULTILINE)
        assert row == default


def ran(directory: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the script of the action as GitHub runs it."""
    (step,) = ACTION["runs"]["steps"]
    values = {name: each["default"] for name, each in ACTION["inputs"].items()} | inputs
    variables = {
        name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: values[found[1]], value)
        for name, value in step["env"].items()
    }
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=directory,
        env={
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(directory / "summary.md"),
            "GITHUB_ACTION_PATH": str(REPOSITORY),
            **variables,
        },
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    for number, size in ((1, 9), (2, 3)):
        results = (make_result(f"test_{number}", make_measurement(size), 5),)
        write_run(str(tmp_path / f"memory-{number}.json"), RunFile(Environment(), results))
    return tmp_path


def test_the_action_makes_one_report_of_all_shards(shards: Path) -> None:
    done = ran(shards)
    assert done.returncode == 0, done.stderr
    headline = "## Memory: 1 of 2 tests is over its memory limit\n"
    assert (shards / "summary.md").read_text().startswith(headline)
    assert (shards / "memory.md").read_text() == (shards / "summary.md").read_text()
    assert "::error title=Memory limit exceeded::test_1 was limited to 5.0B" in done.stdout


def test_the_action_compares_with_an_earlier_run(shards: Path) -> None:
    """The names of files may have blanks in them where only one is named."""
    (shards / "main run.json").write_text((shards / "memory-1.json").read_text())
    done = ran(shards, baseline="main run.json", output="the report.md", runs="memory-1.json")
    assert done.returncode == 0, done.stderr
    report = (shards / "the report.md").read_text()
    assert report.startswith("## Memory: 1 of 1 test is over its memory limit; no figure changed\n")


def test_the_action_fails_without_run_files(tmp_path: Path) -> None:
    done = ran(tmp_path)
    assert done.returncode == 1
    assert "There are no run files" in done.stdout
