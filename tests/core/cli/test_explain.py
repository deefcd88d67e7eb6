"""``membudget explain`` shows what a run file has of a test."""

from __future__ import annotations

from pathlib import Path

import pytest
from membudget.__main__ import main
from membudget.results import Environment, RunFile, write_run
from membudget.testing import make_measurement, make_result


@pytest.fixture
def run(tmp_path: Path) -> str:
    names = ("test_a", "test_a[1]", "test_b")
    results = tuple(make_result(name, make_measurement(5), 9) for name in names)
    return write_run(str(tmp_path / "run.json"), RunFile(Environment(), results))


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["explain", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_whole_name_is_one_test(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = explained(capsys, run, "test_a")
    assert (lines[0], lines.count("")) == ("test_a", 0)
    assert lines[2].split()[:3] == ["peak", "5.0B", "9.0B"]
    assert lines[-2:] == ["Alive at the peak:", "\t- load:app.py:7 -> 5.0B"]


def test_a_part_of_a_name_can_be_several(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = explained(capsys, run, "st_a")
    second = lines.index("") + 1
    assert (lines[0], lines[second], lines.count("")) == ("test_a", "test_a[1]", 1)


def test_no_test_has_that_name(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", run, "test_c"]) == 2
    assert capsys.readouterr().err == (
        f"membudget: {run}: none of the 3 tests has 'test_c' in its name\n"
    )
