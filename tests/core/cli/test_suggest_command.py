"""``membudget suggest`` lists limits for the tests of run files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from membudget import Result
from membudget.__main__ import main
from membudget.results import Environment, RunFile, write_run
from membudget.testing import make_measurement, make_result

MB = 1 << 20


def suggested(tmp_path: Path, capsys: pytest.CaptureFixture[str], *runs: list[Result]) -> list[str]:
    paths = [
        write_run(str(tmp_path / f"{number}.json"), RunFile(Environment(), tuple(results)))
        for number, results in enumerate(runs)
    ]
    assert main(["suggest", *paths]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_table_is_that_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    over = make_result("test_over", make_measurement(9 * MB), 8 * MB)
    results = [replace(over, outcome="failed"), make_result("test_new", make_measurement(5))]
    assert suggested(tmp_path, capsys, results) == [
        "test         used  limit now  suggested  why",
        "test_over  9.0MiB     8.0MiB      12 MB  over its limit; used + 20% + 1 MB",
        "test_new     5.0B          -     1.1 MB  no limit yet; used + 20% + 1 MB",
    ]


def test_the_largest_figure_of_several_runs_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [[make_result("t", make_measurement(size * MB))] for size in (1, 3, 2)]
    _, row = suggested(tmp_path, capsys, *runs)
    assert row.split()[1] == "3.0MiB"
    assert row.endswith("largest of 3 runs")


def test_a_test_that_did_not_end_may_need_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = [
        replace(make_result("test_broken", make_measurement(5)), outcome="error"),
        replace(make_result("test_skipped", make_measurement(5)), outcome="skipped"),
    ]
    _, row = suggested(tmp_path, capsys, results)
    assert row.startswith("test_broken ")
    assert row.endswith("but it failed, so it may need more")
