"""The replay: figures read by Python code, with memray's public ``FileReader``.

It is used if the scanner cannot be, and tests compare the scanner with it. memray's reader must
never run in a process whose tracker is active: its own allocations would be recorded, and the
capture would grow while it is read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import compress
from typing import TYPE_CHECKING

from ...errors import CaptureError
from ..capture import import_memray
from ..marks import Alphabet, find_marks
from ..request import BlockRequest, CountsStacks
from .accounting import Account, BlockMarks, account, alive_at, locate
from .found_stacks import stacks_inside
from .lost_stacks import read_stacks

if TYPE_CHECKING:
    from memray import AllocationRecord


class Replay:
    """Reads one block of a complete capture.

    Args:
        path: the capture.
        alphabet: encodes its marks.
        request: the block.

    Attributes:
        lost_stacks: whether stacks decide what counts, and memray has lost some of them; known
            after :meth:`account`.
    """

    def __init__(self, path: str, alphabet: Alphabet, request: BlockRequest) -> None:
        self._path = path
        self._alphabet = alphabet
        self._request = request
        self._block: BlockMarks | None = None
        self._stack_ids: frozenset[int] | None = None
        self.lost_stacks = False

    def account(self) -> Account | None:
        """Return the figures of the block; None if some of its marks are missing.

        Raises:
            FilterError: the filter of stacks raised an exception.
        """
        with self._records() as records:
            self._block = locate(find_marks(records, self._alphabet), self._request.serial)
        if self._block is None:
            return None
        if self._request.stack_filter is not None:
            self._stack_ids = self._counting_stacks(self._block, self._request.stack_filter)
        with self._records() as records:
            return account(
                records,
                self._block,
                current_thread_only=self._request.thread_only,
                stack_ids=self._stack_ids,
            )

    def _counting_stacks(self, block: BlockMarks, counts: CountsStacks) -> frozenset[int]:
        """Return memray's numbers of the stacks that count in a block."""
        start, end = block.start.first, block.end.first
        with self._records() as records:
            found = read_stacks(records, start, end, thread_only=self._request.thread_only)
            stacks = list(stacks_inside(self._request, found.mark, found.firsts.values()))
        self.lost_stacks = found.lost
        return frozenset(compress(found.firsts, counts.keeps(stacks)))

    def alive_at(self, index: int) -> list[tuple[int, int]]:
        """Return what was alive after record ``index``; see :func:`accounting.alive_at`."""
        if self._block is None:
            raise CaptureError("the capture of this block is incomplete")
        with self._records() as records:
            return alive_at(
                records,
                self._block,
                current_thread_only=self._request.thread_only,
                index=index,
                stack_ids=self._stack_ids,
            )

    @contextlib.contextmanager
    def _records(self) -> Iterator[Iterator[AllocationRecord]]:
        memray = import_memray()
        with contextlib.closing(memray.FileReader(self._path)) as reader:
            yield iter(reader.get_allocation_records())
