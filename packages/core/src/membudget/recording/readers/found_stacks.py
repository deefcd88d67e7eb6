"""The stacks of what was alive at one point of a capture, found with memray's ``FileReader``.

Where the scanner can, it first writes a capture of just what was alive, so that memray's own code
does the grouping; elsewhere the records are read one by one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ...measurement import ARENA_BYTES, Allocation, Frame
from ..capture import import_memray
from ..marks import MMAP, REALLOC
from ..request import BlockRequest
from ..temp_files import open_to_read, temporary_file
from .scanner import PackedAlive, write_peak
from .stack_trimming import FoundStack, StackTraces

if TYPE_CHECKING:
    from memray import AllocationRecord

_ALL_FRAMES = 1 << 30


def frames_of(record: AllocationRecord) -> list[Frame]:
    """Return all frames of a record, innermost first."""
    return [Frame(*frame) for frame in record.stack_trace(_ALL_FRAMES)]


def read_allocations(
    path: str, request: BlockRequest, start_index: int, alive: Iterable[tuple[int, int]]
) -> tuple[Allocation, ...]:
    """Return where memory of a block came from, by the stacks that the block sees, largest first.

    Args:
        path: the capture.
        request: the block.
        start_index: the index of the first record of its start mark.
        alive: pairs of a record's index and how many of its bytes were alive, in their order.
    """
    with contextlib.ExitStack() as stack:
        found = None
        if isinstance(alive, PackedAlive):
            found = _in_reduced(stack, path, start_index, alive)
        if found is None:
            found = _in_whole(stack, path, start_index, alive)
        mark, stacks = found
        return StackTraces(request, frames_of(mark)).summed(stacks)


def _in_reduced(
    stack: contextlib.ExitStack, path: str, start_index: int, alive: PackedAlive
) -> tuple[AllocationRecord, list[FoundStack]] | None:
    """Find stacks in a capture of just what was alive; None where there is no way to make one.

    Records live as long as ``stack``.
    """
    records = _reduced(stack, path, start_index, alive)
    if records is None:
        return None
    mark, leaked = records
    found = [_found(mark, one, one.size, one.n_allocations, 0) for one in leaked]
    # memray sums what is of one stack, whatever allocated it: arenas are read on their own.
    arenas = alive.of_size(ARENA_BYTES)
    if arenas is not None:
        reduced = _reduced(stack, path, start_index, arenas)
        assert reduced is not None  # the same capture has been cut before
        # The record of mappings says REALLOC, see peak_writer.c.
        mapped = (one for one in reduced[1] if one.allocator == REALLOC)
        found += [_found(mark, one, 0, 0, one.size) for one in mapped]
    return mark, found


def _reduced(
    stack: contextlib.ExitStack, path: str, start_index: int, alive: PackedAlive
) -> tuple[AllocationRecord, list[AllocationRecord]] | None:
    """Return the first record of the start mark, and one for each stack."""
    memray = import_memray()
    capture = stack.enter_context(open_to_read(path))
    reduced = stack.enter_context(temporary_file())
    if not write_peak(capture.fileno(), reduced.fileno(), start_index, alive):
        return None
    reader = stack.enter_context(contextlib.closing(memray.FileReader(reduced.path())))
    mark = next(iter(reader.get_allocation_records()))
    return mark, list(reader.get_leaked_allocation_records(merge_threads=False))


def _in_whole(
    stack: contextlib.ExitStack, path: str, start_index: int, alive: Iterable[tuple[int, int]]
) -> tuple[AllocationRecord, list[FoundStack]]:
    """Find stacks in the whole capture, record by record."""
    memray = import_memray()
    reader = stack.enter_context(contextlib.closing(memray.FileReader(path)))
    records = iter(reader.get_allocation_records())
    mark = record = next(islice(records, start_index, None))
    position = start_index + 1
    # Of each stack: its bytes, how many allocations, bytes of arenas, and its first record.
    sums: dict[tuple[int, int], tuple[int, int, int, AllocationRecord]] = {}
    for index, size in alive:
        if index >= position:
            record = next(islice(records, index - position, None))
            position = index + 1
        key = (record.stack_id, record.tid)
        n_bytes, count, arenas, first = sums.get(key, (0, 0, 0, record))
        is_arena = size == ARENA_BYTES and record.allocator == MMAP
        sums[key] = (n_bytes + size, count + 1, arenas + size * is_arena, first)
    return mark, [
        _found(mark, first, n_bytes, count, arenas)
        for n_bytes, count, arenas, first in sums.values()
    ]


def _found(
    mark: AllocationRecord, record: AllocationRecord, n_bytes: int, count: int, arenas: int
) -> FoundStack:
    return FoundStack(frames_of(record), n_bytes, count, record.tid != mark.tid, arenas)


def stacks_inside(
    request: BlockRequest, mark: AllocationRecord, records: Iterable[AllocationRecord]
) -> Iterator[tuple[Frame, ...]]:
    """Yield the stacks of records as a block sees them."""
    traces = StackTraces(request, frames_of(mark))
    for record in records:
        yield traces.inside(frames_of(record))
