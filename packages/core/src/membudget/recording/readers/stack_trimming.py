"""Stack traces as a block sees them: from where it was opened inwards, without our own frames."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ...measurement import Frame
from ..request import BlockQuery

if TYPE_CHECKING:
    from memray import AllocationRecord

_ALL_FRAMES = 1 << 30
_EVENT_LOOPS = ("/asyncio/", "/trio/", "/uvloop/", "/tornado/", "/twisted/internet/")
_OWN_FILES = f"{Path(__file__).parents[2]}{os.sep}"


class Allocator(enum.Enum):
    """What allocated something while a block was open, as far as stacks show it."""

    BLOCK = "the block"
    OTHER_THREAD = "another thread"
    OTHER_TASK = "something else in the event loop of the block"


class StackTraces:
    """Takes from stack traces what leads to a block.

    Args:
        query: the block.
        mark: the first record of its start mark.
    """

    def __init__(self, query: BlockQuery, mark: AllocationRecord) -> None:
        self._outer_files = query.outer_files
        self._thread = mark.tid
        stack = _frames(mark)
        n_own = 0
        while n_own < len(stack) and _is_own(stack[n_own]):
            n_own += 1
        n_inside = n_own if query.stacks_begin_inside else n_own + 1
        self._outer = stack[n_inside:]
        # The outermost frame of the block: what has the with statement, or calls the function.
        self._outermost = stack[n_inside - 1] if 0 < n_inside <= len(stack) else None

    @staticmethod
    def is_own(record: AllocationRecord) -> bool:
        """Whether it was code of membudget itself that allocated."""
        innermost = record.stack_trace(1)
        return bool(innermost) and _is_own(Frame(*innermost[0]))

    def of(self, record: AllocationRecord) -> tuple[Frame, ...]:
        """Return the frames of a record inside the block, innermost first."""
        return self.read(record)[0]

    def read(self, record: AllocationRecord) -> tuple[tuple[Frame, ...], Allocator]:
        """Return the frames of a record inside the block, and what allocated there."""
        stack = _frames(record)
        shared = 0
        for frame, around in zip(reversed(stack), reversed(self._outer), strict=False):
            if frame != around:
                break
            shared += 1
        if record.tid != self._thread:
            allocator = Allocator.OTHER_THREAD
        else:
            is_other = self._turns_off(stack, shared)
            allocator = Allocator.OTHER_TASK if is_other else Allocator.BLOCK
        return self._inside(stack, shared), allocator

    def _turns_off(self, stack: list[Frame], shared: int) -> bool:
        """Whether a stack leaves the block's own in the event loop, which ran something else.

        Only there: elsewhere, blocks can be left open when their function returns.
        """
        if not 0 < shared < len(stack) or not _is_event_loop(stack[-shared]):
            return False
        is_at_block = shared == len(self._outer)
        expected = self._outermost if is_at_block else self._outer[-shared - 1]
        found = stack[-shared - 1]
        return expected is not None and (
            (found.function, found.filename) != (expected.function, expected.filename)
        )

    def _inside(self, stack: list[Frame], shared: int) -> tuple[Frame, ...]:
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


def _is_event_loop(frame: Frame) -> bool:
    return any(part in frame.filename for part in _EVENT_LOOPS)


def _is_own(frame: Frame) -> bool:
    return frame.filename.startswith(_OWN_FILES)
