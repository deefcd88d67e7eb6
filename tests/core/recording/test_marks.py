"""Marks are found where they were made, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import in_subprocess
from hypothesis import given
from hypothesis import strategies as st
from membudget import measure_memory
from membudget.recording.marks import (
    MARKS_ARE_MADE_IN_C,
    SERIALS,
    Alphabet,
    Kind,
    find_marks,
    make_mark,
)
from programs import ALPHABET, MALLOC, OVERHEAD, FakeRecord, Machine, operations


@given(st.sampled_from(list(Kind)), st.integers(0, SERIALS - 1))
def test_a_mark_is_read_as_it_was_spelled(kind: Kind, serial: int) -> None:
    alphabet = Alphabet.draw()
    lengths = alphabet.spell(kind, serial)
    assert alphabet.read(list(lengths)) == (kind, serial)
    assert all(alphabet.fits(position, length) for position, length in enumerate(lengths))


@given(operations)
def test_marks_are_found_among_anything_else(program: list[tuple[str, int, int, int]]) -> None:
    """With records of other threads in between, and allocations that look like a mark at first."""
    machine = Machine()
    machine.run(program)
    found = [
        (mark.kind, mark.serial)
        for mark in find_marks(machine.records, ALPHABET)
        if mark.kind in (Kind.START, Kind.END)
    ]
    for serial in range(len(machine.blocks)):
        assert found.count((Kind.START, serial)) == found.count((Kind.END, serial)) == 1
    assert len(found) == 2 * len(machine.blocks)


def test_sizes_of_a_mark_in_wrong_order_are_no_mark() -> None:
    """The same sizes by chance, with other records in between, are not a mark."""
    records = []
    for length in ALPHABET.spell(Kind.START, 1):
        records.append(FakeRecord(1, 32, length + OVERHEAD, MALLOC))
        records.append(FakeRecord(1, 32, 0, 5))
        records.append(FakeRecord(1, 48, 8, MALLOC))
    assert not list(find_marks(records, ALPHABET))
    kept = [record for record in records if record.allocator == MALLOC and record.address == 32]
    assert not list(find_marks(kept, ALPHABET))


@in_subprocess
def test_marks_in_a_real_capture() -> None:
    """find_marks finds what make_mark writes, without records in between."""
    import memray
    from membudget.recording.marks import Alphabet, Kind, find_marks, make_mark

    alphabet = Alphabet.draw()
    start, end = alphabet.spell(Kind.START, 5), alphabet.spell(Kind.END, 5)
    with memray.Tracker("capture.bin"):
        make_mark(start)
        make_mark(end)
    records = list(memray.FileReader("capture.bin").get_allocation_records())
    first, second = find_marks(records, alphabet)
    assert (first.kind, first.serial, second.kind, second.serial) == (Kind.START, 5, Kind.END, 5)
    assert second.first == first.last + 1


def test_enter_and_exit_accept_the_arguments_of_a_with_statement() -> None:
    """They are C code: other arguments raise TypeError instead of crashing."""
    block: Any = measure_memory()
    leave: Any = type(block).__exit__
    for arguments in ((), (1,), (None, None, None), (block, None), (block, 1, 2, 3, 4)):
        with pytest.raises(TypeError):
            leave(*arguments)
    with pytest.raises(TypeError):
        block.__exit__(None)
    assert leave(block, None, None, None) is None
    assert block.__exit__(None, None, None) is None
    if not MARKS_ARE_MADE_IN_C:
        return
    with pytest.raises(TypeError):
        type(leave)()
    wrong: list[Any] = [(1, 2), "text", (1, 2, 3, 4, 5, "6"), (1, 2, 3, 4, 5, -6)]
    for lengths in wrong:
        with pytest.raises((TypeError, OverflowError)):
            make_mark(lengths)
