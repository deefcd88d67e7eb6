"""The figures of every block of random programs, computed by a simple model."""

from __future__ import annotations

from collections import Counter

from hypothesis import example, given, settings
from membudget.recording.marks import MMAP, find_marks
from membudget.recording.readers.accounting import account, alive_at, locate
from programs import ALPHABET, Machine, Operation, operations


@settings(max_examples=300)
@given(operations)
@example([("open", 1, 0, 0), ("mmap", 1, 0, 8), ("munmap", 1, 2, 3), ("mmap", 2, 1, 6)])
@example([("open", 1, 0, 0), ("malloc", 2, 9, 0), ("open_thread_only", 2, 0, 0), ("free", 1, 0, 0)])
def test_every_figure_of_every_block(program: list[Operation]) -> None:
    """Nested, overlapping, in threads, with parts of mappings unmapped: all figures are exact."""
    machine = Machine()
    machine.run(program)
    for serial, block in enumerate(machine.blocks):
        marks = locate(find_marks(machine.records, ALPHABET), serial)
        assert marks is not None
        assert marks.interrupted == block.interrupted
        found = account(machine.records, marks, current_thread_only=block.thread_only)
        measured = found.measurement
        assert measured.peak_bytes == block.peak
        assert measured.total_bytes == block.total
        assert measured.n_allocations == block.count
        assert measured.retained_bytes == block.alive
        histogram = Counter(size.bit_length() for size in block.sizes)
        assert dict(enumerate(measured.size_histogram)) == {
            size: histogram[size] for size in range(len(measured.size_histogram))
        }
        assert sum(measured.size_histogram) == block.count
        if block.count:
            alive = alive_at(
                machine.records,
                marks,
                current_thread_only=block.thread_only,
                index=found.peak_index,
            )
            assert sum(size for _, size in alive) == block.peak
            records = machine.records
            heap = {records[i].address: size for i, size in alive if records[i].allocator != MMAP}
            assert heap == block.peak_heap


def test_work_that_never_ends_interrupts_the_blocks_that_are_open() -> None:
    """A thread that begins membudget's work again was interrupted: no figure is complete."""
    for second in ("open", "close", "work"):
        machine = Machine()
        machine.run(
            [
                ("open", 1, 0, 0),
                ("open", 2, 0, 0),
                ("close", 2, 1, 0),
                ("break_off", 1, 9, 1),
                ("malloc", 1, 40, 0),
                (second, 1, 0, 0),
            ]
        )
        found = [locate(find_marks(machine.records, ALPHABET), serial) for serial in (0, 1)]
        assert [marks and marks.interrupted for marks in found] == [True, False], second


def test_a_block_without_an_end_mark_is_not_found() -> None:
    """A truncated capture gives no figures at all, rather than those of its first part."""
    machine = Machine()
    machine.run([("open", 1, 0, 0), ("malloc", 1, 9, 0)])
    for cut in range(len(machine.records)):
        marks = locate(find_marks(machine.records[:cut], ALPHABET), 0)
        assert (marks is None) or cut >= marks.end.last


def test_an_address_that_is_reused_before_its_free_is_written() -> None:
    """The late free belongs to the first thread's realloc, not to the new memory."""
    machine = Machine()
    machine.open(1, 0, 0)
    machine.malloc(1, 100, 0)
    address = machine.records[-1].address
    machine._record(2, address, 50, 6)
    machine._record(1, address, 0, 5)
    machine._close(0, 1)
    marks = locate(find_marks(machine.records, ALPHABET), 0)
    assert marks is not None
    measured = account(machine.records, marks, current_thread_only=False).measurement
    assert (measured.peak_bytes, measured.retained_bytes, measured.n_allocations) == (100, 50, 2)
