"""The log of a run: a line for the start and for the end of each test.

Each line is in the file before the test goes on, so the log survives whatever ends the process:
the last line without an end names the test that ran. JSON, one object a line; docs/log.md describes
it.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from json import JSONDecodeError, dumps, loads
from typing import Final, Literal, TypeAlias

from ..errors import RunFileError
from ..host.system import Real, real_functions
from ..host.whole_files import append, write_whole
from ..measurement import Measurement
from ..plain_data import coder_of
from ..recording.process_memory import process_memory

FORMAT: Final = 1
Event: TypeAlias = Literal["run", "start", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line of a log.

    Attributes:
        event: ``"run"`` for the first line of a log, then ``"start"`` and ``"end"`` of tests.
        name: the name of the test; empty for the run.
        worker: the name of the worker process, such as ``"gw1"``; empty if there are no workers.
        pid: the number of the process.
        time: seconds since the epoch.
        resident_bytes: how much memory the process has; None if unknown.
        most_resident_bytes: the most memory that it ever had; None if unknown.
        peak_bytes, retained_bytes: the figures of the test; None before its end, and for a test
            that was not measured.
    """

    event: Event
    name: str
    worker: str
    pid: int
    time: float
    resident_bytes: int | None = None
    most_resident_bytes: int | None = None
    peak_bytes: int | None = None
    retained_bytes: int | None = None


_ENTRY: Final = coder_of(LogEntry)


class RunLog:
    """Writes a log. Several processes may write to one file: each line is written at once.

    Args:
        path: the path of the file.
        worker: the name of this process, if it is a worker.

    Attributes:
        path: as given.
        problem: why the log ends early; empty if it does not.
    """

    def __init__(self, path: str, worker: str = "") -> None:
        self.path: Final = path
        self.problem = ""
        self._worker = worker
        self._read: list[LogEntry] | None = None  # when it was closed

    def begin(self) -> None:
        """Replace the content of the file with the first line of a new log."""
        self._write("run", "", None, anew=True)

    def start(self, name: str) -> None:
        """Write that a test starts."""
        self._write("start", name, None)

    def end(self, name: str, measurement: Measurement | None) -> None:
        """Write that a test has ended; the measurement is None if it was not measured."""
        self._write("end", name, measurement)

    def close(self) -> None:
        """Read the log for later calls of :meth:`entries`: the file may be removed."""
        self._read = self.entries()

    def entries(self) -> list[LogEntry]:
        """Return the lines of all processes so far; none if the log is a device or a pipe."""
        if self._read is not None:
            return self._read
        try:
            if not stat.S_ISREG(Real.stat(self.path).st_mode):
                return []
            with real_functions(), open(self.path, encoding="utf-8", errors="replace") as file:
                return list(read_log(file.read()))
        except FileNotFoundError:  # nothing was written
            return []
        except OSError as error:
            self.problem = self.problem or str(error)
            return []

    def _write(
        self, event: Event, name: str, measurement: Measurement | None, *, anew: bool = False
    ) -> None:
        memory = process_memory()
        entry = LogEntry(
            event=event,
            name=name,
            worker=self._worker,
            pid=Real.getpid(),
            time=Real.time(),
            resident_bytes=None if memory is None else memory.resident_bytes,
            most_resident_bytes=None if memory is None else memory.most_bytes,
            peak_bytes=None if measurement is None else measurement.peak_bytes,
            retained_bytes=None if measurement is None else measurement.retained_bytes,
        )
        line = dumps({"format": FORMAT, **_ENTRY.to_data(entry)}).encode() + b"\n"
        try:
            if anew:
                write_whole(self.path, line)
            else:
                append(self.path, line)
        except OSError as error:
            self.problem = self.problem or str(error)


def read_log(text: str) -> Iterator[LogEntry]:
    """Read the lines of a log.

    Incomplete lines are skipped: a process was killed while it wrote, or the disk was full. Fields
    and formats of later versions are skipped too.
    """
    for line in text.splitlines():
        with contextlib.suppress(JSONDecodeError, RunFileError):
            data = loads(line)
            if isinstance(data, dict) and data.get("format") == FORMAT:
                yield _ENTRY.from_data(data)


def unfinished(entries: Iterable[LogEntry]) -> list[LogEntry]:
    """Return the starts of tests that did not end, in the order in which they started."""
    running: dict[tuple[int, str], LogEntry] = {}
    for entry in entries:
        if entry.event == "start":
            running[entry.pid, entry.name] = entry
        elif entry.event == "end":
            running.pop((entry.pid, entry.name), None)
    return list(running.values())


def most_resident_bytes(entries: Iterable[LogEntry]) -> int | None:
    """Return the most memory that one of the processes ever had; None if unknown."""
    sizes = [one.most_resident_bytes for one in entries if one.most_resident_bytes is not None]
    return max(sizes, default=None)
