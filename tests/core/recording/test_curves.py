"""Curves: how much a block had alive over time."""

from __future__ import annotations

import os
import sys
import tempfile

import pytest
from captures import TRAILER, CaptureWriter
from conftest import in_subprocess
from hypothesis import given, settings
from hypothesis import strategies as st
from membudget import Curve
from membudget.recording.marks import find_marks
from membudget.recording.readers.accounting import BlockMarks, alive_at, locate
from membudget.recording.readers.scanner import Scanner, scanner_problem
from membudget.recording.request import BlockRequest
from programs import ALPHABET, Block, Machine, Operation, operations

pytestmark = pytest.mark.skipif(scanner_problem() is not None, reason="there is no scanner")

needs_follower = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2,
    reason="no thread notes the time on other systems and with one processor",
)

MOST_BUCKETS = 120
UNIT_MS = 20 << 20
"""The time between two ticks, so long that the time in which a test runs changes nothing."""


def expected_curve(
    machine: Machine, marks: BlockMarks, block: Block, times: list[tuple[int, int]]
) -> Curve | None:
    """Return the curve by the book: each stretch has the most of every sample that meets it."""

    def alive(index: int) -> int:
        only = block.thread_only
        found = alive_at(machine.records, marks, current_thread_only=only, index=index)
        return sum(n_bytes for _, n_bytes in found)

    begin, end = marks.start.last, marks.end.first
    amounts = {index: alive(index) for index in range(begin, end)}
    inside = [(n_before, time) for n_before, time in times if begin < n_before <= end]
    if not inside:
        return None
    width = 20
    while inside[-1][1] // width >= MOST_BUCKETS:
        width *= 2
    maxima = [0] * (inside[-1][1] // width + 1)
    last, since = begin + 1, 0
    for n_before, time in [*inside, (end, None)]:
        most = max(amounts[index] for index in range(last - 1, n_before))
        first = len(maxima) - 1 if time is None else since // width
        for bucket in range(first, len(maxima) if time is None else time // width + 1):
            maxima[bucket] = max(maxima[bucket], most)
        last, since = n_before, time or since
    return Curve(width, tuple(maxima))


def scanner_of(machine: Machine, seed: int, ticks: list[tuple[int, int]]) -> Scanner:
    """Return the scanner of a capture, which knows when parts of it were written."""
    writer = CaptureWriter(seed=seed).write_all(machine.records)
    file = tempfile.TemporaryFile()
    with file:
        file.write(writer.written + TRAILER)
        file.flush()
        scanner = Scanner(os.dup(file.fileno()), ALPHABET)
    for serial, block in enumerate(machine.blocks):
        scanner.expect(BlockRequest(serial, block.thread_only))
    for n_before, time in ticks:
        scanner._scanner.tick(writer.ends[n_before - 1], time)
    return scanner


@settings(max_examples=int(os.environ.get("MEMBUDGET_TEST_EXAMPLES", "40")), deadline=None)
@given(
    operations,
    st.integers(0, 1000),
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 50)), max_size=30),
)
def test_curves_are_those_of_the_book(
    program: list[Operation], seed: int, drawn: list[tuple[float, int]]
) -> None:
    """Of nested, suspended and overlapping blocks, in threads."""
    machine = Machine()
    machine.run([("open", 1, -1, 0), *program])
    time = 0
    ticks = []
    for part, more in sorted(drawn):
        time += more * UNIT_MS
        ticks.append((1 + int(part * (len(machine.records) - 1)), time))
    scanner = scanner_of(machine, seed, ticks)
    for serial, block in enumerate(machine.blocks):
        assert scanner.close_block(serial) is not None
        curve = scanner.curve(serial)
        marks = locate(find_marks(machine.records, ALPHABET), serial)
        assert marks is not None
        assert curve == expected_curve(machine, marks, block, ticks)
        if curve is not None:
            assert max(curve.maxima) == block.peak
            assert len(curve.maxima) <= MOST_BUCKETS


def curve_of(*steps: tuple[int, int], unit_ms: int = UNIT_MS) -> Curve | None:
    """Return the curve of a block that allocates some bytes, and then lets some time pass."""
    machine = Machine()
    machine.run([("open", 1, -1, 0), *[("malloc", 1, n_bytes, 0) for n_bytes, _ in steps]])
    first = next(find_marks(machine.records, ALPHABET)).last + 2
    time = 0
    ticks = []
    for n_before, (_, after) in enumerate(steps, first):
        time += after * unit_ms
        if after:
            ticks.append((n_before, time))
    scanner = scanner_of(machine, 0, ticks)
    assert scanner.close_block(0) is not None
    return scanner.curve(0)


def test_a_block_that_is_shorter_than_the_clock_has_no_curve() -> None:
    assert curve_of((100, 0), (200, 0)) is None
    assert curve_of((100, 0), (200, 120)) == Curve(2 * UNIT_MS, (300,) * 61)


def test_neighbours_become_one_when_a_curve_is_full() -> None:
    """However long a block is, it has at most 120 stretches of time, and keeps its peak."""
    full = curve_of(*[(1, 1)] * 119)
    assert full == Curve(UNIT_MS, (*range(1, 120), 119))
    doubled = curve_of(*[(1, 1)] * 120)
    assert doubled == Curve(2 * UNIT_MS, (*range(2, 121, 2), 120))
    assert curve_of((3, 1), (4, 119 << 20)) == Curve(UNIT_MS << 20, (7,) * 120)


def test_what_comes_after_the_last_tick_is_in_the_last_stretch() -> None:
    assert curve_of((5, 119), (900, 0)) == Curve(UNIT_MS, (*(5,) * 119, 905))


def test_a_curve_knows_when_nothing_happened() -> None:
    """What was alive for a moment does not fill the time after it in which nothing is written."""
    machine = Machine()
    machine.run([("open", 1, -1, 0), ("malloc", 1, 900, 0), ("free", 1, 0, 0)])
    n_before = next(find_marks(machine.records, ALPHABET)).last + 3
    scanner = scanner_of(machine, 0, [(n_before, n * UNIT_MS) for n in range(1, 120)])
    assert scanner.close_block(0) is not None
    assert scanner.curve(0) == Curve(UNIT_MS, (900, 900, *(0,) * 118))


def test_many_ticks_that_were_not_scanned_take_little_memory() -> None:
    """They get further apart, alike from the first to the last one."""
    n_ticks = 10_000
    curve = curve_of(*[(1, 1)] * n_ticks, unit_ms=20)
    assert curve is not None
    assert max(curve.maxima) == curve.maxima[-1] == n_ticks
    step = curve.bucket_ms // 20
    for number, most in enumerate(curve.maxima[:-1], 1):
        assert abs(most - number * step) < step / 4


@needs_follower
@in_subprocess
def test_a_block_that_is_over_its_limit_has_a_curve() -> None:
    """It rises as the program allocates; its largest value is the peak; figures alone have none."""
    import time
    from itertools import pairwise

    from membudget import MemoryLimitExceeded, limit_memory, measure_memory

    kept = []
    with measure_memory() as within:
        try:
            with limit_memory("1 KB") as outer:
                for _ in range(15):
                    kept.append(bytearray(100_000))
                    time.sleep(0.02)
                try:
                    with limit_memory("1 KB") as inner:
                        kept.append(bytearray(300_000))
                        with inner.paused():
                            kept.append(bytearray(900_000))
                            time.sleep(0.2)
                except MemoryLimitExceeded:
                    kept.pop()
        except MemoryLimitExceeded:
            pass
    measured = [outer.measurement, inner.measurement]
    for one in measured:
        assert one is not None
        assert one.curve is not None
        assert max(one.curve.maxima) == one.peak_bytes
        assert 2 <= len(one.curve.maxima) <= 120
    assert outer.peak_bytes > 2_700_000
    assert inner.peak_bytes < 400_000
    assert measured[0] is not None
    assert measured[0].curve is not None
    rising = measured[0].curve.maxima
    top = rising.index(max(rising))
    assert rising[0] < rising[top]
    for before, after in pairwise(rising[: top + 1]):
        assert after > before - 10_000  # Python frees small objects of its own
    assert within.measurement is not None
    assert within.measurement.curve is None


@needs_follower
@in_subprocess
def test_a_test_in_the_report_has_a_curve() -> None:
    """Also one that keeps its limit; tests that the report does not show have none."""
    import time

    from membudget import Budget
    from membudget.runs import Block, Run, Settings

    run = Run(Settings(most_allocations=1), "unittest")
    run.begin()
    kept = []
    for name, n_bytes in (("small", 100_000), ("large", 200_000)):

        def keep(*measured: object, name: str = name) -> None:
            run.add(name, *measured)  # type: ignore[arg-type]

        with Block(Budget(), always_allocations=True, on_measured=keep):
            kept.append(bytearray(n_bytes))
            time.sleep(0.2)
    small, large = (one.measurement for one in run.end())
    assert small.curve is None
    assert large.curve is not None
    assert max(large.curve.maxima) == large.peak_bytes
