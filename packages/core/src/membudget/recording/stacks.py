"""Where the memory at a peak came from: allocations grouped by their stack traces.

Needs memray's ``FileReader``. Where the scanner can, it first writes a capture of just what was
alive, so that memray's own code does the grouping.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ..model import Allocation, Frame
from .files import open_to_read, path_of, temporary_file
from .query import BlockQuery
from .scanner import PackedAlive, write_peak
from .stack_traces import Allocator, StackTraces

if TYPE_CHECKING:
    from memray import AllocationRecord


@dataclass(frozen=True, slots=True)
class Peak:
    """What was alive at the peak of a block.

    Attributes:
        query: the block.
        start_index: the index of the first record of its start mark.
        alive: pairs of a record's index and how many of its bytes were alive, in their order.
    """

    query: BlockQuery
    start_index: int
    alive: Iterable[tuple[int, int]]


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
                for record in reader.get_leaked_allocation_records(merge_threads=False)
            ]
            return _by_stack(sizes, StackTraces(peak.query, mark))


def _read_whole(path: str, peak: Peak) -> tuple[Allocation, ...]:
    """Read a peak from the whole capture, record by record."""
    import memray

    by_id: dict[tuple[int, int], tuple[int, int, AllocationRecord]] = {}
    with contextlib.closing(memray.FileReader(path)) as reader:
        records = reader.get_allocation_records()
        mark = next(islice(records, peak.start_index, None))
        position = peak.start_index + 1
        record = mark
        for index, size in peak.alive:
            if index >= position:
                record = next(islice(records, index - position, None))
                position = index + 1
            key = (record.stack_id, record.tid)
            n_bytes, count, first = by_id.get(key, (0, 0, record))
            by_id[key] = (n_bytes + size, count + 1, first)
        return _by_stack(by_id.values(), StackTraces(peak.query, mark))


def _by_stack(
    found: Iterable[tuple[int, int, AllocationRecord]], traces: StackTraces
) -> tuple[Allocation, ...]:
    """Sum (bytes, allocations, a record) by the stack trace of the record, largest first."""
    # One line of code has several records: memray tells instructions apart.
    by_stack: dict[tuple[Frame, ...], Allocation] = {}
    for size, count, record in found:
        stack, allocator = traces.read(record)
        before = by_stack.get(stack) or Allocation(0, 0, stack)
        by_stack[stack] = Allocation(
            before.size_bytes + size,
            before.n_allocations + count,
            stack,
            before.other_threads_bytes + size * (allocator is Allocator.OTHER_THREAD),
            before.other_tasks_bytes + size * (allocator is Allocator.OTHER_TASK),
        )
    return tuple(sorted(by_stack.values(), key=lambda allocation: -allocation.size_bytes))
