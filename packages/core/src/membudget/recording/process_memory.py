"""The memory of this process as the system reports it: resident, and not shared with files.

Pages that were never touched or were given back are not resident, so this is less exact than
memray. But it includes memory that memray does not see.

A part of it is membudget's own: the scanner's tables, which grow while a thread scans the capture
of a running block.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from ..host.raised import raised_by_us, suppressed
from ..host.system import Real
from .readers.scanner import reader_bytes
from .temp_files import OwnFile, open_to_read, read_beginning

_PATH: Final = "/proc/self/statm"
_N_BYTES: Final = 128
_HAS_STATM: Final = os.path.exists(_PATH)
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if _HAS_STATM else 0


class ProcessMemory(NamedTuple):
    """The memory of this process.

    Attributes:
        resident_bytes: its pages that are in memory.
        shared_bytes: the part of them that belongs to files.
        most_bytes: the most that was ever in memory.
        reader_bytes: the part of them that scanners have taken for what they read; pages of it that
            were never touched are included.
    """

    resident_bytes: int
    shared_bytes: int
    most_bytes: int
    reader_bytes: int = 0

    def growth_until(self, later: ProcessMemory) -> int:
        """Return a lower bound for the growth, at its largest, of memory that belongs to no file.

        Memory of scanners is not included.

        The largest size in between is known only if the process had never been so large before.
        """
        shared = later.shared_bytes - self.shared_bytes
        grown = later.resident_bytes - self.resident_bytes - shared
        if later.most_bytes > self.most_bytes:
            grown = max(grown, later.most_bytes - self.resident_bytes - max(shared, 0))
        # A table that grows exists twice for a moment, the second time with half its size.
        of_readers = max(later.reader_bytes * 3 // 2 - self.reader_bytes, 0)
        return max(grown - of_readers, 0)


class _StatusFile:
    """The file in which the system reports the memory of this process."""

    def __init__(self) -> None:
        self._kept: OwnFile | None = None

    def keep_open(self) -> None:
        """Keep the file open from now on: to open it takes most of the time of reading it."""
        self.close()
        with suppressed(OSError):  # another system, or too many open files
            self._kept = open_to_read(_PATH)

    def close(self) -> None:
        """End :meth:`keep_open`, also in a forked child: the file is about its parent."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def read(self) -> bytes:
        """Return its content.

        Raises:
            OSError: it cannot be read.
        """
        if self._kept is not None:
            with suppressed(OSError):  # the program has closed it
                content: bytes = Real.pread(self._kept.fileno(), _N_BYTES, 0)
                return content
        return read_beginning(_PATH, _N_BYTES)


status_file: Final = _StatusFile()


def process_memory() -> ProcessMemory | None:
    """Return the memory of this process; None if the system does not report it (macOS, Windows)."""
    if not _HAS_STATM:
        return None
    try:
        fields = status_file.read().split()
    except OSError as error:
        if not raised_by_us(error):
            raise
        return None  # there are too many open files
    resident, shared = int(fields[1]) * _PAGE_BYTES, int(fields[2]) * _PAGE_BYTES
    return ProcessMemory(resident, shared, _most_bytes(), reader_bytes())


def most_memory() -> ProcessMemory | None:
    """Return the largest size of this process so far as its present memory, without files.

    It takes a tenth of the time of :func:`process_memory`. Growth from this value is never
    overestimated, because all memory of files and of scanners is subtracted from it.
    """
    if not _HAS_STATM:
        return None
    most = _most_bytes()
    return ProcessMemory(most, 0, most)


def _most_bytes() -> int:
    return int(Real.usage(Real.of_this_process).ru_maxrss) * 1024
