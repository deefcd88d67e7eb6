"""Whether a recording goes on while nothing needs it.

Between the blocks of a run (a run of tests, say) the recording can go on, which spares starting
and stopping memray's tracker for each block; but what the program allocates meanwhile is then
written, and read, for nothing. So what a gap costs is held against what a restart costs: when a gap
was dearer, the recording stops after the next block, after the next two when that happens again,
and so on.
"""

from __future__ import annotations

from typing import Final

SECONDS_PER_BYTE: Final = 5e-8
"""What a byte of capture costs: memray writes it, the scanner reads it. Measured; see
docs/performance.md."""

_MOST_SKIPPED: Final = 64


class Lingering:
    """Decides after each block of a run whether the recording goes on.

    Attributes:
        restart_seconds: what a start and a stop of the tracker took last.
    """

    def __init__(self) -> None:
        self.restart_seconds = 0.0
        self._n_to_skip = 0
        self._n_next = 1

    def saw_gap(self, n_bytes: int) -> None:
        """Learn how much of the capture a gap between two blocks took."""
        if n_bytes * SECONDS_PER_BYTE <= self.restart_seconds:
            self._n_next = 1
            return
        self._n_to_skip = self._n_next
        self._n_next = min(2 * self._n_next, _MOST_SKIPPED)

    def goes_on(self) -> bool:
        """Whether to go on recording after this block."""
        if self._n_to_skip:
            self._n_to_skip -= 1
            return False
        return True
