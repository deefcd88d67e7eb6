"""Lines about tests that retained memory, and about tests during which a process ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ..results.run_log import LogEntry, most_resident_bytes, unfinished
from ..sizes import format_size
from .printable import printable
from .run_text import Line, named

WORTH_A_LINE_BYTES: Final = 1024 * 1024
"""The memory that a test must retain to be named: as much as one arena of Python."""


def left_behind_line(left: Iterable[tuple[str, int]], most_bytes: int | None) -> str:
    """Return a line with the tests that retained most memory; empty if none retained much.

    Args:
        left: names of tests, and the bytes that each retained.
        most_bytes: the most memory that the process had; None if unknown.

    Example:
        >>> left_behind_line([("test_a", 2**20), ("test_b", 3 * 2**20), ("test_c", 5)], 2**27)
        'Left behind: test_b 3.0MiB, test_a 1.0MiB. The process had 128.0MiB in memory at most'
    """
    much = [one for one in left if one[1] >= WORTH_A_LINE_BYTES]
    if not much:
        return ""
    much.sort(key=lambda one: (-one[1], one[0]))
    names = [f"{printable(name)} {format_size(size)}" for name, size in much]
    text = f"Left behind: {named(names)}"
    if most_bytes is None:
        return text
    return f"{text}. The process had {format_size(most_bytes)} in memory at most"


def ended_processes_lines(log: Iterable[LogEntry], *, own_pid: int) -> Iterator[Line]:
    """Yield a line for each test during which a process ended: it crashed, or was killed.

    Args:
        log: the log of a run whose other processes have ended.
        own_pid: the process ID of this process, which is still running.
    """
    entries = list(log)
    for entry in unfinished(entries):
        if entry.pid == own_pid:
            continue
        what = f"Worker {entry.worker}" if entry.worker else f"Process {entry.pid}"
        text = f"{what} ended while it ran {printable(entry.name)}"
        if entry.resident_bytes is not None:
            text += f"; it had {format_size(entry.resident_bytes)} in memory when the test began"
        yield Line(text, "over")
        of_it = [one for one in entries if one.pid == entry.pid]
        left = [(one.name, one.retained_bytes or 0) for one in of_it if one.event == "end"]
        line = left_behind_line(left, most_resident_bytes(of_it))
        if line:
            yield Line(f"  {line}", "over")
