"""Accounting: turns the records and the marks of a capture into the figures of one block.

Pure Python over an iterable of records, so that tests can check it with random programs for which
every figure is known. The rules:

* An allocation counts if all of this is true: it lies between the block's marks; its thread is not
  at work for membudget itself (from ``PAUSE`` or ``END`` to ``RESUME`` or ``START``); the block is
  not suspended (between ``SUSPEND`` and ``CONTINUE``); with ``current_thread_only``, its thread
  opened the block; with a filter, its stack counts.
* If a thread that is already at work makes a ``PAUSE`` or an ``END``, an interruption has kept it
  from marking the end of its work. Its allocations since are then missing from all open blocks.
* A free subtracts what a counted allocation has added, whichever thread frees it. A free of an
  unknown address is one of memory from before the block, and is ignored.
* ``realloc`` appears as a free and an allocation.
* An address can be reused before its free is in the stream: memray writes the free of ``realloc``
  (and of ``PyMem_RawFree``) after the memory was given back, and another thread can be faster. Then
  the old memory at the address counts as freed, and a free is owed: the next record of the late
  thread, which has written nothing since. When it comes, it subtracts nothing. This is known for
  addresses that were allocated since a block runs, whether a block counts them or not.
* A mapping may be unmapped in parts, or several with one call. A mapping over another one replaces
  it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Container, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ...measurement import Measurement
from ..marks import FREE, MMAP, MUNMAP, PYMALLOC_FREE, Kind, Mark, Record


@dataclass(slots=True)
class BlockMarks:
    """The position of one block in a capture, and the marks inside it.

    Attributes:
        start, end: its own marks.
        others: all other marks between them, in stream order, each with a flag: whether its thread
            is at work for membudget after it.
        known_from: the first record from which on at least one block was always open.
        paused: the threads that are at work for membudget when the block starts.
        interrupted: whether a thread that was at work for membudget began that work again: it was
            interrupted before, and some of the program's memory was not counted.
    """

    start: Mark
    end: Mark
    others: list[tuple[Mark, bool]]
    known_from: int
    paused: frozenset[int]
    interrupted: bool


def locate(marks: Iterable[Mark], serial: int) -> BlockMarks | None:
    """Find the block ``serial`` among the marks of a capture; None if a border mark is missing."""
    start: Mark | None = None
    others: list[tuple[Mark, bool]] = []
    running: set[int] = set()
    known_from = 0
    paused: set[int] = set()
    at_start: frozenset[int] = frozenset()
    interrupted = False
    for mark in marks:
        if mark.kind is Kind.START:
            known_from = known_from if running else mark.last + 1
            running.add(mark.serial)
        elif mark.kind is Kind.END:
            running.discard(mark.serial)
        begins_work = mark.kind in (Kind.END, Kind.PAUSE)
        interrupted |= begins_work and mark.tid in paused
        if begins_work:
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
            return BlockMarks(start, mark, others, known_from, at_start, interrupted)
        else:
            others.append((mark, mark.tid in paused))
    return None


class _Mappings:
    """The counted mappings that are alive: disjoint ranges, each with the index of its record."""

    __slots__ = ("ranges",)

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int, int]] = []

    def add(self, address: int, size: int, origin: int) -> None:
        """Add a mapping in a range that is not mapped."""
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


def _switches(block: BlockMarks) -> list[tuple[int, int, int]]:
    """Return (index, thread, change) in stream order.

    A change is 1 if a thread begins membudget's work, and -1 if it ends it. Thread 0 stands for the
    whole block: 1 if it is suspended once more, and -1 once less. The records before the block are
    treated like a suspension.
    """
    points: list[tuple[int, int, int]] = [(block.start.last + 1, 0, -1)]
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
    return points


@dataclass(frozen=True, slots=True)
class Account:
    """The figures of a block, and their position in the capture.

    Attributes:
        measurement: the figures, without the allocations, which need stack traces.
        peak_index: the index of the record that reached the peak; the last one, as in memray. -1 if
            nothing was allocated.
        start_index, end_index: the index of the first record of the block's start mark, and of its
            end mark.
        interrupted: see :class:`BlockMarks`; then the figures are too small.
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
        records: the records of the capture.
        block: the marks of the block in it.
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

    Returns pairs: the index of the record that allocated, and how many of its bytes were alive. For
    the arguments, see :func:`account`.
    """
    ledger = _Ledger(current_thread_only, stack_ids)
    ledger.run(records, block, index + 1)
    mapped = ((origin, high - low) for low, high, origin in ledger.mappings.ranges)
    heap = ((origin, size) for size, origin in ledger.live.values() if origin != _NOT_COUNTED)
    return sorted([*heap, *mapped])


_NOT_COUNTED: Final = -1


class _OwedFrees:
    """Frees that are late: see the rules above. Nearly always, there are none."""

    __slots__ = ("_last_records", "addresses")

    def __init__(self) -> None:
        self.addresses: dict[int, tuple[int, int]] = {}
        """For each address: how many frees are owed, and the record that showed the last one."""
        self._last_records: dict[int, int] = {}  # by thread, while frees are owed

    def add(self, index: int, record: Record) -> None:
        """Record an allocation at an address whose free was not seen."""
        n_owed, _ = self.addresses.get(record.address, (0, 0))
        self.addresses[record.address] = (n_owed + 1, index)
        self._last_records[record.tid] = index

    def is_late(self, index: int, record: Record) -> bool:
        """Whether a record is an owed free. Call it for every record while frees are owed."""
        last = self._last_records.get(record.tid, -1)
        self._last_records[record.tid] = index
        n_owed, shown_at = self.addresses.get(record.address, (0, 0))
        if not n_owed or last >= shown_at or record.allocator not in (FREE, PYMALLOC_FREE):
            return False
        if n_owed > 1:
            self.addresses[record.address] = (n_owed - 1, shown_at)
        else:
            del self.addresses[record.address]
            if not self.addresses:
                self._last_records.clear()
        return True


class _Ledger:
    """What is alive, by address: its size and the index of the record that allocated it.

    Memory that the block does not count is included, with size 0 and :data:`_NOT_COUNTED`.
    """

    __slots__ = ("live", "mappings", "stack_ids", "thread_only")

    def __init__(self, thread_only: bool, stack_ids: Container[int] | None) -> None:
        self.thread_only = thread_only
        self.stack_ids = stack_ids
        self.live: dict[int, tuple[int, int]] = {}
        self.mappings = _Mappings()

    def run(self, records: Iterable[Record], block: BlockMarks, stop: int) -> Account:
        """Account for the records of the block up to, not including, ``stop``."""
        live = self.live
        owed = _OwedFrees()
        owes = owed.addresses
        mappings = self.mappings
        stack_ids = self.stack_ids
        begin = block.known_from
        owner = block.start.tid if self.thread_only else 0
        at_work = set(block.paused)
        n_suspended = 1  # until the block starts
        switches = iter(_switches(block))
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
            if owes and owed.is_late(index, record):
                continue
            allocator = record.allocator
            if allocator == FREE or allocator == PYMALLOC_FREE:  # noqa: SIM109 - the hot loop
                freed = live.pop(record.address, None)
                if freed is not None:
                    alive -= freed[0]
                continue
            address = record.address
            size = record.size
            if allocator >= MMAP:
                # A mapping over another one replaces it.
                alive -= mappings.remove(address, size)
                if allocator == MUNMAP:
                    continue
            elif address in live:
                alive -= live.pop(address)[0]
                owed.add(index, record)
            tid = record.tid
            if (
                n_suspended
                or tid in at_work
                or (owner and tid != owner)
                or (stack_ids is not None and record.stack_id not in stack_ids)
            ):
                if allocator != MMAP:
                    live[address] = (0, _NOT_COUNTED)
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
