"""The log of a run: lines that survive, and how they are read."""

from __future__ import annotations

from pathlib import Path

from membudget.report.left_behind_text import ended_processes_lines
from membudget.results.run_log import LogEntry, RunLog, read_log, unfinished
from membudget.testing import make_measurement


def entry(event: str, name: str, pid: int = 1, **others: int) -> LogEntry:
    return LogEntry(event=event, name=name, worker="", pid=pid, time=0.0, **others)  # type: ignore[arg-type]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """By any process of the run, in the order in which it was written."""
    path = str(tmp_path / "log.jsonl")
    log = RunLog(path)
    log.begin()
    log.start("a")
    RunLog(path, "gw1").start("b")
    log.end("a", make_measurement(100))
    read = log.entries()
    assert [(one.event, one.name, one.worker) for one in read] == [
        ("run", "", ""),
        ("start", "a", ""),
        ("start", "b", "gw1"),
        ("end", "a", ""),
    ]
    assert (read[3].peak_bytes, read[3].retained_bytes) == (100, 100)
    assert [one.name for one in unfinished(read)] == ["b"]


def test_a_new_run_replaces_the_log(tmp_path: Path) -> None:
    log = RunLog(str(tmp_path / "log.jsonl"))
    for _ in range(2):
        log.begin()
        log.start("a")
    assert [one.event for one in log.entries()] == ["run", "start"]


def test_half_a_line_and_later_versions_are_left_out() -> None:
    """A killed process may leave half a line; what is whole is still told."""
    text = (
        '{"format": 1, "event": "start", "name": "a", "worker": "", "pid": 1, "time": 0, "x": 3}\n'
        '{"format": 2, "event": "start"}\n[]\n{"format": 1, "event": "start"}\n{"format": 1, "eve'
    )
    assert [one.name for one in read_log(text)] == ["a"]


def test_a_log_that_was_closed_is_known_when_its_file_is_gone(tmp_path: Path) -> None:
    log = RunLog(str(tmp_path / "log.jsonl"))
    log.start("a")
    log.close()
    (tmp_path / "log.jsonl").unlink()
    assert [one.name for one in log.entries()] == ["a"]
    assert RunLog(str(tmp_path / "other.jsonl")).entries() == []


def test_a_process_that_ended_in_a_test_is_named() -> None:
    """Not this one, which writes the report while a test of it may run."""
    log = [
        entry("start", "mine", pid=7),
        entry("start", "kept", pid=2),
        entry("end", "kept", pid=2, retained_bytes=5 * 2**20, most_resident_bytes=2**28),
        entry("start", "small", pid=3),
        entry("end", "small", pid=3, retained_bytes=5),
        entry("start", "dies", pid=2, resident_bytes=2**27, most_resident_bytes=2**29),
    ]
    assert [line.text for line in ended_processes_lines(log, own_pid=7)] == [
        "Process 2 ended while it ran dies; it had 128.0MiB in memory when the test began",
        "  Left behind: kept 5.0MiB. The process had 512.0MiB in memory at most",
    ]
