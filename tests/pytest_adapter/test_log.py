"""The log of a run, and what the report says of a worker that died."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from running import Pytest

DIES = """
import os, signal
kept = []
def test_keeps():
    kept.append(bytearray(3 * 1024 * 1024))
def test_dies():
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def runner(tmp_path: Path) -> Pytest:
    return Pytest(tmp_path)


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_log_survives_a_kill(runner: Pytest) -> None:
    """The last line names the test that ran when the process was killed."""
    runner.write(test_it=DIES)
    ran = runner.run("--memray", "--memray-log=log.jsonl")
    assert ran.returncode == -9
    lines = lines_of(runner.directory / "log.jsonl")
    assert [(line["event"], line["name"]) for line in lines] == [
        ("run", ""),
        ("start", "test_it.py::test_keeps"),
        ("end", "test_it.py::test_keeps"),
        ("start", "test_it.py::test_dies"),
    ]
    assert lines[2]["retained_bytes"] >= 3 * 1024 * 1024
    assert lines[3]["peak_bytes"] is None


@pytest.mark.parametrize("log", [(), ("--memray-log=log.jsonl",)])
def test_the_report_names_the_test_of_a_dead_worker(runner: Pytest, log: tuple[str, ...]) -> None:
    """With what the worker had in memory, and what its tests left there."""
    runner.write(test_it=DIES)
    ran = runner.run("--memray", "-n1", "--max-worker-restart=0", *log)
    assert "Worker gw0 ended while it ran test_it.py::test_dies; it had " in ran.stdout
    assert "  Left behind: test_it.py::test_keeps 3.0MiB. The process had " in ran.stdout
    if log:
        assert {line["worker"] for line in lines_of(runner.directory / "log.jsonl")} == {"", "gw0"}


def test_a_log_that_cannot_be_written_stops_nothing(runner: Pytest) -> None:
    """A full disk ends the log, and the report says so; the tests pass."""
    runner.write(test_it="def test_one(): pass\ndef test_two(): pass\n")
    ran = runner.run("--memray", "--memray-log=/dev/full", "-W", "error")
    ran.counts(passed=2)
    assert "The log ends early: /dev/full: [Errno 28] No space left on device" in ran.stdout


def test_tests_that_are_not_measured_are_in_the_log(runner: Pytest) -> None:
    runner.write(
        test_it="import pytest\n@pytest.mark.skip\ndef test_skipped(): pass\n"
        "@pytest.mark.no_memray\ndef test_kept_out(): pass\n"
    )
    runner.run("--memray", "--memray-log=log.jsonl")
    ends = [line for line in lines_of(runner.directory / "log.jsonl") if line["event"] == "end"]
    assert [(line["name"], line["peak_bytes"]) for line in ends] == [
        ("test_it.py::test_skipped", None),
        ("test_it.py::test_kept_out", None),
    ]


def test_a_rerun_is_in_the_log_once_for_each_run(runner: Pytest) -> None:
    """Each time with its own figures."""
    runner.plugins.append("rerunfailures")
    runner.write(
        test_it="runs = []\ndef test_it():\n    runs.append(1)\n"
        "    data = bytearray(3_000_000 * len(runs))\n    assert len(runs) == 2\n"
    )
    runner.run("--memray", "--memray-log=log.jsonl", "--reruns=1")
    lines = lines_of(runner.directory / "log.jsonl")
    assert [line["event"] for line in lines] == ["run", "start", "end"]
    assert lines[-1]["peak_bytes"] >= 6_000_000
