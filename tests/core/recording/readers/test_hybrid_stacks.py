"""With native stacks, the filter of limit_leaks gets hybrid stacks."""

from __future__ import annotations

import os
import sys
import tempfile

import pytest
from conftest import in_subprocess

KEPT: list[object] = []


def keep(n_bytes: int) -> None:
    KEPT.append(bytearray(n_bytes))


def finds_native_frames() -> bool:
    """Whether memray itself has native frames in hybrid stacks.

    It finds none in Debian's Python 3.14, which is stripped: most of the interpreter loop belongs
    to no symbol there. Hybrid stacks are the Python stacks then.
    """
    if sys.version_info < (3, 14):
        return True
    import memray

    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "capture")
        with memray.Tracker(path, native_traces=True, trace_python_allocators=True):
            keep(100_000)
        (kept,) = (
            record
            for record in memray.FileReader(path).get_leaked_allocation_records(merge_threads=True)
            if record.size >= 100_000
        )
        return len(kept.hybrid_stack_trace(100)) > len(kept.stack_trace(100))


def check_what_the_filter_gets(*, native: bool, nested: bool) -> None:
    """Its stacks are those of memray, cut to the frames inside the block."""
    import contextlib

    from membudget import Budget, Frame, LeakLimit, MemoryLimitExceeded, Stack, measure_memory
    from membudget.runs import Block, TraceSettings, in_block

    asked: list[tuple[Frame, ...]] = []
    answer = True

    def counts(stack: Stack) -> bool:
        asked.append(tuple(stack.frames))
        return answer

    def run() -> Block:
        trace = TraceSettings(native_traces=native, trace_python_allocators=True)
        block = Block(Budget((), leaks=LeakLimit(50_000, counts)), trace=trace, around_call=True)
        with Block(Budget(), trace=trace) if nested else contextlib.nullcontext():
            in_block(block, keep)(100_000)
        return block

    answer = False
    block = run()
    (first,) = asked
    answer = True
    asked.clear()
    with pytest.raises(MemoryLimitExceeded) as exceeded:
        run()
    (frames,) = asked
    assert [one.function for one in frames if one.filename == __file__] == ["keep"]
    assert frames[-1].function == "keep"
    assert not any("membudget/block.py" in one.filename for one in frames)
    assert (len(frames) > 1) is (native and finds_native_frames()), frames
    assert [one.function for one in first] == [one.function for one in frames]
    (leak,) = exceeded.value.verdict.leaks
    assert leak.stack == frames
    assert leak.size_bytes >= 100_000
    assert block.retained_bytes >= leak.size_bytes
    with measure_memory():  # the recording goes on
        pass


@in_subprocess
def test_the_filter_of_limit_leaks_gets_native_frames() -> None:
    check_what_the_filter_gets(native=True, nested=False)


@in_subprocess
def test_it_does_in_a_block_inside_another_one() -> None:
    check_what_the_filter_gets(native=True, nested=True)


@in_subprocess
def test_it_does_without_the_scanner() -> None:
    os.environ["MEMBUDGET_READER"] = "replay"
    check_what_the_filter_gets(native=True, nested=False)


@in_subprocess
def test_without_native_stacks_it_gets_python_stacks() -> None:
    check_what_the_filter_gets(native=False, nested=True)


@in_subprocess
def test_without_a_filter_the_stacks_of_leaks_are_python_stacks() -> None:
    """Native stacks change no verdict then."""
    from membudget import Budget, LeakLimit, MemoryLimitExceeded
    from membudget.runs import Block, TraceSettings, in_block

    trace = TraceSettings(native_traces=True, trace_python_allocators=True)
    block = Block(Budget((), leaks=LeakLimit(50_000)), trace=trace, around_call=True)
    with pytest.raises(MemoryLimitExceeded) as exceeded:
        in_block(block, keep)(100_000)
    (leak,) = exceeded.value.verdict.leaks
    assert [one.function for one in leak.stack] == ["keep"]
