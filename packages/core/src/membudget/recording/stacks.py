"""Where the memory at a peak came from: allocations grouped by their stack traces.

Needs memray's ``FileReader``. Where the scanner can, it first writes a capture of just what was
alive, so that memray's own code does the grouping.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ..model import Allocation, Frame
from .files import open_to_read, path_of, temporary_file
from .scanner import PackedAlive, write_peak

if TYPE_CHECKING:
    from memray import AllocationRecord

_ALL_FRAMES = 1 << 30
_OWN_FILES = f"{Path(__file__).parents[1]}{os.sep}"


@dataclass(frozen=True, slots=True)
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


def read_allocations(path: str, peaks: Iterable[Peak]) -> list[tuple[Allocation, ...]]:
    """Read where the memory at ``peaks`` came from, out of the capture at ``path``."""
    return [_read_reduced(path, peak) or _read_whole(path, peak) for peak in peaks]


def _read_reduced(path: str, peak: Peak) -> tuple[Allocation, ...] | None:
    """Read a peak from a capture of just what was alive; None where there is no way to make one."""
    import memray

    if not isinstance(peak.alive, PackedAlive):
        return None
    with open_to_read(path) as capture, temporary_file() as reduced:
        if not write_peak(capture.fileno(), reduced.fileno(), peak.start_index, peak.alive):
            return None
        with contextlib.closing(memray.FileReader(path_of(reduced))) as reader:
            mark = next(iter(reader.get_allocation_records()))
            sizes = [
                (record.size, record.n_allocations, record)
                for record in reader.get_leaked_allocation_records(merge_threads=True)
            ]
            return _by_stack(sizes, _frames_around(mark, peak))


def _read_whole(path: str, peak: Peak) -> tuple[Allocation, ...]:
    """Read a peak from the whole capture, record by record."""
    import memray

    by_id: dict[int, tuple[int, int, AllocationRecord]] = {}
    with contextlib.closing(memray.FileReader(path)) as reader:
        records = reader.get_allocation_records()
        mark = next(islice(records, peak.start_index, None))
        position = peak.start_index + 1
        record = mark
        for index, size in peak.alive:
            if index >= position:
                record = next(islice(records, index - position, None))
                position = index + 1
            n_bytes, count, first = by_id.get(record.stack_id, (0, 0, record))
            by_id[record.stack_id] = (n_bytes + size, count + 1, first)
        return _by_stack(by_id.values(), _frames_around(mark, peak))


def _by_stack(
    found: Iterable[tuple[int, int, AllocationRecord]], outer: list[Frame]
) -> tuple[Allocation, ...]:
    """Sum (bytes, allocations, a record) by the stack trace of the record, largest first."""
    # One line of code has several records: memray tells instructions apart.
    by_stack: dict[tuple[Frame, ...], tuple[int, int]] = {}
    for size, count, record in found:
        stack = _inside(_frames(record), outer)
        n_bytes, n_allocations = by_stack.get(stack, (0, 0))
        by_stack[stack] = (n_bytes + size, n_allocations + count)
    allocations = [Allocation(size, count, stack) for stack, (size, count) in by_stack.items()]
    allocations.sort(key=lambda allocation: -allocation.size_bytes)
    return tuple(allocations)


def _frames_around(mark: AllocationRecord, peak: Peak) -> list[Frame]:
    """Return the frames around the block, innermost first, as its start mark saw them."""
    stack = _frames(mark)
    n_own = 0
    while n_own < len(stack) and _is_own(stack[n_own]):
        n_own += 1
    return stack[n_own if peak.stacks_begin_inside else n_own + 1 :]


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
    if inside:
        return tuple(inside)
    # Calling the block's function allocates a little before its first frame begins.
    return tuple([frame for frame in stack if not _is_own(frame)][:1])
