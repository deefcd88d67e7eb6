"""The memory of this process as the system reports it: resident, and not shared with files.

Pages that were never touched or were given back are not resident, so this is less exact than
memray. But it includes memory that memray does not see.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from ..host.raised import raised_by_us
from ..host.system import Real
from .temp_files import read_beginning

_PATH: Final = "/proc/self/statm"
_HAS_STATM: Final = os.path.exists(_PATH)
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if _HAS_STATM else 0


class ProcessMemory(NamedTuple):
    """The memory of this process.

    Attributes:
        resident_bytes: its pages that are in memory.
        shared_bytes: the part of them that belongs to files.
        most_bytes: the most that was ever in memory.
    """

    resident_bytes: int
    shared_bytes: int
    most_bytes: int

    def growth_until(self, later: ProcessMemory) -> int:
        """Return a lower bound for the growth, at its largest, of memory that belongs to no file.

        The largest size in between is known only if the process had never been so large before.
        """
        shared = later.shared_bytes - self.shared_bytes
        grown = later.resident_bytes - self.resident_bytes - shared
        if later.most_bytes > self.most_bytes:
            grown = max(grown, later.most_bytes - self.resident_bytes - max(shared, 0))
        return max(grown, 0)


def process_memory() -> ProcessMemory | None:
    """Return the memory of this process; None if the system does not report it (macOS, Windows)."""
    if not _HAS_STATM:
        return None
    try:
        fields = read_beginning(_PATH, 128).split()
    except OSError as error:
        if not raised_by_us(error):
            raise
        return None  # there are too many open files
    resident, shared = int(fields[1]) * _PAGE_BYTES, int(fields[2]) * _PAGE_BYTES
    return ProcessMemory(resident, shared, _most_bytes())


def most_memory() -> ProcessMemory | None:
    """Return the largest size of this process so far as its present memory, without files.

    It takes a tenth of the time of :func:`process_memory`. Growth from this value is never
    overestimated, because all memory of files is subtracted from it.
    """
    if not _HAS_STATM:
        return None
    most = _most_bytes()
    return ProcessMemory(most, 0, most)


def _most_bytes() -> int:
    return int(Real.usage(Real.of_this_process).ru_maxrss) * 1024
