"""The run file names the captures that are there, whatever a test has replaced."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from membudget.budget import Budget
from membudget.runs import Run, Settings
from membudget.testing import make_measurement, make_result
from membudget.verdict import Verdict


@pytest.mark.parametrize("answer", [True, False])
def test_a_replaced_function_does_not_decide_which_captures_are_there(
    answer: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, removed = str(tmp_path / "kept.bin"), str(tmp_path / "removed.bin")
    Path(kept).touch()
    run = Run(Settings(), "pytest", root=str(tmp_path))
    for path in (kept, removed):
        result = make_result(path, make_measurement(5))
        run.add_result(replace(result, verdict=Verdict(Budget(), capture=path)))
    with monkeypatch.context() as patched:
        patched.setattr(os.path, "exists", lambda path: answer)
        file = run.file()
    assert [one.verdict.capture for one in file.results] == [kept, ""]
