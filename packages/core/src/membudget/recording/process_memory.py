"""How much memory the system says that this process has: resident, and its own.

A page that was never touched is not resident, and one that was given back is not either, so this
tells less than memray does. It does see what memray cannot.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from ..host.raised import raised_by_us
from ..host.system import Real
from .temp_files import open_to_read

_PATH: Final = "/proc/self/statm"
_IS_TOLD: Final = os.path.exists(_PATH)
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if _IS_TOLD else 0


class ProcessMemory(NamedTuple):
    """The memory of this process.

    Attributes:
        resident_bytes: its pages that are in memory.
        shared_bytes: those of them that belong to files.
        most_bytes: the most that were ever in memory.
    """

    resident_bytes: int
    shared_bytes: int
    most_bytes: int

    def growth_until(self, later: ProcessMemory) -> int:
        """Return by how much memory that belongs to no file grew at least, at its most, until then.

        The most is only known where it had never been as much before.
        """
        shared = later.shared_bytes - self.shared_bytes
        grown = later.resident_bytes - self.resident_bytes - shared
        if later.most_bytes > self.most_bytes:
            grown = max(grown, later.most_bytes - self.resident_bytes - max(shared, 0))
        return max(grown, 0)


def process_memory() -> ProcessMemory | None:
    """Return the memory of this process; None where the system does not say (macOS, Windows)."""
    if not _IS_TOLD:
        return None
    try:
        with open_to_read(_PATH) as file:
            fields = file.read(128).split()
    except OSError as error:
        if not raised_by_us(error):
            raise
        return None  # no file may be opened any more
    resident, shared = int(fields[1]) * _PAGE_BYTES, int(fields[2]) * _PAGE_BYTES
    return ProcessMemory(resident, shared, _most_bytes())


def most_memory() -> ProcessMemory | None:
    """Return the most memory that this process ever had, as if it had all of it, and no files.

    Takes a tenth of the time of :func:`process_memory`, and growth from there is never too large:
    what belongs to files is taken off all of it.
    """
    if not _IS_TOLD:
        return None
    most = _most_bytes()
    return ProcessMemory(most, 0, most)


def _most_bytes() -> int:
    return int(Real.usage(Real.of_this_process).ru_maxrss) * 1024
