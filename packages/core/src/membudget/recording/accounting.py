"""Accounting: the records and the marks of a capture in, the figures of one block out.

Pure Python over an iterable of records, so that it can be checked against random programs for
which every figure is known. The rules:

* An allocation counts when it lies between the block's marks, and its thread is not at work for
  membudget itself (from ``PAUSE`` or ``END`` to ``RESUME`` or ``START``), and the block is not
  suspended (between ``SUSPEND`` and ``CONTINUE``), and, for ``current_thread_only``, its thread is
  the one that opened the block, and its stack is one of those that count, where not all do.
* A thread that is at work already and makes a ``PAUSE`` or an ``END`` was interrupted, and never
  said that it was done. So what it allocated since is missing from all blocks that are open then.
* A free takes back what a counted allocation brought, whichever thread frees it. The free of an
  unknown address belongs to memory from before the block and counts in neither direction.
* ``realloc`` appears as a free and an allocation.
* A mapping may be unmapped in parts, or several with one call. One that is mapped over another
  replaces it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from ..model import Measurement
from .marks import FREE, MMAP, MUNMAP, PYMALLOC_FREE, Kind, Mark, Record


@dataclass(slots=True)
class BlockMarks:
    """Where one block lies in a capture, and what of it counts.

    Attributes:
        start, end: its own marks.
        others: all other marks between them, in stream order, each with whether its thread is at
            work for membudget after it.
        paused: the threads that are at work for membudget when the block starts.
        interrupted: a thread that was at work for membudget turned to that work once more: it was
            interrupted before, and some of the program's memory was not counted.
    """

    start: Mark
    end: Mark
    others: list[tuple[Mark, bool]]
    paused: frozenset[int]
    interrupted: bool


def locate(marks: Iterable[Mark], serial: int) -> BlockMarks | None:
    """Find the block ``serial`` among the marks of a capture; None when a border is missing."""
    start: Mark | None = None
    others: list[tuple[Mark, bool]] = []
    paused: set[int] = set()
    at_start: frozenset[int] = frozenset()
    interrupted = False
    for mark in marks:
        turns_to_work = mark.kind in (Kind.END, Kind.PAUSE)
        interrupted |= turns_to_work and mark.tid in paused
        if turns_to_work:
            paused.add(mark.tid)
        elif mark.kind in (Kind.START, Kind.RESUME):
            paused.discard(mark.tid)
        if mark.serial == serial and mark.kind is Kind.START:
            start = mark
            others = []
            interrupted = False
            at_start = frozenset(paused)
        elif mark.serial == serial and mark.kind is Kind.END and start is not None:
            others.sort(key=lambda other: other[0].first)
            return BlockMarks(start, mark, others, at_start, interrupted)
        else:
            others.append((mark, mark.tid in paused))
    return None


class _Mappings:
    """The counted memory mappings that are alive: disjoint ranges, each with its record's index."""

    __slots__ = ("ranges",)

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int, int]] = []

    def add(self, address: int, size: int, origin: int) -> None:
        """Add a mapping where nothing is mapped."""
        if size:
            insort(self.ranges, (address, address + size, origin), key=_beginning)

    def remove(self, address: int, size: int) -> int:
        """Unmap a range of addresses; return how many counted bytes that freed."""
        ranges = self.ranges
        end = address + size
        first = bisect_left(ranges, address, key=_beginning)
        if first and ranges[first - 1][1] > address:
            first -= 1
        last = first
        freed = 0
        kept: list[tuple[int, int, int]] = []
        while last < len(ranges) and ranges[last][0] < end:
            low, high, origin = ranges[last]
            freed += min(high, end) - max(low, address)
            if low < address:
                kept.append((low, address, origin))
            if high > end:
                kept.append((end, high, origin))
            last += 1
        ranges[first:last] = kept
        return freed


def _beginning(mapping: tuple[int, int, object]) -> int:
    return mapping[0]


def _switches(block: BlockMarks) -> Iterator[tuple[int, int, int]]:
    """Yield (index, thread, turn) in stream order.

    Where a thread turns to membudget's work (1) and back (-1). Thread 0 stands for the whole block,
    which is suspended once more (1) and once less (-1).
    """
    points: list[tuple[int, int, int]] = []
    for mark, is_at_work in block.others:
        points.append((mark.first, mark.tid, 1))
        if not is_at_work:
            points.append((mark.last + 1, mark.tid, -1))
        if mark.serial == block.start.serial:
            if mark.kind is Kind.SUSPEND:
                points.append((mark.first, 0, 1))
            elif mark.kind is Kind.CONTINUE:
                points.append((mark.last + 1, 0, -1))
    points.sort()
    yield from points


@dataclass(frozen=True, slots=True)
class Account:
    """The figures of a block, and what they were read from.

    Attributes:
        measurement: the figures; without the allocations, which need stack traces.
        peak_index: the index of the record that reached the peak, -1 when nothing was allocated.
            As in memray, the last one that did.
        start_index, end_index: the index of the first record of the block's start mark, and of its
            end mark.
        interrupted: see :class:`BlockMarks`; the figures are too small then.
    """

    measurement: Measurement
    peak_index: int
    start_index: int
    end_index: int
    interrupted: bool


def account(
    records: Iterable[Record],
    block: BlockMarks,
    *,
    current_thread_only: bool,
    stack_ids: Container[int] | None = None,
) -> Account:
    """Read the figures of ``block`` from the records of its capture.

    Args:
        records: of the capture.
        block: where the block lies in it.
        current_thread_only: whether only the thread that opened the block counts.
        stack_ids: memray's numbers of the stacks that count; None for all.
    """
    return _Ledger(current_thread_only, stack_ids).run(records, block, block.end.first)


def alive_at(
    records: Iterable[Record],
    block: BlockMarks,
    *,
    current_thread_only: bool,
    index: int,
    stack_ids: Container[int] | None = None,
) -> list[tuple[int, int]]:
    """Return what ``block`` allocated and was alive after record ``index``.

    As pairs: the index of the record that allocated, and how many of its bytes were alive. For the
    arguments, see :func:`account`.
    """
    ledger = _Ledger(current_thread_only, stack_ids)
    ledger.run(records, block, index + 1)
    mapped = ((origin, high - low) for low, high, origin in ledger.mappings.ranges)
    return sorted([*((origin, size) for size, origin in ledger.live.values()), *mapped])


class _Ledger:
    """What is alive, by address: its size and the index of the record that allocated it."""

    __slots__ = ("live", "mappings", "stack_ids", "thread_only")

    def __init__(self, thread_only: bool, stack_ids: Container[int] | None) -> None:
        self.thread_only = thread_only
        self.stack_ids = stack_ids
        self.live: dict[int, tuple[int, int]] = {}
        self.mappings = _Mappings()

    def run(self, records: Iterable[Record], block: BlockMarks, stop: int) -> Account:
        """Account for the records from the block's start up to, not including, ``stop``."""
        live = self.live
        mappings = self.mappings
        stack_ids = self.stack_ids
        begin = block.start.last + 1
        owner = block.start.tid if self.thread_only else 0
        at_work = set(block.paused)
        n_suspended = 0
        switches = _switches(block)
        endless = (stop, 0, 0)
        switch, thread, turn = next(switches, endless)
        alive = peak = total = n_allocations = 0
        peak_index = -1
        histogram = [0] * 65
        for index, record in enumerate(islice(records, begin, stop), begin):
            while index >= switch:
                if not thread:
                    n_suspended += turn
                else:
                    (at_work.add if turn > 0 else at_work.discard)(thread)
                switch, thread, turn = next(switches, endless)
            allocator = record.allocator
            if allocator == FREE or allocator == PYMALLOC_FREE:  # noqa: SIM109 - the hot loop
                freed = live.pop(record.address, None)
                if freed is not None:
                    alive -= freed[0]
                continue
            address = record.address
            size = record.size
            if allocator >= MMAP:
                # A mapping made over another one replaces it.
                alive -= mappings.remove(address, size)
                if allocator == MUNMAP:
                    continue
            elif address in live:
                # Given out again before its free was seen: two threads in realloc and malloc can
                # swap their records.
                alive -= live.pop(address)[0]
            tid = record.tid
            if n_suspended or tid in at_work or (owner and tid != owner):
                continue
            if stack_ids is not None and record.stack_id not in stack_ids:
                continue
            if allocator == MMAP:
                mappings.add(address, size, index)
            else:
                live[address] = (size, index)
            alive += size
            total += size
            n_allocations += 1
            histogram[size.bit_length()] += 1
            if alive >= peak:
                peak = alive
                peak_index = index
        while histogram and not histogram[-1]:
            histogram.pop()
        measurement = Measurement(peak, total, n_allocations, alive, tuple(histogram))
        return Account(
            measurement, peak_index, block.start.first, block.end.first, block.interrupted
        )
