"""``membudget fix`` writes the limits that run files suggest into the source of the tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import run_python_in
from membudget.__main__ import main
from membudget.results import Environment, RunFile, read_run, write_run

SUITE = {
    "test_pytest.py": """\
import pytest

@pytest.mark.limit_memory("100 KB")
def test_over(): held = bytearray(5_000_000)

@pytest.mark.limit_memory("900 MB")
def test_wide(): held = bytearray(5_000_000)

def test_new(): held = bytearray(5_000_000)

@pytest.mark.parametrize("n_bytes", [1_000_000, 5_000_000])
def test_some(n_bytes): held = bytearray(n_bytes)
""",
    "test_case.py": """\
import unittest
from membudget import limit_memory

class Case(unittest.TestCase):
    @limit_memory("900 MB")
    def test_wide(self): held = bytearray(5_000_000)
    def test_new(self): held = bytearray(5_000_000)
""",
}
FIXED = {
    "test_pytest.py": SUITE["test_pytest.py"]
    .replace('"100 KB"', '"6.8 MB"')
    .replace('"900 MB"', '"6.8 MB"')
    .replace("def test_new", '@pytest.mark.limit_memory("6.8 MB")\ndef test_new')
    .replace("@pytest.mark.param", '@pytest.mark.limit_memory("6.8 MB")\n@pytest.mark.param'),
    "test_case.py": SUITE["test_case.py"]
    .replace('"900 MB"', '"6.8 MB"')
    .replace("    def test_new", '    @limit_memory("6.8 MB")\n    def test_new'),
}
PYTEST = ("pytest", "-p", "no:cacheprovider", "--memray", "test_pytest.py")
UNITTEST = ("unittest_membudget", "test_case")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in SUITE.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def measured(project: Path, *arguments: str, run: str = "run.json") -> None:
    plugins = {"PYTEST_ADDOPTS": "-p membudget -p xdist"}
    done = run_python_in(project, "-m", *arguments, f"--memray-json={run}", environment=plugins)
    assert (project / run).exists(), done.stdout + done.stderr


def fixed(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    capsys.readouterr()
    assert main(["fix", *arguments]) == status
    return "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("file", "arguments"),
    [
        ("test_pytest.py", PYTEST),
        ("test_pytest.py", (*PYTEST, "-n", "2")),
        ("test_case.py", UNITTEST),
    ],
    ids=["pytest", "pytest-xdist", "unittest"],
)
def test_limits_are_written_after_the_run(
    project: Path, capsys: pytest.CaptureFixture[str], file: str, arguments: tuple[str, ...]
) -> None:
    measured(project, *arguments)
    shown = fixed(capsys, "--dry-run", "run.json")
    assert f"+++ b/{file}" in shown
    assert "Nothing was written: this only shows the changes (--dry-run)" in shown
    assert (project / file).read_text() == SUITE[file]
    assert "Wrote " in fixed(capsys, "run.json")
    assert (project / file).read_text() == FIXED[file]
    assert f"{file} has changed since the tests were imported" in fixed(capsys, "run.json")
    assert (project / file).read_text() == FIXED[file]


def test_in_another_checkout(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a run file from a CI server is used: nothing in it names the directory of the run."""
    measured(project, *PYTEST)
    sources = json.loads((project / "run.json").read_text())["sources"]
    assert str(tmp_path) not in json.dumps(sources)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(project / "test_pytest.py", other)
    (other / "conftest.py").write_text("raise LookupError('it is not imported')")
    assert "Wrote 4 limits into 1 file, 2 of them new" in fixed(capsys, "--root=other", "run.json")
    assert (other / "test_pytest.py").read_text() == FIXED["test_pytest.py"]
    assert (project / "test_pytest.py").read_text() == SUITE["test_pytest.py"]


def test_tests_that_no_run_measured_share_their_limit(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run has one parameter, one the other: only both together know what the test needs."""
    for part in ("1000000", "5000000"):
        measured(project, *PYTEST, "-k", part, run=f"{part}.json")
    said = fixed(capsys, "1000000.json")
    assert "not all tests with this limit were measured" in said
    assert "Wrote 1 limit into 1 file" in fixed(
        capsys, "--mode=add", "1000000.json", "5000000.json"
    )
    assert (
        '@pytest.mark.limit_memory("6.8 MB")\n@pytest.mark.param'
        in (project / "test_pytest.py").read_text()
    )


def test_merged_runs_can_be_fixed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("over or wide", "new or some"):
        measured(project, *PYTEST, "-k", part, run=f"{part}.json")
    assert main(["merge", "over or wide.json", "new or some.json", "-o", "run.json"]) == 0
    assert "Wrote 4 limits" in fixed(capsys, "run.json")
    assert (project / "test_pytest.py").read_text() == FIXED["test_pytest.py"]


def test_bad_input(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run("old.json", RunFile(Environment(), ()))
    assert "a run does not say where its tests are written" in fixed(capsys, "old.json", status=2)
    assert "No such file" in fixed(capsys, "none.json", status=2)
    measured(project, *PYTEST)
    assert "'none' is not a directory" in fixed(capsys, "--root=none", "run.json", status=2)


def test_nothing_is_written_in_ci_unless_it_is_asked_for(project: Path) -> None:
    measured(project, *PYTEST)
    command = ("-m", "membudget", "fix", "run.json")
    refused = run_python_in(project, *command, environment={"CI": "true"})
    assert "(for membudget fix: --in-ci)" in refused.stdout
    assert (project / "test_pytest.py").read_text() == SUITE["test_pytest.py"]
    written = run_python_in(project, *command, "--in-ci", environment={"CI": "true"})
    assert "Wrote 4 limits" in written.stdout


def test_an_interrupted_run_is_not_written(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = project / "test_pytest.py"
    test.write_text(test.read_text() + "\ndef test_stops(): raise KeyboardInterrupt\n")
    measured(project, *PYTEST)
    run = read_run("run.json")
    assert run.sources is not None
    assert run.sources.ended_early
    assert "Nothing was written: the run ended early" in fixed(capsys, "run.json")
