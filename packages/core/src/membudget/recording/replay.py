"""The replay: figures read by Python code, with memray's public ``FileReader``.

Where the scanner cannot be used, and what it is tested against. memray's reader must never run in a
process whose tracker is active: its own work would be recorded as well, and the capture would grow
while it is read.
"""

from __future__ import annotations

import contextlib

from ..errors import CaptureError
from .accounting import Account, BlockMarks, account, alive_at, locate
from .marks import Alphabet, find_marks
from .query import BlockQuery


class Replay:
    """Reads one block of a capture that is written no more.

    Args:
        path: the capture.
        alphabet: how its marks are spelled.
        query: the block.
    """

    def __init__(self, path: str, alphabet: Alphabet, query: BlockQuery) -> None:
        self._path = path
        self._alphabet = alphabet
        self._serial = query.serial
        self._thread_only = query.budget.current_thread_only
        self._block: BlockMarks | None = None

    def account(self) -> Account | None:
        """Return the figures of the block; None when its marks are not all there."""
        import memray

        with contextlib.closing(memray.FileReader(self._path)) as reader:
            records = reader.get_allocation_records()
            self._block = locate(find_marks(records, self._alphabet), self._serial)
            if self._block is None:
                return None
            records = reader.get_allocation_records()
            return account(records, self._block, current_thread_only=self._thread_only)

    def alive_at(self, index: int) -> list[tuple[int, int]]:
        """Return what was alive after record ``index``; see :func:`accounting.alive_at`."""
        import memray

        if self._block is None:
            raise CaptureError("the capture of this block is incomplete")
        with contextlib.closing(memray.FileReader(self._path)) as reader:
            return alive_at(
                reader.get_allocation_records(),
                self._block,
                current_thread_only=self._thread_only,
                index=index,
            )

    def close(self) -> None:
        """Nothing is held open between two readings."""
