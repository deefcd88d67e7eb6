"""The stacks of what was alive at one point of a capture, found with memray's ``FileReader``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ...measurement import ARENA_BYTES, Allocation, Frame
from ..capture import import_memray
from ..marks import MMAP
from ..request import BlockRequest
from .stack_trimming import FoundStack, StackTraces

if TYPE_CHECKING:
    from memray import AllocationRecord

_ALL_FRAMES = 1 << 30


def frames_of(record: AllocationRecord) -> list[Frame]:
    """Return all frames of a record, innermost first."""
    return [Frame(*frame) for frame in record.stack_trace(_ALL_FRAMES)]


def _hybrid_frames_of(record: AllocationRecord) -> list[Frame]:
    return [Frame(*frame) for frame in record.hybrid_stack_trace(_ALL_FRAMES)]


def read_allocations(
    path: str,
    request: BlockRequest,
    start_index: int,
    alive: Iterable[tuple[int, int]],
    *,
    hybrid: bool = False,
) -> tuple[Allocation, ...]:
    """Return the memory of a block by stack, from the block inwards, largest first.

    Args:
        path: the capture.
        request: the block.
        start_index: the index of the first record of its start mark.
        alive: pairs of a record's index and how many of its bytes were alive, in stream order.
        hybrid: whether to return stacks with their native frames; the capture must have these.
    """
    memray = import_memray()
    with contextlib.closing(memray.FileReader(path)) as reader:
        records = iter(reader.get_allocation_records())
        mark = record = next(islice(records, start_index, None))
        position = start_index + 1
        # For each stack: its bytes, its number of allocations, bytes of arenas, its first record.
        sums: dict[tuple[int, ...], tuple[int, int, int, AllocationRecord]] = {}
        for index, size in alive:
            if index >= position:
                record = next(islice(records, index - position, None))
                position = index + 1
            key: tuple[int, ...] = (record.stack_id, record.tid)
            if hybrid:
                key += (record.native_stack_id, record.native_segment_generation)
            n_bytes, count, arenas, first = sums.get(key, (0, 0, 0, record))
            is_arena = size == ARENA_BYTES and record.allocator == MMAP
            sums[key] = (n_bytes + size, count + 1, arenas + size * is_arena, first)
        found = (
            FoundStack(
                frames_of(first),
                n_bytes,
                count,
                first.tid != mark.tid,
                arenas,
                _hybrid_frames_of(first) if hybrid else (),
            )
            for n_bytes, count, arenas, first in sums.values()
        )
        return StackTraces(request, frames_of(mark)).summed(found)


def stacks_inside(
    request: BlockRequest, mark: AllocationRecord, records: Iterable[AllocationRecord]
) -> Iterator[tuple[Frame, ...]]:
    """Yield the stacks of records, cut to the frames inside the block."""
    traces = StackTraces(request, frames_of(mark))
    for record in records:
        yield traces.inside(frames_of(record))
