"""``membudget merge`` writes several runs as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from membudget.__main__ import main
from membudget.results import Environment, RunFile, read_run, write_run
from membudget.testing import make_measurement, make_result


def written(path: Path, environment: Environment, **peaks: int) -> str:
    results = (make_result(name, make_measurement(size)) for name, size in peaks.items())
    return write_run(str(path), RunFile(environment, tuple(results)))


def test_shards_become_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And an older file of that name is replaced, as the user asked for it."""
    shards = [
        written(tmp_path / "1.json", Environment(python="3.13.1"), a=1, b=2),
        written(tmp_path / "2.json", Environment(python="3.13.1"), b=3),
    ]
    output = written(tmp_path / "all.json", Environment(), old=1)
    assert main(["merge", *shards, "-o", output]) == 0
    assert capsys.readouterr().out == f"{output}: 2 tests of 2 runs\n"
    merged = read_run(output)
    assert [one.measurement.peak_bytes for one in merged.results] == [1, 3]
    assert merged.environment.python == "3.13.1"


def test_runs_of_different_kinds_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = [
        written(tmp_path / f"{version}.json", Environment(python=version), a=1)
        for version in ("3.12.1", "3.13.1")
    ]
    output = str(tmp_path / "all.json")
    assert main(["merge", *shards, "-o", output]) == 2
    assert capsys.readouterr().err == (
        "membudget: these runs differ in Python (3.12, 3.13), so that their figures cannot be "
        "compared; --force merges them anyway\n"
    )
    assert not Path(output).exists()
    assert main(["merge", *shards, "-o", output, "--force"]) == 0
    assert len(read_run(output).results) == 1


def test_files_that_cannot_be_read_or_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = written(tmp_path / "run.json", Environment())
    missing, broken = str(tmp_path / "missing.json"), tmp_path / "broken.json"
    broken.write_text("{}")
    for arguments, problem in [
        ([missing, "-o", run], f"No such file or directory: '{missing}'"),
        ([str(broken), "-o", run], f"{broken}: this is not a run file: it has no 'format'"),
        ([run, "-o", str(tmp_path / "nowhere/run.json")], "No such file or directory"),
    ]:
        assert main(["merge", *arguments]) == 2
        assert problem in capsys.readouterr().err
