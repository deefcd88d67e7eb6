"""A kept capture of a block holds exactly what the block counts."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import memray
import pytest
from captures import capture_of
from conftest import in_subprocess
from hypothesis import given, settings
from hypothesis import strategies as st
from membudget import Budget, InvalidOptionError
from membudget.recording.marks import Kind, find_marks
from membudget.recording.readers.scanner import Scanner, scanner_problem
from membudget.recording.request import BlockRequest
from membudget.runs.kept_captures import KeptCaptures
from programs import ALPHABET, Machine, Operation, operations

needs_scanner = pytest.mark.skipif(scanner_problem() is not None, reason="there is no scanner")
FREE = 5
MUNMAP = 15
DEEP = 1000


@needs_scanner
@settings(max_examples=int(os.environ.get("MEMBUDGET_TEST_EXAMPLES", "100")), deadline=None)
@given(operations, st.booleans(), st.integers(0, 1000))
def test_memray_reads_what_the_block_counts(
    program: list[Operation], native: bool, seed: int
) -> None:
    """Addresses, sizes, stacks and native stacks are those of the capture it was cut from."""
    machine = Machine()
    machine.run(program)
    borders: dict[tuple[Kind, int], tuple[int, int]] = {
        (mark.kind, mark.serial): (mark.first, mark.last)
        for mark in find_marks(machine.records, ALPHABET)
    }
    with tempfile.NamedTemporaryFile() as whole, tempfile.NamedTemporaryFile() as cut:
        whole.write(capture_of(machine.records, native=native, seed=seed))
        whole.flush()
        originals = list(memray.FileReader(whole.name).get_allocation_records())
        for serial, block in enumerate(machine.blocks):
            cut.truncate(0)
            cut.seek(0)
            request = BlockRequest(serial, block.thread_only, keeps_capture=True)
            scanner = Scanner(whole.fileno(), ALPHABET)
            scanner.expect(request)
            scanner.close_block(serial)
            scanner.write_block(request, 0, cut.fileno())
            kept = list(memray.FileReader(cut.name).get_allocation_records())[15:]
            first, last = borders[Kind.START, serial][1] + 1, borders[Kind.END, serial][0]
            inside = originals[first:last]
            assert [one.address for one in kept] == [one.address for one in inside]
            counted = []
            native_stacks: dict[int, int] = {}  # their numbers in the one and the other capture
            for one, original in zip(kept, inside, strict=True):
                assert one.tid == original.tid
                if one.allocator == FREE != original.allocator:
                    continue  # not counted: by another thread, or at work for membudget
                assert (one.allocator, one.size) == (original.allocator, original.size)
                if one.allocator not in (1, FREE, 15):
                    counted.append(one.size)
                    assert one.stack_trace(DEEP) == original.stack_trace(DEEP)
                    same = native_stacks.setdefault(original.native_stack_id, one.native_stack_id)
                    assert one.native_stack_id == same
            assert counted == block.sizes
            assert native_stacks.get(0, 0) == 0
            assert len(set(native_stacks.values())) == len(native_stacks)


@needs_scanner
@in_subprocess
def test_the_figures_of_a_kept_capture_are_those_of_its_block() -> None:
    """Inside another block, with a block inside, native or not; its stacks begin with the block."""
    import memray
    from membudget import Measurement, measure_memory
    from membudget.runs import Block, TraceSettings, in_block
    from workloads import allocate, steps

    def work() -> None:
        steps()
        with measure_memory() as inner:
            allocate(100_000)
        assert inner.total_bytes == 100_000

    for trace in (None, TraceSettings(native_traces=True)):
        with Block(Budget(), trace=trace) as outer:
            kept = bytearray(5_000_000)
            for _ in range(2):  # the second one replaces the first
                measured: list[Measurement] = []
                block = Block(
                    Budget(),
                    keep_capture="kept.bin",
                    around_call=True,
                    on_measured=lambda measurement, *_: measured.append(measurement),  # noqa: B023
                )
                in_block(block, work)()
        assert outer.peak_bytes > len(kept)
        reader = memray.FileReader("kept.bin")
        peak = list(reader.get_high_watermark_allocation_records())
        records = [one for one in reader.get_allocation_records() if one.allocator != FREE]
        assert sum(one.size for one in peak) == measured[0].peak_bytes
        assert sum(one.size for one in records) == measured[0].total_bytes
        assert len(records) == measured[0].n_allocations
        assert {one.stack_trace()[-1][0] for one in peak} == {"work"}, peak
        assert reader.metadata.end_time >= reader.metadata.start_time
        assert len(records) < reader.metadata.total_allocations < 2 * len(records) + 100


def check_one_recording(*, native: bool) -> None:
    """Keep captures of nested blocks with threads, and compare them with the whole recording."""
    import threading

    import memray
    from membudget import Measurement
    from membudget.recording.access import get_recorder
    from membudget.recording.segment import Segment
    from membudget.runs import Block, TraceSettings

    measured: dict[str, Measurement] = {}
    serials: dict[str, int] = {}
    starts = []
    start = Segment.start

    def noted_start(segment: Segment) -> None:
        starts.append(segment)
        start(segment)

    def kept(name: str) -> Block:
        return Block(
            Budget(),
            trace=TraceSettings(native_traces=native),
            keep_capture=f"{name}.bin",
            on_measured=lambda measurement, *_: measured.update({name: measurement}),
        )

    def note_serial(name: str, block: Block) -> None:
        assert block._open is not None
        serials[name] = block._open._request.serial

    def function_of(number: int) -> Callable[[], object]:
        scope: dict[str, Callable[[], object]] = {}
        code = f"def function_{number}():\n    return bytearray({1000 * number + 9000})"
        exec(compile(code, "functions.py", "exec"), scope)
        return scope[f"function_{number}"]

    functions = [function_of(number) for number in range(20)]
    recorder = get_recorder()
    with mock.patch.object(Segment, "start", noted_start):
        recorder.begin_run()
        for number, function in enumerate(functions):
            with kept(f"outer-{number}") as outer:
                note_serial(f"outer-{number}", outer)
                first = function()
                thread = threading.Thread(target=function, name=f"thread {number}")
                thread.start()
                thread.join()
                while Path(f"/proc/self/task/{thread.native_id}").exists():
                    pass  # what it still does would be in later blocks
                with kept(f"inner-{number}") as inner:
                    note_serial(f"inner-{number}", inner)
                    second = function()
                del first, second
    assert len(starts) == 1

    whole = starts[0]._capture
    whole.stop()  # memray's reader must not run before that
    records = list(memray.FileReader(whole.path()).get_allocation_records())
    borders = {(mark.kind, mark.serial): mark for mark in find_marks(records, recorder._alphabet)}
    for name, serial in serials.items():
        begin, end = borders[Kind.START, serial].last + 1, borders[Kind.END, serial].first
        with memray.FileReader(f"{name}.bin") as reader:
            kept_records = list(reader.get_allocation_records())[15:]
            counted = []
            for one, original in zip(kept_records, records[begin:end], strict=True):
                assert (one.address, one.tid) == (original.address, original.tid)
                if one.allocator == FREE:
                    continue
                assert (one.allocator, one.size) == (original.allocator, original.size)
                assert one.thread_name == original.thread_name
                if one.allocator != MUNMAP:
                    counted.append(one.size)
                    assert one.stack_trace(DEEP) == original.stack_trace(DEEP)
                    if native:
                        assert one.native_stack_trace(DEEP) == original.native_stack_trace(DEEP)
                        # A kept capture is without the frames around its block.
                        hybrid = one.hybrid_stack_trace(DEEP)
                        assert hybrid == original.hybrid_stack_trace(DEEP)[: len(hybrid)]
            peak = sum(one.size for one in reader.get_high_watermark_allocation_records())
            assert reader.metadata.start_time <= reader.metadata.end_time
        figures = measured[name]
        assert peak == figures.peak_bytes
        assert sum(counted) == figures.total_bytes
        assert len(counted) == figures.n_allocations
        content = Path(f"{name}.bin").read_bytes()
        named = {int(number) for number in re.findall(rb"function_(\d+)\0", content)}
        number = int(name.partition("-")[2])
        # A thread can have the number of one that has ended, and then begins with its last frames.
        assert {number} <= named <= {number - 1, number}
    recorder.end_run()


@needs_scanner
@in_subprocess
def test_captures_of_one_recording_hold_what_memray_reads_in_the_whole() -> None:
    """For many nested blocks with threads; the tracker does not restart for them."""
    check_one_recording(native=False)


@needs_scanner
@in_subprocess
def test_native_captures_of_one_recording_do_as_well() -> None:
    check_one_recording(native=True)


@needs_scanner
@in_subprocess
def test_every_reporter_of_memray_reads_a_kept_capture() -> None:
    """Each finds the function that allocated most."""
    import memray
    from membudget.recording.access import get_recorder
    from membudget.runs import Block, in_block
    from memray.commands import main
    from memray.reporters.tree import TreeReporter
    from workloads import allocate

    get_recorder().begin_run()
    for number in range(3):
        block = Block(Budget(), keep_capture=f"{number}.bin", around_call=True)
        in_block(block, allocate)(1_234_567)
    get_recorder().end_run()
    for arguments in (
        ("flamegraph", "-o", "out"),
        ("flamegraph", "--temporal", "-o", "out"),
        ("flamegraph", "--leaks", "-o", "out"),
        ("table", "-o", "out"),
        ("transform", "gprof2dot", "-o", "out"),
        ("stats",),
        ("summary",),
    ):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert main([*arguments, "2.bin", *(["-f"] if "-o" in arguments else [])]) == 0
        text = printed.getvalue() + (Path("out").read_text() if "-o" in arguments else "")
        assert "allocate" in text or "--leaks" in arguments, arguments
    # The command is an application for the terminal.
    with memray.FileReader("2.bin") as reader:
        peak = list(reader.get_high_watermark_allocation_records())
    assert "allocate" in str(TreeReporter.from_snapshot(iter(peak), native_traces=False).data)
    assert sum(one.size for one in peak) == block.peak_bytes


@needs_scanner
@in_subprocess
def test_a_capture_that_cannot_be_written_is_a_warning() -> None:
    """The figures are not affected, and no partial file and no process is left over."""
    import warnings

    from membudget import NotKeptWarning
    from membudget.runs import Block

    os.mkdir("directory")
    for path in ("nowhere/kept.bin", "directory", "/dev/full"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with Block(Budget(), keep_capture=path) as block:
                kept = bytearray(100_000)
        assert block.peak_bytes >= len(kept)
        assert [one.category for one in caught] == [NotKeptWarning], path
        assert f"{path} was not kept: " in str(caught[0].message)
    assert os.path.exists("/dev/full")


@in_subprocess
def test_without_the_scanner_nothing_is_kept_and_a_warning_says_so() -> None:
    import warnings

    os.environ["MEMBUDGET_READER"] = "replay"
    from membudget.runs import Block

    scanner_problem.cache_clear()
    try:
        KeptCaptures("kept")
    except InvalidOptionError as error:
        assert str(error).startswith("cannot keep captures: the reader in C is missing: ")
    else:
        raise AssertionError
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Block(Budget(), keep_capture="kept.bin"):
            pass
    assert "the reader in C is missing: MEMBUDGET_READER=replay" in str(caught[0].message)
    assert not os.path.exists("kept.bin")


@needs_scanner
def test_names_are_unique_and_fit(tmp_path: Path) -> None:
    """For any length and any characters; the same in every process."""
    captures = KeptCaptures(str(tmp_path / "new/one"), "p")
    names = [
        *("a/b.py::c", "a-b.py::c", "A/b.py::c", "a/b.py::c[x-y]", "a/b.py::c[x/y]"),
        *("a/b.py::c[\n\0]", "ä☃" * 300, "ä☃" * 301, "x" * 250, "x" * 251, "\udc80", "\udc81"),
    ]
    paths = [captures.path_of(name) for name in names]
    assert len({path.lower() for path in paths}) == len(names)
    assert paths == [KeptCaptures(str(tmp_path / "new/one"), "p").path_of(name) for name in names]
    for path in paths:
        assert len(os.fsencode(os.path.basename(path))) <= 255
        Path(path).write_text("can be made")
        assert Path(path).match(captures.pattern)
    assert captures.path_of("tests/test_a.py::test_b").startswith(
        f"{tmp_path}/new/one/p-tests-test_a.py-test_b-"
    )
    assert KeptCaptures(str(tmp_path)).prefix != KeptCaptures(str(tmp_path)).prefix
    with pytest.raises(InvalidOptionError, match="cannot keep captures in '/proc/nowhere'"):
        KeptCaptures("/proc/nowhere")
