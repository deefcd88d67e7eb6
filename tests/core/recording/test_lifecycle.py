"""The life cycle of the recording: blocks, runs, settings, segments, threads and processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import in_subprocess, run_python_in
from membudget.recording.readers.scanner import scanner_problem
from membudget.recording.restart_policy import SECONDS_PER_BYTE, RestartPolicy

SCANS = scanner_problem() is None
needs_scanner = pytest.mark.skipif(
    not SCANS, reason="without a scanner, every block has its own recording"
)


def test_a_gap_that_costs_more_than_a_restart_stops_the_recording() -> None:
    """For one block, then for twice as many each time; a cheap gap resets this."""
    policy = RestartPolicy()
    policy.restart_seconds = 0.01
    dear = int(0.02 / SECONDS_PER_BYTE)
    assert policy.continues()
    for n_stopped in (1, 2, 4):
        policy.add_gap(dear)
        assert [policy.continues() for _ in range(n_stopped + 1)] == [False] * n_stopped + [True]
    policy.add_gap(100)
    assert policy.continues()
    policy.add_gap(dear)
    assert [policy.continues(), policy.continues()] == [False, True]


@needs_scanner
@in_subprocess
def test_one_recording_serves_the_blocks_of_a_run() -> None:
    """And ends with the run; without a run, each block has its own recording."""
    import memray
    from membudget import measure_memory
    from membudget.recording.recorder import get_recorder
    from membudget.runs import Run, Settings
    from workloads import allocate

    run = Run(Settings(most_allocations=5), "unittest")
    run.begin()
    with measure_memory():
        pass
    segment = get_recorder()._segment
    assert segment is not None
    for n in range(100):
        with measure_memory() as memory:
            allocate(1000 + n)
        allocate(5000)  # between the blocks
        if n:  # in the first, Python makes objects of its own for this function
            assert (memory.peak_bytes, memory.n_allocations) == (1000 + n, 1)
        assert get_recorder()._segment is segment
    run.end()
    assert get_recorder()._segment is None
    with memray.Tracker("after.bin"):
        pass
    with measure_memory():
        pass
    assert get_recorder()._segment is None


@needs_scanner
@in_subprocess
def test_stacks_and_filters_need_no_reader_of_memrays() -> None:
    """A block that needs stacks does not stop the recording; a filter is called once per stack."""
    import linecache

    import memray
    from membudget import (
        MemoryLimitExceeded,
        Stack,
        hookimpl,
        limit_leaks,
        limit_memory,
        measure_memory,
        plugin_manager,
    )
    from membudget.recording.recorder import get_recorder
    from membudget.runs import Run, Settings

    def refuse(*_: object) -> None:
        raise AssertionError("a capture was opened with memray's reader")

    memray.FileReader = refuse  # type: ignore[assignment, misc]
    asked: list[Stack] = []

    class Suite:
        @hookimpl
        def membudget_keep_allocation(self, stack: Stack) -> None:
            asked.append(stack)

    kept = []

    def exceed(block: limit_memory | limit_leaks) -> MemoryLimitExceeded:
        try:
            with block:
                for _ in range(1000):
                    kept.append(bytearray(2000))
        except MemoryLimitExceeded as error:
            return error
        raise AssertionError("within")

    def at_peak(block: limit_memory) -> str:
        return exceed(block).measurement.allocations[0].stack[0].function

    run = Run(Settings(most_allocations=5), "unittest")
    run.begin()
    with measure_memory():  # the recording starts
        pass
    segment = get_recorder()._segment
    with measure_memory():
        assert at_peak(limit_memory("1 MB")) == "exceed"
        assert at_peak(limit_memory("1 MB", only=__file__)) == "exceed"
        assert at_peak(limit_memory("1 MB", ignore="elsewhere.py")) == "exceed"
    plugin_manager().register(Suite())
    exceed(limit_memory("1 MB"))
    innermost = [stack.frames[0] for stack in asked if stack.frames]
    lines = [linecache.getline(frame.filename, frame.lineno) for frame in innermost]
    # One stack makes the bytes, and one at most lets the list grow.
    assert 1 <= sum("bytearray(2000)" in line for line in lines) <= 2
    assert get_recorder()._segment is segment
    assert (
        exceed(limit_leaks("1 MB")).verdict.leaks[0].stack[0].function == "exceed"
    )  # traced otherwise
    run.end()


@needs_scanner
@in_subprocess
def test_a_result_whose_segment_ends_with_its_block_has_its_allocations() -> None:
    """A large test ends its segment before it is known whether the report shows it."""
    from membudget import Budget, Measurement, Verdict
    from membudget.recording import recorder
    from membudget.runs import Block, LateStacks, Run, Settings
    from workloads import allocate

    recorder.SEGMENT_BYTES = 1000  # type: ignore[misc]
    run = Run(Settings(most_allocations=5), "unittest")
    run.begin()

    def keep(m: Measurement, v: Verdict, late: LateStacks | None) -> None:
        assert recorder.get_recorder()._segment is None
        run.add("large", m, v, late)

    with Block(Budget(), always_allocations=True, on_measured=keep):
        for _ in range(1000):
            allocate(1000)
    (result,) = run.end()
    (allocation,) = result.measurement.allocations
    assert (allocation.size_bytes, allocation.n_allocations) == (1000, 1)


@needs_scanner
@in_subprocess
def test_a_large_segment_is_cut_between_blocks() -> None:
    """So that captures stay small; figures do not change, and nothing open is cut."""
    from membudget import measure_memory
    from membudget.recording import recorder
    from membudget.runs import Run, Settings
    from workloads import allocate

    recorder.SEGMENT_BYTES = 20_000  # type: ignore[misc]
    run = Run(Settings(most_allocations=5), "unittest")
    run.begin()
    segments = set()
    kept = []
    for n in range(30):
        with measure_memory() as outer:
            with measure_memory() as memory:
                for _ in range(500):
                    allocate(1000)
            segment = recorder.get_recorder()._segment
            assert segment is not None
            segments.add(id(segment))
            kept.append(segment)
        if n:  # in the first, Python makes objects of its own for this function
            assert (memory.peak_bytes, memory.n_allocations) == (1000, 500)
            assert outer.n_allocations == 500
    run.end()
    assert 5 < len(segments) < 30


@needs_scanner
@in_subprocess
def test_only_the_largest_results_of_a_run_have_their_allocations_read() -> None:
    """Reading stacks takes long, so it is done at the end, and only for results that are shown."""
    from membudget import Allocation, Budget, Measurement, Verdict
    from membudget.recording.readers.scanner import ScannedStacks
    from membudget.runs import Block, LateStacks, Run, Settings
    from workloads import KIB, allocate

    n_read = 0
    allocations = ScannedStacks.allocations

    def counting(self: ScannedStacks) -> tuple[Allocation, ...]:
        nonlocal n_read
        n_read += 1
        return allocations(self)

    ScannedStacks.allocations = counting  # type: ignore[method-assign]
    run = Run(Settings(most_allocations=2), "unittest")
    run.begin()
    for n in (5, 90, 20, 80, 10, 70):

        def keep(m: Measurement, v: Verdict, late: LateStacks | None, name: str = str(n)) -> None:
            run.add(name, m, v, late)

        with Block(Budget(), always_allocations=True, on_measured=keep):
            allocate(n * KIB)
    results = run.end()
    assert [result.name for result in results] == ["5", "90", "20", "80", "10", "70"]
    shown = {result.name for result in results if result.measurement.allocations}
    assert shown == {"90", "80"}
    assert n_read == 2
    allocation = results[1].measurement.allocations[0]
    assert (allocation.size_bytes, allocation.n_allocations) == (90 * KIB, 1)
    assert [frame.function for frame in allocation.stack] == [
        "malloc",
        "allocate",
        "test_only_the_largest_results_of_a_run_have_their_allocations_read",
    ]


@in_subprocess
def test_a_result_that_is_replaced_by_a_smaller_one_makes_room() -> None:
    """As when a test runs again: the results in the report have their allocations."""
    from membudget import Budget, Measurement, Verdict
    from membudget.runs import Block, LateStacks, Run, Settings
    from workloads import KIB, allocate

    run = Run(Settings(most_allocations=1), "unittest")
    run.begin()
    for name, n in (("flaky", 90), ("other", 80), ("flaky", 10)):

        def keep(m: Measurement, v: Verdict, late: LateStacks | None, name: str = name) -> None:
            run.add(name, m, v, late)

        with Block(Budget(), always_allocations=True, on_measured=keep):
            allocate(n * KIB)
    results = {result.name: result.measurement for result in run.end()}
    assert results["other"].allocations[0].size_bytes == 80 * KIB


@in_subprocess
def test_a_run_that_ends_inside_a_block_has_its_allocations() -> None:
    """As when a test of a pytest plugin runs pytest in its own process."""
    from membudget import Budget, Measurement, Verdict, measure_memory
    from membudget.runs import Block, LateStacks, Run, Settings
    from workloads import KIB, allocate

    with measure_memory() as outer:
        run = Run(Settings(most_allocations=0), "unittest")
        run.begin()

        def keep(m: Measurement, v: Verdict, late: LateStacks | None) -> None:
            run.add("inner", m, v, late)

        with Block(Budget(), always_allocations=True, on_measured=keep):
            allocate(50 * KIB)
        (result,) = run.end()
        assert result.measurement.allocations[0].size_bytes == 50 * KIB
        allocate(80 * KIB)
    assert outer.peak_bytes >= 80 * KIB


@in_subprocess
def test_blocks_with_other_settings() -> None:
    """An outermost block gets its settings; a block inside it must have the same ones."""
    from membudget import Budget, MisuseError, measure_memory
    from membudget.runs import Block, Run, Settings, TraceSettings

    objects = TraceSettings(trace_python_allocators=True)
    run = Run(Settings(most_allocations=5), "unittest")
    run.begin()
    for trace in (None, objects, TraceSettings(native_traces=True), TraceSettings(), objects):
        with Block(Budget(), trace=trace) as memory:
            kept = [str(n) for n in range(300, 400)]
        assert len(kept) == 100
        counts_objects = trace is not None and trace.trace_python_allocators
        assert (memory.n_allocations >= 100) == counts_objects, (trace, memory.measurement)
    with Block(Budget(), trace=objects) as outer:
        with Block(Budget(), trace=objects) as same, measure_memory() as any_settings:
            kept = [str(n) for n in range(300, 400)]
        try:
            with Block(Budget(), trace=TraceSettings()):
                raise AssertionError("the body must not run")
        except MisuseError as error:
            assert "Python's own allocators" in str(error)
            assert "the open block around it has one with" in str(error)
        more = [str(n) for n in range(300, 400)]
    assert len(more) == 100
    assert same.n_allocations >= any_settings.n_allocations >= 100
    assert outer.n_allocations >= same.n_allocations + 100
    run.end()


@needs_scanner
@in_subprocess
def test_an_empty_block_measures_nothing_in_every_mode() -> None:
    from membudget import Budget, measure_memory
    from membudget.runs import Block, Run, Settings, TraceSettings

    # Small functions: before it calls __exit__, Python 3.12 makes an int of the place in the
    # function, which is a new object for places beyond 256.
    def empty(trace: TraceSettings) -> Block:
        with Block(Budget(), trace=trace) as memory:
            pass
        return memory

    def nested(trace: TraceSettings) -> Block:
        with Block(Budget(), trace=trace), measure_memory() as memory:
            pass
        return memory

    modes = [
        TraceSettings(native, objects) for native in (False, True) for objects in (False, True)
    ]
    run = Run(Settings(most_allocations=5), "unittest")
    for _ in range(2):  # without a run, and in one
        for trace in modes:
            for block in (empty, empty, nested, nested):
                memory = block(trace)
                assert memory.n_allocations == 0, (block, trace, memory.measurement)
        run.begin()


@in_subprocess
def test_a_thousand_nested_blocks() -> None:
    """Each is exact; in one thread, closed from the inside out."""
    import contextlib

    from membudget import measure_memory
    from workloads import allocate, make_headroom

    make_headroom()
    blocks = [measure_memory() for _ in range(1000 if SCANS else 20)]
    with contextlib.ExitStack() as stack:
        for block in blocks:
            stack.enter_context(block)
            allocate(1_000_000)
    for depth, block in enumerate(blocks):
        measured = block.measurement
        assert measured is not None
        # What is smaller is the stack of blocks itself, as it grows.
        assert measured.size_histogram[20] == len(blocks) - depth
        assert 1_000_000 <= measured.peak_bytes < 2_200_000  # and maybe an arena


@in_subprocess
def test_many_threads_with_blocks_of_their_own() -> None:
    """At the same time; each counts its own thread, exactly."""
    import threading

    from membudget import measure_memory
    from workloads import allocate, make_headroom

    make_headroom()
    n_threads = 64 if SCANS else 8
    barrier = threading.Barrier(n_threads)
    wrong = []

    def work(n: int) -> None:
        with measure_memory(current_thread_only=True) as memory:
            barrier.wait()
            for _ in range(50):
                allocate(1_000_000 + n)
            barrier.wait()
        measured = memory.measurement
        assert measured is not None
        large = sum(measured.size_histogram[20:])
        if large != 50 or not 1_000_000 + n <= measured.peak_bytes < 1_100_000:
            wrong.append((n, measured))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]


@in_subprocess
def test_a_block_that_begins_while_another_one_is_read_has_whole_stacks() -> None:
    """Also those of the other block's thread, whose calls were not followed for a moment."""
    import threading

    from membudget import MemoryLimitExceeded, limit_memory, measure_memory
    from membudget.recording.recorder import OpenBlock
    from membudget.runs import Run, Settings
    from memray._test import MemoryAllocator
    from workloads import KIB

    Run(Settings(most_allocations=5), "unittest").begin()
    begins, has_begun, ends = threading.Event(), threading.Event(), threading.Event()
    messages = []
    kept = MemoryAllocator()

    def allocate_at_last() -> None:
        kept.malloc(300 * KIB)

    def overlap() -> None:
        begins.wait()
        try:
            with limit_memory("100 KiB"):
                has_begun.set()
                ends.wait()
        except MemoryLimitExceeded as exceeded:
            messages.append(str(exceeded))

    ended = OpenBlock.ended

    def ended_then_overlap(block: OpenBlock) -> None:
        OpenBlock.ended = ended  # type: ignore[method-assign]
        ended(block)
        begins.set()
        has_begun.wait()

    other = threading.Thread(target=overlap)
    other.start()
    with measure_memory():
        OpenBlock.ended = ended_then_overlap  # type: ignore[method-assign,assignment]
    allocate_at_last()
    ends.set()
    other.join()
    assert "called by allocate_at_last:" in messages[0], messages[0]


@in_subprocess
def test_a_thread_that_outlives_a_block() -> None:
    """Its later work belongs to later blocks; memory that it frees later was retained."""
    import threading

    from membudget import measure_memory
    from membudget.runs import Run, Settings
    from memray._test import MemoryAllocator
    from workloads import KIB

    Run(Settings(most_allocations=1), "unittest").begin()
    first, second, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        kept, more = MemoryAllocator(), MemoryAllocator()
        kept.malloc(100 * KIB)
        first.set()
        second.wait()
        kept.free()
        more.malloc(200 * KIB)
        more.free()
        done.set()

    with measure_memory() as before:
        thread = threading.Thread(target=work)
        thread.start()
        first.wait()
    with measure_memory() as after:
        second.set()
        done.wait()
    thread.join()
    assert before.retained_bytes >= 100 * KIB
    assert 200 * KIB <= after.peak_bytes < 230 * KIB


@in_subprocess
def test_blocks_of_a_run_may_come_from_different_threads() -> None:
    """The stacks of each are its own."""
    import threading

    from membudget import Budget
    from membudget.runs import Block, Run, Settings
    from workloads import KIB, allocate

    run = Run(Settings(most_allocations=0), "unittest")
    run.begin()

    def block(name: str) -> None:
        with Block(Budget(), always_allocations=True, on_measured=lambda *m: run.add(name, *m)):
            allocate(100 * KIB)

    for n in range(6):
        if n % 3:
            block(f"main {n}")
            continue
        thread = threading.Thread(target=block, args=(f"thread {n}",))
        thread.start()
        thread.join()
    for result in run.end():
        (allocation,) = [a for a in result.measurement.allocations if a.size_bytes == 100 * KIB]
        assert [frame.function for frame in allocation.stack] == ["malloc", "allocate", "block"]


@in_subprocess
def test_a_fork_between_the_blocks_of_a_run() -> None:
    """There is no thread to warn about, the child starts clean, and the parent's run continues."""
    import os

    from membudget import measure_memory
    from membudget.runs import Run, Settings
    from workloads import KIB, allocate

    run = Run(Settings(most_allocations=5), "unittest")
    run.begin()
    for _ in range(3):
        with measure_memory():
            pass
        child = os.fork()
        if not child:
            status = 1
            try:
                with measure_memory() as memory:
                    allocate(100 * KIB)
                assert memory.peak_bytes == 100 * KIB, memory.measurement
                run.end()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with measure_memory() as memory:
            allocate(100 * KIB)
        assert memory.peak_bytes == 100 * KIB
    run.end()


MULTIPROCESSING = """
import multiprocessing, sys
from membudget import limit_memory, measure_memory, MemoryLimitExceeded
from workloads import KIB, allocate

def child(n):
    with measure_memory() as memory:
        allocate(n * KIB)
    try:
        with limit_memory("10 KB"):
            allocate(n * KIB)
    except MemoryLimitExceeded as error:
        return memory.peak_bytes, str(error).splitlines()[0]

if __name__ == "__main__":
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: fork with threads, memray's
    context = multiprocessing.get_context(sys.argv[1])
    with measure_memory() as memory:
        allocate(300 * KIB)
        with context.Pool(2) as pool:
            results = pool.map(child, [100, 200])
    assert results[0][0] == 100 * KIB and results[1][0] == 200 * KIB, results
    assert results[1][1] == "Block was limited to 10.0KiB but allocated 200.0KiB", results
    assert memory.peak_bytes >= 300 * KIB
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_measure_for_themselves(tmp_path: Path, method: str) -> None:
    """Parent and children each have a recorder; errors are pickled with their data."""
    (tmp_path / "program.py").write_text(MULTIPROCESSING)
    contract = str(Path(__file__).parents[2] / "contract")
    environment = {"PYTHONPATH": contract, "PYTHONWARNINGS": "default"}
    done = run_python_in(tmp_path, "program.py", method, environment=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("end", ["pass", "sys.exit(0)", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_an_exit_between_the_blocks_of_a_run_leaves_no_file(tmp_path: Path, end: str) -> None:
    (tmp_path / "tmp").mkdir()
    program = (
        "import os, sys\nfrom membudget import measure_memory\n"
        "from membudget.runs import Run, Settings\n"
        "Run(Settings(most_allocations=1), 'unittest').begin()\n"
        f"with measure_memory(): pass\nwith measure_memory(): pass\n{end}"
    )
    done = run_python_in(tmp_path, "-c", program, environment={"TMPDIR": str(tmp_path / "tmp")})
    assert done.returncode in (0, -9), done.stderr
    assert done.stderr == ""
    assert not list((tmp_path / "tmp").iterdir())


@in_subprocess
def test_profile_functions_are_back_between_the_blocks_of_a_run() -> None:
    """A debugger or a profiler works there as without measuring."""
    import sys
    from types import FrameType

    from membudget import measure_memory
    from membudget.runs import Run, Settings

    calls: list[str] = []

    def profile(frame: FrameType, event: str, argument: object) -> None:
        calls.append(event)

    run = Run(Settings(most_allocations=5), "unittest")
    run.begin()
    for function in (None, profile, None, profile):
        sys.setprofile(function)
        with measure_memory():
            pass
        assert sys.getprofile() is function
    calls.clear()
    len("a call that the profile function sees")
    assert calls
    sys.setprofile(None)
    run.end()
    assert sys.getprofile() is None


@in_subprocess
def test_cprofile_goes_on_after_a_block() -> None:
    """Before Python 3.12 it is not a function that could be restored."""
    import cProfile

    from membudget import limit_memory, measure_memory
    from membudget.runs import Run, Settings

    def seen() -> None: ...

    run = Run(Settings(most_allocations=5), "unittest")
    for _ in range(2):  # without a run, and in one
        with cProfile.Profile() as profiler:
            for _ in range(3):
                with limit_memory("1 GB"):
                    bytearray(100_000)
                seen()
            with measure_memory():
                pass
        names = {
            entry.code.co_name for entry in profiler.getstats() if hasattr(entry.code, "co_name")
        }
        assert "seen" in names
        run.begin()
    run.end()


FORK_WHILE_ANOTHER_THREAD_OPENS = """
import os, signal, sys, threading, time
from membudget import measure_memory

def first():
    with measure_memory():
        pass

thread = threading.Thread(target=first)
thread.start()
time.sleep(float(sys.argv[1]))
child = os.fork()
if not child:
    signal.alarm(60)
    with measure_memory():
        pass
    os._exit(0)
thread.join()
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize("seconds", ["0.01", "0.05", "0.15", "0.3"])
def test_a_fork_while_another_thread_opens_the_first_block(tmp_path: Path, seconds: str) -> None:
    """And imports memray for it: the child can still open its own blocks."""
    program = ("-W", "ignore", "-c", FORK_WHILE_ANOTHER_THREAD_OPENS, seconds)
    # Python 3.12 warns: there are two threads indeed.
    done = run_python_in(tmp_path, *program, fresh=True)
    assert done.returncode == 0, done.stderr


@in_subprocess
def test_a_fork_in_a_block_does_not_warn_about_memrays_thread() -> None:
    """Python 3.12 warns about forks with several threads; it still warns about the program's."""
    import os
    import sys
    import threading
    import warnings

    from membudget import measure_memory

    def warns() -> bool:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            before = list(warnings.filters)
            child = os.fork()
            if not child:
                os._exit(0 if warnings.filters == before else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert sys.version_info < (3, 12) or warnings.filters == before
        return bool(caught)

    with measure_memory():
        assert not warns()
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait)
        thread.start()
        assert warns() == (sys.version_info >= (3, 12))
        stop.set()
