"""Decides whether a recording continues between the blocks of a run.

If it continues, memray's tracker need not be started and stopped for each block. But allocations
between the blocks are then written and read in vain. So the cost of a gap is compared with the cost
of a restart. If a gap cost more, the recording stops after the next block; if that happens again,
after each of the next two blocks, then four, and so on.
"""

from __future__ import annotations

from typing import Final

SECONDS_PER_BYTE: Final = 5e-8
"""The cost of a byte of capture, which memray writes and the scanner reads. Measured, see
docs/performance.md."""

_MOST_SKIPPED: Final = 64


class RestartPolicy:
    """Decides after each block of a run whether the recording continues.

    Attributes:
        restart_seconds: how long the last start and stop of the tracker took.
    """

    def __init__(self) -> None:
        self.restart_seconds = 0.0
        self._n_to_skip = 0
        self._n_next = 1

    def add_gap(self, n_bytes: int) -> None:
        """Record how many bytes of the capture a gap between two blocks took."""
        if n_bytes * SECONDS_PER_BYTE <= self.restart_seconds:
            self._n_next = 1
            return
        self._n_to_skip = self._n_next
        self._n_next = min(2 * self._n_next, _MOST_SKIPPED)

    def continues(self) -> bool:
        """Whether to continue recording after this block."""
        if self._n_to_skip:
            self._n_to_skip -= 1
            return False
        return True
