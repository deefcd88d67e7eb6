"""``membudget check`` names each bad limit with its file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from membudget.__main__ import main

BAD = "import pytest\n@pytest.mark.limit_memory('1 MBanana')\ndef test_it(): ...\n"
GOOD = BAD.replace("MBanana", "MB")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("tests", ".hidden", "lib/site-packages", "env"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "test_it.py").write_text(BAD)
    (tmp_path / "env/pyvenv.cfg").touch()
    (tmp_path / "good.py").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(capsys: pytest.CaptureFixture[str], *paths: str) -> tuple[int, list[str]]:
    status = main(["check", *paths])
    return status, capsys.readouterr().out.splitlines()


def test_a_directory(capsys: pytest.CaptureFixture[str]) -> None:
    """Without hidden directories, installed packages and virtual environments."""
    status, (problem, counts) = checked(capsys)
    assert status == 1
    assert problem.startswith(
        "tests/test_it.py:2: @pytest.mark.limit_memory('1 MBanana'): '1 MBanana' is not a memory"
    )
    assert counts == "Checked 2 limits in 2 files: 1 problem"


def test_files_that_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """pre-commit names the files that have changed."""
    assert checked(capsys, "good.py") == (0, ["Checked 1 limit in 1 file: no problems"])
    assert checked(capsys, "good.py", "env/test_it.py")[0] == 1


def test_what_cannot_be_checked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A check that did not happen is no success."""
    (project / "broken.py").write_text("def\n")
    status, lines = checked(capsys, "broken.py", "tests")
    assert status == 2
    assert len(lines) == 3
    assert lines[1].startswith("broken.py: it cannot be read as Python: ")
    assert main(["check", "nowhere.py"]) == 2
    assert "nowhere.py" in capsys.readouterr().err
