"""The scanner, the replay and the model agree on every figure of random programs."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import memray
import pytest
from captures import TRAILER, CaptureWriter, capture_of, header
from hypothesis import example, given, settings
from hypothesis import strategies as st
from membudget import Allocation, FilterError, Frame, Measurement
from membudget.recording.marks import Kind, find_marks
from membudget.recording.readers.accounting import Account
from membudget.recording.readers.found_stacks import read_allocations
from membudget.recording.readers.lost_stacks import lost_stacks
from membudget.recording.readers.replay import Replay
from membudget.recording.readers.scanner import Scanner, scanner_problem
from membudget.recording.request import BlockRequest
from programs import ALPHABET, Block, Machine, Operation, operations

pytestmark = pytest.mark.skipif(scanner_problem() is not None, reason="there is no scanner")


def run(program: list[Operation]) -> Machine:
    machine = Machine()
    machine.run(program)
    return machine


def request_of(serial: int, block: Block) -> BlockRequest:
    return BlockRequest(serial, block.thread_only)


def figures_of(block: Block) -> Measurement:
    sizes = Counter(size.bit_length() for size in block.sizes)
    histogram = tuple(sizes[length] for length in range(max(sizes, default=-1) + 1))
    return Measurement(block.peak, block.total, block.count, block.alive, histogram)


def in_order(allocations: tuple[Allocation, ...]) -> list[Allocation]:
    return sorted(allocations, key=repr)


def follow_some(scanner: Scanner, chance: Any, begin: int, complete: int) -> None:
    """Let a scanner follow the capture, as its thread does, up to some place that is complete."""
    if hasattr(chance, "random"):  # not in an example
        for limit in sorted(chance.randint(begin, complete) for _ in range(chance.randrange(4))):
            scanner._scanner.follow_up_to(limit)


def read_stacks_with(
    scanner: Scanner, request: BlockRequest
) -> tuple[list[Allocation], list[Allocation], bool]:
    """Return what was alive at the peak and at the end, and whether stacks were lost."""
    at_peak = scanner.stacks_at_peak(request)
    at_end = scanner.stacks_at_end(request)
    found = [in_order(one.allocations()) for one in (at_peak, at_end)]
    return found[0], found[1], at_peak.lost


def replayed_stacks(
    fd: int, request: BlockRequest, replay: Replay, account: Account
) -> tuple[list[Allocation], list[Allocation], bool]:
    path = f"/proc/self/fd/{fd}"
    at_peak, at_end = (
        in_order(read_allocations(path, request, account.start_index, replay.alive_at(index)))
        for index in (account.peak_index, account.end_index - 1)
    )
    return at_peak, at_end, lost_stacks(path, request, account)


@contextlib.contextmanager
def file_of(data: bytes) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.fileno()


@settings(max_examples=int(os.environ.get("MEMBUDGET_TEST_EXAMPLES", "200")), deadline=None)
@given(operations, st.booleans(), st.integers(0, 1000), st.randoms(use_true_random=False))
@example([("open", 1, 0, 0), ("mmap", 1, 0, 8), ("munmap", 1, 2, 3)], False, 0, None)
@example([("open", 1, 0, 0), ("mmap", 1, 0, 0)], False, 0, None)
@example([("open", 1, 0, 0), *[("realloc_large", 1, 0, n) for n in range(9)]], False, 0, None)
def test_scanner_replay_and_model_agree(
    program: list[Operation], native: bool, seed: int, chance: object
) -> None:
    """The scanner reads while the capture grows, some blocks late; the replay reads it whole.

    Between the ends of blocks, the scanner follows the capture.
    """
    machine = run(program)
    writer = CaptureWriter(native=native, seed=seed).write_all(machine.records)
    capture = bytes(writer.written + TRAILER)
    ends = sorted(
        (mark.last, mark.serial)
        for mark in find_marks(machine.records, ALPHABET)
        if mark.kind is Kind.END
    )
    scanned = {}
    with file_of(capture[: len(header())] + bytes(len(capture) + 4096)) as fd:
        scanner = Scanner(fd, ALPHABET)
        for serial, block in enumerate(machine.blocks):
            scanner.expect(request_of(serial, block))
        waiting = []
        begin = len(header())
        for last, serial in ends:
            waiting.append(serial)
            os.pwrite(fd, capture[: writer.ends[last]], 0)
            follow_some(scanner, chance, begin, writer.ends[last])
            begin = writer.ends[last]
            if getattr(chance, "random", lambda: 0.0)() < 0.3:
                continue  # this one is read when the next one is
            for ended in waiting:
                scanned[ended] = scanner.close_block(ended)
            waiting.clear()
        os.pwrite(fd, capture, 0)
        for ended in waiting:
            scanned[ended] = scanner.close_block(ended)
    with file_of(capture) as fd:
        for serial, block in enumerate(machine.blocks):
            account = scanned[serial]
            assert account is not None
            assert account.measurement == figures_of(block)
            assert account.interrupted == block.interrupted
            replay = Replay(f"/proc/self/fd/{fd}", ALPHABET, request_of(serial, block))
            assert replay.account() == account
            stacks = read_stacks_with(scanner, request_of(serial, block))
            assert stacks == replayed_stacks(fd, request_of(serial, block), replay, account)
            assert sum(one.size_bytes for one in stacks[0]) == block.peak
            assert sum(one.size_bytes for one in stacks[1]) == block.alive


class SomeStacks:
    """Lets some stacks count, and records its calls."""

    def __init__(self, remainder: int) -> None:
        self.remainder = remainder
        self.asked: list[tuple[Frame, ...]] = []

    def keeps(self, stacks: Iterable[tuple[Frame, ...]]) -> list[bool]:
        listed = list(stacks)
        self.asked += listed
        return [sum(frame.lineno + 1 for frame in one) % 3 != self.remainder for one in listed]


@settings(max_examples=int(os.environ.get("MEMBUDGET_TEST_EXAMPLES", "200")), deadline=None)
@given(operations, st.booleans(), st.integers(0, 1000), st.randoms(use_true_random=False))
def test_both_readers_count_the_same_stacks(
    program: list[Operation], native: bool, seed: int, chance: object
) -> None:
    """Most blocks count only some stacks; each filter is called once for each stack."""
    machine = run(program)
    capture = capture_of(machine.records, native=native, seed=seed)
    with file_of(capture) as fd:
        scanner = Scanner(fd, ALPHABET)
        requests = [
            BlockRequest(
                serial,
                block.thread_only,
                stack_filter=None if serial % 4 == 3 else SomeStacks(serial % 4),
            )
            for serial, block in enumerate(machine.blocks)
        ]
        for request in requests:
            scanner.expect(request)
        for request in reversed(requests):
            follow_some(scanner, chance, 0, len(capture))
            account = scanner.close_block(request.serial)
            asked: list[tuple[Frame, ...]] = []
            if isinstance(request.stack_filter, SomeStacks):
                asked, request.stack_filter.asked = request.stack_filter.asked, []
            replay = Replay(f"/proc/self/fd/{fd}", ALPHABET, request)
            assert replay.account() == account
            assert account is not None
            stacks = read_stacks_with(scanner, request)
            assert stacks == replayed_stacks(fd, request, replay, account)
            if isinstance(request.stack_filter, SomeStacks):
                assert Counter(asked) <= Counter(request.stack_filter.asked)
                assert replay.lost_stacks == stacks[2]


def test_an_exception_of_a_filter_belongs_to_its_own_block() -> None:
    """It is also called when an inner block ends, whose figures are not affected."""

    class Raises(SomeStacks):
        def keeps(self, stacks: Iterable[tuple[Frame, ...]]) -> list[bool]:
            super().keeps(stacks)
            raise FilterError("no idea")

    machine = run([("open", 1, -1, 0), *[("open", 1, -1, 0), ("malloc", 1, 9, 0)] * 2])
    with file_of(capture_of(machine.records, seed=3)) as fd:
        scanner = Scanner(fd, ALPHABET)
        raises = Raises(0)
        scanner.expect(BlockRequest(0, stack_filter=raises))
        scanner.expect(BlockRequest(1))
        inner = scanner.close_block(1)
        assert inner is not None
        assert inner.measurement == figures_of(machine.blocks[1])
        assert len(raises.asked) == 1
        for _ in range(2):
            with pytest.raises(FilterError, match="no idea"):
                scanner.close_block(0)
        assert len(raises.asked) == 1


@settings(max_examples=int(os.environ.get("MEMBUDGET_TEST_EXAMPLES", "200")), deadline=None)
@given(operations, st.booleans(), st.integers(0, 1000))
@example([("open", 1, 0, 0), ("make", 2, 0, 0), ("make", 1, 0, 0), ("unmake", 1, 0, 0)], False, 0)
def test_leaked_objects_are_found(program: list[Operation], native: bool, seed: int) -> None:
    """Those that the block made and that are alive at its end; the figures stay the same."""
    machine = run(program)
    capture = capture_of(machine.records, native=native, seed=seed, events=machine.events)
    with file_of(capture) as fd:
        for serial, block in enumerate(machine.blocks):
            scanner = Scanner(fd, ALPHABET)
            scanner.expect(request_of(serial, block))
            assert scanner.alive_objects(serial) == frozenset(block.objects)
            account = scanner.close_block(serial)
            assert account is not None
            assert account.measurement == figures_of(block)


def test_memray_reads_what_the_tests_write() -> None:
    """Otherwise the scanner would be tested against a format of our own."""
    machine = run(
        [("malloc", 1, 9, 0), ("mmap", 2, 3, 4), ("free", 1, 0, 0), ("work", 2, 5, 0)] * 9
    )
    with file_of(capture_of(machine.records)) as fd:
        records = list(memray.FileReader(f"/proc/self/fd/{fd}").get_allocation_records())
    assert [(r.tid, r.address, r.size, r.allocator) for r in records] == [
        (r.tid, r.address, r.size, r.allocator) for r in machine.records
    ]
    machine = run([("make", 1, 0, 0), ("malloc", 2, 5, 0), ("unmake", 2, 0, 0)] * 9)
    with file_of(capture_of(machine.records, events=machine.events)) as fd:
        reader: Any = memray.FileReader(f"/proc/self/fd/{fd}")
        events = [(e.tid, e.address, e.is_created) for e in reader.get_object_lifetime_events()]
    assert events == [(e.tid, e.address, e.is_created) for e in machine.events]


@pytest.mark.parametrize(
    "capture",
    [
        b"",
        b"memray\0",
        b"something else entirely, and long enough for a header",
        header(version=12),
        header(version=14),
        header(file_format=1),
        header()[:-1],
    ],
)
def test_captures_of_other_versions_are_refused(capture: bytes) -> None:
    """memray's reader reads other versions."""
    with file_of(capture) as fd, pytest.raises(ValueError, match="not a capture"):
        Scanner(fd, ALPHABET)


def test_a_block_whose_marks_are_not_all_there_has_no_figures() -> None:
    """Wherever the capture ends; forgotten blocks are never found."""
    machine = run([("open", 1, 0, 0), ("malloc", 1, 9, 0), ("malloc", 2, 30, 0)])
    capture = capture_of(machine.records)
    n_whole = 0
    for length in range(len(header()), len(capture)):
        with file_of(capture[:length] + bytes(100)) as fd:
            scanner = Scanner(fd, ALPHABET)
            scanner.expect(request_of(0, machine.blocks[0]))
            account = None
            with contextlib.suppress(ValueError):  # a record that is cut, and zero bytes
                account = scanner.close_block(0)
            if account is not None:
                n_whole += 1
                assert account.measurement == figures_of(machine.blocks[0])
    assert 0 < n_whole < len(capture) // 2
    with file_of(capture) as fd:
        scanner = Scanner(fd, ALPHABET)
        scanner.expect(request_of(0, machine.blocks[0]))
        scanner.forget(0)
        assert scanner.close_block(0) is None


def test_an_interrupted_block_is_recognized() -> None:
    """A thread that never marked the end of membudget's work."""
    machine = Machine()
    machine.open(1, 0, 0)
    machine._mark(2, Kind.PAUSE, 0, 0)
    machine.malloc(2, 500, 0)
    machine._mark(2, Kind.END, 77, 0)
    machine._close(0, 1)
    with file_of(capture_of(machine.records)) as fd:
        request = request_of(0, machine.blocks[0])
        scanner = Scanner(fd, ALPHABET)
        scanner.expect(request)
        scanned = scanner.close_block(0)
        assert scanned == Replay(f"/proc/self/fd/{fd}", ALPHABET, request).account()
    assert scanned is not None
    assert scanned.interrupted


def test_many_blocks_threads_and_mappings() -> None:
    """Larger than what random programs reach: tables grow, shrink and are cleared."""
    machine = Machine()
    for tid in range(1, 65):
        machine.open(tid, -1, 0, thread_only=bool(tid % 2))
    for n in range(1500):
        machine.malloc(n % 64 + 1, n % 50, 0)
        machine.mmap(n % 64 + 1, 3 * n % 997, n % 5 + 1)
        if n % 3 == 0:
            machine.free(n % 64 + 1, n, 0)
            machine.munmap(1, 7 * n % 900, 3)
    for serial in range(64):
        machine._close(serial, serial + 1, -1)
    with file_of(capture_of(machine.records)) as fd:
        scanner = Scanner(fd, ALPHABET)
        for serial, block in enumerate(machine.blocks):
            scanner.expect(request_of(serial, block))
        for serial, block in enumerate(machine.blocks):
            account = scanner.close_block(serial)
            assert account is not None
            assert account.measurement == figures_of(block)
