"""``membudget report`` writes run files in other forms."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import RunPython
from membudget.__main__ import main
from membudget.report.formats import FORMATS
from membudget.results import Environment, RunFile, write_run
from membudget.testing import make_measurement, make_result


def written(path: Path, environment: Environment | None = None, /, **peaks: int) -> str:
    results = (make_result(name, make_measurement(size), 5) for name, size in peaks.items())
    return write_run(str(path), RunFile(environment or Environment(), tuple(results)))


@pytest.fixture
def run(tmp_path: Path) -> str:
    return written(tmp_path / "run.json", test_a=9, test_b=3)


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_goes_to_standard_output_or_to_a_file(
    form: str, run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same text, and a line that says what was written."""
    assert main(["report", run, "--format", form]) == 0
    shown = capsys.readouterr().out
    assert "test_a" in shown
    output = tmp_path / "out"
    output.write_text("what an earlier report said, and more of it " * 1000)
    assert main(["report", run, "--format", form, "-o", str(output)]) == 0
    assert output.read_text() == shown
    assert capsys.readouterr().out == f"{output}: 1 of 2 tests is over its memory limit\n"


def test_text_is_the_default(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", run]) == 0
    assert capsys.readouterr().out.startswith("1 of 2 tests is over its memory limit\n\n")


def test_several_runs_are_merged(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As ``membudget merge`` does: runs that cannot be compared need ``--force``."""
    other = written(tmp_path / "other.json", test_b=7, test_c=1)
    assert main(["report", run, other, "--format=bencher"]) == 0
    merged = json.loads(capsys.readouterr().out)
    assert {name: one["peak-bytes"]["value"] for name, one in merged.items()} == {
        "test_a": 9,
        "test_b": 7,
        "test_c": 1,
    }
    paths = [
        written(tmp_path / f"{version}.json", Environment(python=version), test_a=1)
        for version in ("3.12.1", "3.13.1")
    ]
    assert main(["report", *paths]) == 2
    assert "these runs differ in Python (3.12, 3.13)" in capsys.readouterr().err
    assert main(["report", *paths, "--force"]) == 0


def test_an_earlier_run_shows_what_changed(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = written(tmp_path / "old.json", test_a=4, test_b=3)
    assert main(["report", run, "--baseline", old, "--tolerance=0"]) == 0
    assert "; 1 grew\n" in capsys.readouterr().out
    assert main(["report", run, "--baseline", old]) == 0
    assert "; no figure changed\n" in capsys.readouterr().out


def test_files_that_cannot_be_read_or_written(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    for arguments, problem in [
        ([str(tmp_path / "missing.json")], "No such file or directory"),
        ([str(broken)], f"{broken}: this is not a run file: it has no 'format'"),
        ([run, "--baseline", str(broken)], f"{broken}: this is not a run file"),
        ([run, "--tolerance=much"], "--tolerance: 'much' is not a tolerance"),
        ([run, "-o", str(tmp_path / "nowhere/out")], "No such file or directory"),
    ]:
        assert main(["report", *arguments]) == 2
        assert problem in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["report", run, "--format=pdf"])
    assert ended.value.code == 2


def test_names_that_standard_output_cannot_show_are_escaped(
    tmp_path: Path, run_python: RunPython
) -> None:
    path = written(tmp_path / "run.json", **{"test_\U0001f600": 9})
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    done = run_python("-m", "membudget", "report", path, environment=ascii_only)
    assert done.returncode == 0, done.stderr
    assert "test_\\U0001f600  OVER" in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error(run: str) -> None:
    """As ``membudget report run.json | head``."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "membudget", "report", run],
            stdout=writing,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
