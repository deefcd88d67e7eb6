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
* An address can be given out again before its free is in the stream: memray writes the free of
  ``realloc`` (and of ``PyMem_RawFree``) after the memory was given back, and another thread can be
  faster. What was at the address is gone then, and a free is owed: the next record of the thread
  that is late, which has written nothing since. It takes nothing back when it comes. This is known
  for addresses that were given out since a block runs, whether a block counts them or not.
* A mapping may be unmapped in parts, or several with one call. One that is mapped over another
  replaces it.
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
    """Where one block lies in a capture, and what of it counts.

    Attributes:
        start, end: its own marks.
        others: all other marks between them, in stream order, each with whether its thread is at
            work for membudget after it.
        known_from: the first record since which a block has run without a break.
        paused: the threads that are at work for membudget when the block starts.
        interrupted: a thread that was at work for membudget turned to that work once more: it was
            interrupted before, and some of the program's memory was not counted.
    """

    start: Mark
    end: Mark
    others: list[tuple[Mark, bool]]
    known_from: int
    paused: frozenset[int]
    interrupted: bool


def locate(marks: Iterable[Mark], serial: int) -> BlockMarks | None:
    """Find the block ``serial`` among the marks of a capture; None when a border is missing."""
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
            return BlockMarks(start, mark, others, known_from, at_start, interrupted)
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


def _switches(block: BlockMarks) -> list[tuple[int, int, int]]:
    """Return (index, thread, turn) in stream order.

    Where a thread turns to membudget's work (1) and back (-1). Thread 0 stands for the whole block,
    which is suspended once more (1) and once less (-1); what comes before it counts in it as little
    as what comes while it is suspended.
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
    heap = ((origin, size) for size, origin in ledger.live.values() if origin != _NOT_COUNTED)
    return sorted([*heap, *mapped])


_NOT_COUNTED: Final = -1


class _OwedFrees:
    """Frees that are late: see the rules above. There are none, nearly always."""

    __slots__ = ("_last_records", "addresses")

    def __init__(self) -> None:
        self.addresses: dict[int, tuple[int, int]] = {}
        """How many frees each address is owed, and the record that showed the last of them."""
        self._last_records: dict[int, int] = {}  # by thread, while frees are owed

    def add(self, index: int, record: Record) -> None:
        """Take note of an allocation at an address whose free was not seen."""
        n_owed, _ = self.addresses.get(record.address, (0, 0))
        self.addresses[record.address] = (n_owed + 1, index)
        self._last_records[record.tid] = index

    def is_late(self, index: int, record: Record) -> bool:
        """Whether a record is a free that is owed. To be asked of every record, while some are."""
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

    What the block does not count is there as well, with no size and :data:`_NOT_COUNTED`.
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
                # A mapping made over another one replaces it.
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
