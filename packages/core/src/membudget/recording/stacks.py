"""Where the memory at a peak came from: allocations grouped by their stack traces.

Needs memray's ``FileReader``, in one pass for all the blocks of a capture that are asked for.
"""

from __future__ import annotations

import contextlib
import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ..model import Allocation, Frame

if TYPE_CHECKING:
    from memray import AllocationRecord

_ALL_FRAMES = 1 << 30
_OWN_FILES = f"{Path(__file__).parents[1]}{os.sep}"


@dataclass(slots=True)
class Peak:
    """What was alive at the peak of a block.

    Attributes:
        start_index: the index of the first record of the block's start mark.
        alive: pairs of a record's index and how many of its bytes were alive, in their order.
        stacks_begin_inside: stack traces begin below the frame that opened the block, not with it.
    """

    start_index: int
    alive: Iterable[tuple[int, int]]
    stacks_begin_inside: bool
    _outer: list[Frame] = field(default_factory=list)
    # By memray's number of a stack: bytes, allocations, a record that has it.
    _by_id: dict[int, tuple[int, int, AllocationRecord]] = field(default_factory=dict)

    def see(self, record: AllocationRecord, index: int, size: int) -> None:
        """Take note of one of the records that were asked for."""
        if index == self.start_index:
            self._outer = self._frames_around(record)
            return
        n_bytes, count, first = self._by_id.get(record.stack_id, (0, 0, record))
        self._by_id[record.stack_id] = (n_bytes + size, count + 1, first)

    def allocations(self) -> tuple[Allocation, ...]:
        """Return what was alive by its stack trace, largest first."""
        # One line of code has several ids: an id stands for an instruction.
        by_stack: dict[tuple[Frame, ...], tuple[int, int]] = {}
        for size, count, record in self._by_id.values():
            stack = _inside(_frames(record), self._outer)
            n_bytes, n_allocations = by_stack.get(stack, (0, 0))
            by_stack[stack] = (n_bytes + size, n_allocations + count)
        allocations = [Allocation(size, count, stack) for stack, (size, count) in by_stack.items()]
        allocations.sort(key=lambda allocation: -allocation.size_bytes)
        return tuple(allocations)

    def _frames_around(self, mark: AllocationRecord) -> list[Frame]:
        """Return the frames around the block, innermost first, as its start mark saw them."""
        stack = _frames(mark)
        n_own = 0
        while n_own < len(stack) and _is_own(stack[n_own]):
            n_own += 1
        return stack[n_own if self.stacks_begin_inside else n_own + 1 :]


def read_allocations(path: str, peaks: Sequence[Peak]) -> list[tuple[Allocation, ...]]:
    """Read where the memory at ``peaks`` came from, out of the capture at ``path``."""
    import memray

    with contextlib.closing(memray.FileReader(path)) as reader:
        records = reader.get_allocation_records()
        position = 0
        record: AllocationRecord | None = None
        for index, size, number in heapq.merge(*map(_wanted, peaks, range(len(peaks)))):
            if record is None or index >= position:
                record = next(islice(records, index - position, None))
                position = index + 1
            peaks[number].see(record, index, size)
        return [peak.allocations() for peak in peaks]


def _wanted(peak: Peak, number: int) -> Iterator[tuple[int, int, int]]:
    yield peak.start_index, 0, number
    for index, size in peak.alive:
        yield index, size, number


def _frames(record: AllocationRecord) -> list[Frame]:
    return [Frame(*frame) for frame in record.stack_trace(_ALL_FRAMES)]


def _is_own(frame: Frame) -> bool:
    return frame.filename.startswith(_OWN_FILES)


def _inside(stack: list[Frame], outer: list[Frame]) -> tuple[Frame, ...]:
    """Take the frames around the block, and membudget's own, off a stack trace."""
    shared = 0
    for frame, around in zip(reversed(stack), reversed(outer), strict=False):
        if frame != around:
            break
        shared += 1
    inside = [frame for frame in stack[: len(stack) - shared] if not _is_own(frame)]
    # Calling the block's function allocates a little before its first frame begins.
    return tuple(inside or stack[:1])
