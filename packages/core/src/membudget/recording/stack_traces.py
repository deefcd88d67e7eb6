"""Stack traces as a block sees them: from where it was opened inwards, without our own frames."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..model import Frame
from .query import BlockQuery

if TYPE_CHECKING:
    from memray import AllocationRecord

_ALL_FRAMES = 1 << 30
_OWN_FILES = f"{Path(__file__).parents[1]}{os.sep}"


class StackTraces:
    """Takes from stack traces what leads to a block.

    Args:
        query: the block.
        mark: the first record of its start mark.
    """

    def __init__(self, query: BlockQuery, mark: AllocationRecord) -> None:
        self._outer_files = query.outer_files
        stack = _frames(mark)
        n_own = 0
        while n_own < len(stack) and _is_own(stack[n_own]):
            n_own += 1
        self._outer = stack[n_own if query.stacks_begin_inside else n_own + 1 :]

    @staticmethod
    def is_own(record: AllocationRecord) -> bool:
        """Whether it was code of membudget itself that allocated."""
        innermost = record.stack_trace(1)
        return bool(innermost) and _is_own(Frame(*innermost[0]))

    def of(self, record: AllocationRecord) -> tuple[Frame, ...]:
        """Return the frames of a record inside the block, innermost first."""
        stack = _frames(record)
        shared = 0
        for frame, around in zip(reversed(stack), reversed(self._outer), strict=False):
            if frame != around:
                break
            shared += 1
        inside = [frame for frame in stack[: len(stack) - shared] if not _is_own(frame)]
        if not inside:
            # Calling the block's function allocates a little before its first frame begins.
            return tuple([frame for frame in stack if not _is_own(frame)][:1])
        n_inside = len(inside)
        while n_inside > 1 and inside[n_inside - 1].filename.startswith(self._outer_files):
            n_inside -= 1
        return tuple(inside[:n_inside])


def _frames(record: AllocationRecord) -> list[Frame]:
    return [Frame(*frame) for frame in record.stack_trace(_ALL_FRAMES)]


def _is_own(frame: Frame) -> bool:
    return frame.filename.startswith(_OWN_FILES)
