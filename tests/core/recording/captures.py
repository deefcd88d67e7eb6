"""Writes captures as memray 1.20 does: header version 13, all allocations.

From the description of the format in memray's record_writer.cpp; that memray's own reader reads
these captures is what shows that they are right.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Sequence

from membudget import Allocation, Measurement
from membudget.recording.marks import FREE, PYMALLOC_FREE, Alphabet
from membudget.recording.readers.scanner import Scanner
from membudget.recording.readers.whole_captures import checked
from membudget.recording.request import BlockRequest
from programs import FakeRecord, ObjectEvent

TRAILER = b"\x01"
_FRAME_POP, _OBJECT, _FRAME_PUSH, _ALLOCATION = 16, 32, 64, 128


def varint(value: int, *, n_bits: int = 7) -> bytes:
    """Encode a number with some bits in each byte; in all but the last, the next bit is set."""
    more = 1 << n_bits
    encoded = bytearray()
    while value >= more:
        encoded.append(value & more - 1 | more)
        value >>= n_bits
    encoded.append(value)
    return bytes(encoded)


def zigzag(value: int) -> bytes:
    value &= (1 << 64) - 1
    return varint((value << 1 ^ (-(value >> 63))) & (1 << 64) - 1)


def header(
    *, version: int = 13, native: bool = False, file_format: int = 0, objects: bool = False
) -> bytes:
    strings = b"python test.py\0"
    paths = b"/lib/python\0" + b"/site-packages\0\0" + b"/path/one\0/path/two\0\0"
    return b"".join(
        [
            b"memray\0",
            struct.pack("=ii", version, 0x030B07F0),
            bytes([native, file_format]),
            struct.pack("=QQqq", 0, 0, 1, 2),
            strings,
            struct.pack("@i", 1) + struct.pack("@L", 1) + struct.pack("@N", 0),
            bytes([1, 0, objects]),
            paths,
        ]
    )


def line_table(chance: random.Random, n_entries: int) -> bytes:
    """Return a location table as CPython writes them since 3.11, with entries of every kind."""
    table = bytearray()
    for _ in range(n_entries):
        kind = chance.randrange(16)
        table.append(0x80 | kind << 3 | chance.randrange(8))
        if kind in (13, 14):
            delta = chance.choice([0, 1, -1, 40, -40, 5000])
            table += varint(delta << 1 if delta >= 0 else (-delta << 1) | 1, n_bits=6)
        if kind == 14:
            for number in (0, 3, 80):
                table += varint(number, n_bits=6)
        elif kind < 13:
            table += bytes(chance.randrange(128) for _ in range(1 + (kind >= 10)))
    return bytes(table)


class CaptureWriter:
    """Encodes records; other kinds of records come between them at random.

    Attributes:
        ends: for each record, how long the capture is after it.
    """

    def __init__(self, *, native: bool = False, seed: int = 0, objects: bool = False) -> None:
        self.written = bytearray(header(native=native, objects=objects))
        self.ends: list[int] = []
        self._native = native
        self._random = random.Random(seed)
        self._tid = 0
        self._pointer = 0
        self._native_id = 0
        self._n_native = 0
        self._first_line = 0
        self._recent: list[int] = []
        self._depths: dict[int, int] = {}
        self._n_code_objects = 0

    def write_all(
        self, records: Iterable[FakeRecord], events: Iterable[ObjectEvent] = ()
    ) -> CaptureWriter:
        waiting = list(events)
        for index, record in enumerate(records):
            while waiting and waiting[0].before == index:
                self._write_object(waiting.pop(0))
            self.write(record)
        for event in waiting:
            self._write_object(event)
        return self

    def _write_object(self, event: ObjectEvent) -> None:
        self._switch_to(event.tid)
        cached = self._cached(event.address)
        self.written.append(_OBJECT | cached << 1 | event.is_created)
        self._write_pointer(event.address, cached)
        if self._native and event.is_created:
            self._write_native_id()

    def _switch_to(self, tid: int) -> None:
        if tid != self._tid:
            self._tid = tid
            self.written += b"\x0c" + struct.pack("@L", tid)

    def _cached(self, address: int) -> int:
        return self._recent.index(address) if address in self._recent else 15

    def _write_pointer(self, address: int, cached: int) -> None:
        if cached == 15:
            self._recent = [address, *self._recent[:14]]
            self.written += zigzag((address >> 3) - self._pointer)
            self._pointer = address >> 3

    def _write_native_id(self) -> None:
        native_id = self._random.randint(0, self._n_native)
        self.written += zigzag(native_id - self._native_id)
        self._native_id = native_id

    def write(self, record: FakeRecord) -> None:
        if self._random.random() < 0.3:
            self._write_something_else()
        self._switch_to(record.tid)
        if self._random.random() < 0.3:
            self._write_frames(record.tid)
        self._write_allocation(record)
        self.ends.append(len(self.written))

    def _write_allocation(self, record: FakeRecord) -> None:
        cached = self._cached(record.address)
        in_token = record.allocator if record.allocator < 8 else 0
        self.written.append(_ALLOCATION | cached << 3 | in_token)
        self._write_pointer(record.address, cached)
        if not in_token:
            self.written.append(record.allocator)
        if record.allocator in (FREE, PYMALLOC_FREE):
            return
        if self._native:
            self._write_native_id()
        self.written += varint(record.size)

    def _write_frames(self, tid: int) -> None:
        depth = self._depths.get(tid, 0)
        if depth and self._random.random() < 0.5:
            n_frames = self._random.randint(1, min(depth, 16))
            self.written.append(_FRAME_POP | n_frames - 1)
            self._depths[tid] = depth - n_frames
            return
        code = self._random.randrange(1, 9)  # a few, so that stacks come again
        if code > self._n_code_objects:
            table = line_table(self._random, self._random.randrange(20))
            code = self.write_code("function", "file.py", self._random.randrange(1000), table)
        self.write_push(tid, code, self._random.choice([-1, 0, 2, 20, 61, 300]))

    def write_code(self, function: str, filename: str, first_line: int, table: bytes) -> int:
        """Write a code object; return its number."""
        self._n_code_objects += 1
        self.written += b"\x0e" + varint(self._n_code_objects)
        self.written += f"{function}\0{filename}\0".encode()
        self.written += zigzag(first_line - self._first_line) + varint(len(table)) + table
        self._first_line = first_line
        return self._n_code_objects

    def write_push(self, tid: int, code: int, instruction: int) -> None:
        self._switch_to(tid)
        self.written.append(_FRAME_PUSH | self._random.randrange(2))
        self.written += varint(code) + zigzag(instruction)
        self._depths[tid] = self._depths.get(tid, 0) + 1

    def write_pop(self, tid: int) -> None:
        self._switch_to(tid)
        self.written.append(_FRAME_POP)
        self._depths[tid] -= 1

    def _write_something_else(self) -> None:
        kind = self._random.choice(["memory", "thread", "maps", "native"])
        if kind == "memory":
            self.written += b"\x02" + varint(self._random.getrandbits(40)) + varint(7)
        elif kind == "thread" and self._tid:
            self.written += b"\x0aMainThread\0"
        elif kind == "maps":
            self.written += b"\x06\x07/lib/libc.so\0" + varint(2) + struct.pack("@N", 4096)
            self.written += (b"\x08" + struct.pack("@N", 64) + varint(1 << 20)) * 2
        elif kind == "native" and self._native:
            self.written += b"\x05" + zigzag(16)
            self._write_native_id()  # of its caller
            self._n_native += 1


def capture_of(
    records: Sequence[FakeRecord],
    *,
    native: bool = False,
    seed: int = 0,
    events: Sequence[ObjectEvent] | None = None,
) -> bytes:
    """Return the whole capture of ``records``; one that tracks objects if there are events."""
    writer = CaptureWriter(native=native, seed=seed, objects=events is not None)
    return bytes(writer.write_all(records, events or ()).written + TRAILER)


def scanned_block(
    fd: int, alphabet: Alphabet, request: BlockRequest
) -> tuple[Measurement, tuple[Allocation, ...]]:
    """Return the figures of a block, and its stacks at the peak, as the scanner reads them.

    Raises:
        ValueError: the scanner cannot read the capture.
        CaptureError: the block is not there in full.
    """
    scanner = Scanner(fd, alphabet)
    scanner.expect(request)
    measurement = checked(scanner.close_block(request.serial)).measurement
    return measurement, scanner.stacks_at_peak(request).allocations()
