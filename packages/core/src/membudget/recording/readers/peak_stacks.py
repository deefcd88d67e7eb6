"""Where the memory at a peak came from: allocations grouped by their stack traces.

Needs memray's ``FileReader``. Where the scanner can, it first writes a capture of just what was
alive, so that memray's own code does the grouping.
"""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from ...measurement import ARENA_BYTES, Allocation, Frame
from ..capture import import_memray
from ..marks import MMAP, REALLOC
from ..request import BlockQuery
from ..temp_files import open_to_read, temporary_file
from .scanner import PackedAlive, write_peak
from .stack_trimming import Allocator, StackTraces

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
    if not isinstance(peak.alive, PackedAlive):
        return None
    # memray sums what is of one stack, whatever allocated it: arenas are read on their own.
    arenas = peak.alive.of_size(ARENA_BYTES)
    with contextlib.ExitStack() as stack:
        read = functools.partial(_read_alive, stack, path, peak.start_index)
        mark, found = read(peak.alive)
        if mark is None:
            return None
        traces = StackTraces(peak.query, mark)
        found_arenas = read(arenas)[1] if arenas else []
        mapped = [(size, record) for size, _, record in found_arenas if record.allocator == REALLOC]
        return _by_stack(found, mapped, traces)


def _read_alive(
    stack: contextlib.ExitStack, path: str, start_index: int, alive: PackedAlive
) -> tuple[AllocationRecord | None, list[tuple[int, int, AllocationRecord]]]:
    """Return the first record of the start mark, and (bytes, allocations, a record) of stacks.

    The record of mappings says REALLOC, see peak_writer.c. Records live as long as ``stack``.
    """
    memray = import_memray()
    capture = stack.enter_context(open_to_read(path))
    reduced = stack.enter_context(temporary_file())
    if not write_peak(capture.fileno(), reduced.fileno(), start_index, alive):
        return None, []
    reader = stack.enter_context(contextlib.closing(memray.FileReader(reduced.path())))
    mark = next(iter(reader.get_allocation_records()))
    records = reader.get_leaked_allocation_records(merge_threads=False)
    return mark, [(record.size, record.n_allocations, record) for record in records]


def _read_whole(path: str, peak: Peak) -> tuple[Allocation, ...]:
    """Read a peak from the whole capture, record by record."""
    memray = import_memray()
    by_id: dict[tuple[int, int], tuple[int, int, AllocationRecord]] = {}
    arenas = []
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
            if size == ARENA_BYTES and record.allocator == MMAP:
                arenas.append((size, record))
        return _by_stack(by_id.values(), arenas, StackTraces(peak.query, mark))


def _by_stack(
    found: Iterable[tuple[int, int, AllocationRecord]],
    arenas: Iterable[tuple[int, AllocationRecord]],
    traces: StackTraces,
) -> tuple[Allocation, ...]:
    """Sum (bytes, allocations, a record) by the stack trace of the record, largest first."""
    arena_bytes: Counter[tuple[Frame, ...]] = Counter()
    for size, record in arenas:
        arena_bytes[traces.of(record)] += size
    # One line of code has several records: memray tells instructions apart.
    by_stack: dict[tuple[Frame, ...], Allocation] = {}
    for size, count, record in found:
        stack, allocator = traces.read(record)
        before = by_stack.get(stack) or Allocation(0, 0, stack, arena_bytes=arena_bytes[stack])
        by_stack[stack] = replace(
            before,
            size_bytes=before.size_bytes + size,
            n_allocations=before.n_allocations + count,
            other_threads_bytes=before.other_threads_bytes
            + size * (allocator is Allocator.OTHER_THREAD),
            other_tasks_bytes=before.other_tasks_bytes + size * (allocator is Allocator.OTHER_TASK),
        )
    return tuple(sorted(by_stack.values(), key=lambda allocation: -allocation.size_bytes))
