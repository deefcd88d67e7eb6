"""The line of an instruction, as the scanner reads it from the table of its code object."""

from __future__ import annotations

import argparse
import asyncio.base_events
import json.decoder
import random
import tempfile
import types
from collections.abc import Iterator

import memray
import pytest
from captures import TRAILER, CaptureWriter, line_table
from membudget import Frame
from membudget.recording.marks import Kind
from membudget.recording.readers.scanner import Scanner, scanner_problem
from membudget.recording.request import BlockRequest
from programs import ALPHABET, MALLOC, FakeRecord, Machine

pytestmark = pytest.mark.skipif(scanner_problem() is not None, reason="there is no scanner")

Code = tuple[str, str, int, bytes]


def lines_of(codes: list[Code], places: list[tuple[int, int]]) -> tuple[list[Frame], list[Frame]]:
    """Return the frame at each place, by the scanner and by memray's reader.

    Args:
        codes: of each code object its function, file, first line and location table.
        places: pairs of which of them, and the offset of an instruction.
    """
    machine = Machine()
    machine.open(1, -1, 0)
    writer = CaptureWriter(seed=1)
    # No other frames: only what is written here.
    writer._random.random = lambda: 1.0  # type: ignore[method-assign]
    numbers = [writer.write_code(*code) for code in codes]
    writer.write_all(machine.records)
    for place, (which, offset) in enumerate(places, 1):
        writer.write_push(1, numbers[which], offset)
        writer.write(FakeRecord(1, place << 12, place, MALLOC))
        writer.write_pop(1)
    machine.records.clear()
    machine._mark(1, Kind.END, 0, -1)
    writer.write_all(machine.records)
    with tempfile.NamedTemporaryFile() as file:
        file.write(writer.written + TRAILER)
        file.flush()
        scanner = Scanner(file.fileno(), ALPHABET)
        request = BlockRequest(0)
        scanner.expect(request)
        assert scanner.close_block(0) is not None
        stacks = {size: node for node, size, *_ in scanner.stacks_at_peak(request).stacks}
        scanned = [scanner.frames(stacks[n])[0] for n in range(1, len(places) + 1)]
        with memray.FileReader(file.name) as reader:
            traces = {
                record.size: record.stack_trace()
                for record in reader.get_allocation_records()
                if record.allocator == MALLOC and record.address >> 12
            }
        return scanned, [Frame(*traces[n][0]) for n in range(1, len(places) + 1)]


def code_objects(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_objects(constant)


@pytest.mark.parametrize("module", [argparse, asyncio.base_events, json.decoder])
def test_the_lines_of_real_code(module: types.ModuleType) -> None:
    """Equal to memray's reader, and to Python for each instruction that has a line."""
    assert module.__file__
    with open(module.__file__, encoding="utf-8") as source:
        compiled = compile(source.read(), module.__file__, "exec")
    codes = list(code_objects(compiled))
    shown = [
        (code.co_name, code.co_filename, code.co_firstlineno, code.co_linetable) for code in codes
    ]
    places = [
        (which, offset)
        for which, code in enumerate(codes)
        for offset in range(0, len(code.co_code) + 4, 2)
    ]
    scanned, memrays = lines_of(shown, places)
    assert scanned == memrays
    lines = {
        (which, offset): line
        for which, code in enumerate(codes)
        for start, end, line in code.co_lines()
        for offset in range(start, end, 2)
    }
    n_checked = 0
    for place, frame in zip(places, scanned, strict=True):
        if lines.get(place) is not None:
            assert frame.lineno == lines[place]
            n_checked += 1
    assert n_checked > 500


def test_the_lines_of_random_tables() -> None:
    """Entries of every kind, and offsets that no entry has."""
    chance = random.Random(5)
    codes: list[Code] = [
        ("function", "file.py", chance.randrange(10_000), line_table(chance, chance.randrange(30)))
        for _ in range(100)
    ]
    places = [(which, offset) for which in range(len(codes)) for offset in range(-2, 400, 2)]
    scanned, memrays = lines_of(codes, places)
    assert scanned == memrays
    assert len({frame.lineno for frame in scanned}) > 300
