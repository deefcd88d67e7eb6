"""Blocks: exact figures, and every way to write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import in_fresh_interpreter, in_subprocess, run_python_in
from membudget import InvalidLimitError, MisuseError, limit_memory, measure_memory
from membudget.runs import Block


@in_subprocess
def test_exact_figures_of_known_work() -> None:
    """Only the program's memory is counted, not membudget's."""
    from membudget import measure_memory
    from workloads import KIB, allocate, make_headroom, mapping, steps

    make_headroom()
    for work in (steps, mapping):
        work()
    with measure_memory() as memory:
        steps()
    measured = memory.measurement
    assert measured is not None
    assert (measured.peak_bytes, measured.total_bytes) == (300 * KIB, 500 * KIB)
    assert (measured.n_allocations, measured.retained_bytes) == (4, 0)
    assert measured.size_histogram[(100 * KIB).bit_length()] == 3
    assert measured.size_histogram[(200 * KIB).bit_length()] == 1
    with measure_memory() as memory:
        mapping()
    assert (memory.peak_bytes, memory.retained_bytes) == (256 * KIB, 0)
    with measure_memory() as memory:
        data = bytes(1_000_000)
    assert (memory.peak_bytes, memory.retained_bytes) == (1_000_033, 1_000_033)
    with measure_memory() as memory:
        del data
        allocate(10)
    assert (memory.peak_bytes, memory.n_allocations) == (10, 1)


@in_subprocess
def test_an_empty_block_measures_nothing() -> None:
    """Also the first one, and inside another."""
    from membudget import Measurement, measure_memory
    from workloads import make_headroom

    make_headroom()
    for _ in range(3):
        with measure_memory() as outer:
            with measure_memory() as inner:
                pass
            with measure_memory():
                pass
        assert inner.measurement == Measurement(0, 0, 0, 0)
        assert outer.measurement == Measurement(0, 0, 0, 0)


@in_subprocess
def test_work_of_membudget_inside_a_block_does_not_count() -> None:
    """A hundred inner blocks, with their reading process and its answers, are not counted."""
    from membudget import measure_memory
    from workloads import KIB, allocate, make_headroom

    make_headroom()
    limits = [measure_memory() for _ in range(100)]
    with measure_memory() as outer:
        for inner in limits:
            with inner:
                allocate(100 * KIB)
    assert {inner.peak_bytes for inner in limits} == {100 * KIB}
    assert (outer.peak_bytes, outer.n_allocations) == (100 * KIB, 100)


@in_subprocess
def test_figures_equal_those_of_memray() -> None:
    """For a block that fills a capture: memray's own high watermark, total, count and leaks."""
    import json

    import memray
    from captures import scanned_block
    from membudget.recording.marks import Alphabet, Kind, make_mark
    from membudget.recording.readers.whole_captures import BlockReader
    from membudget.recording.request import BlockRequest

    document = json.dumps({str(n): list(range(n % 50)) for n in range(30_000)})
    alphabet = Alphabet.draw()
    start, end = alphabet.spell(Kind.START, 1), alphabet.spell(Kind.END, 1)
    in_marks = [length + 33 for length in (*start, *end)]
    destination = memray.FileDestination("capture.bin", compress_on_exit=False)
    with memray.Tracker(destination=destination):
        make_mark(start)
        kept = json.loads(document)
        json.loads(document)
        make_mark(end)
    del kept
    request = BlockRequest(1)
    with open("capture.bin", "rb") as file:
        measured, at_peak = scanned_block(file.fileno(), alphabet, request)
    replayed = BlockReader("capture.bin", alphabet, request)
    assert replayed.figures() == measured
    assert replayed.at_peak() == at_peak
    assert sum(allocation.size_bytes for allocation in at_peak) == measured.peak_bytes

    reader = memray.FileReader("capture.bin")
    stats = memray._memray.compute_statistics("capture.bin")
    high = list(reader.get_high_watermark_allocation_records())
    leaked = list(reader.get_leaked_allocation_records())
    before = 4096  # what the tracker itself does before the first mark and after the last
    assert measured.peak_bytes > 1_000_000
    assert 0 <= sum(record.size for record in high) - measured.peak_bytes < before
    assert 0 <= sum(record.size for record in leaked) - measured.retained_bytes < before
    assert 0 <= stats.total_memory_allocated - sum(in_marks) - measured.total_bytes < before
    assert 0 <= stats.total_num_allocations - len(in_marks) - measured.n_allocations < 5
    by_function = {
        (record.stack_trace(1)[0][0], record.size) for record in high if record.size > before
    }
    assert by_function == {
        (allocation.stack[0].function, allocation.size_bytes)
        for allocation in at_peak
        if allocation.size_bytes > before
    }


@in_subprocess
def test_nested_and_overlapping_blocks_are_exact() -> None:
    """In one thread, in two threads at once, in asyncio tasks that do not nest."""
    import asyncio

    from membudget import measure_memory
    from workloads import KIB, make_headroom, nested, overlapping, siblings

    make_headroom()
    nested()
    with measure_memory() as memory:
        nested()
    # CPython 3.11 allocates a line table for each function that memray traces.
    assert 100 * KIB <= memory.peak_bytes < 104 * KIB, memory.measurement
    for _ in range(3):
        siblings()
        asyncio.run(overlapping())


@in_subprocess
def test_threads_keep_counting_while_another_closes_its_block() -> None:
    """Allocations of other threads are counted while a block is read."""
    import threading

    from membudget import measure_memory
    from workloads import KIB, allocate, make_headroom

    make_headroom()
    done = threading.Event()
    rounds = 0

    def churn() -> None:
        nonlocal rounds
        while not done.is_set():
            allocate(64 * KIB)
            rounds += 1

    thread = threading.Thread(target=churn)
    before = threading.Event()
    with measure_memory() as outer:
        thread.start()
        for _ in range(5):
            with measure_memory(current_thread_only=True) as inner:
                allocate(100 * KIB)
                before.wait(0.01)
            assert inner.peak_bytes == 100 * KIB, inner.measurement
        done.set()
        thread.join()
    expected = rounds * 64 * KIB + 5 * 100 * KIB
    assert rounds > 100
    assert 0 <= outer.total_bytes - expected < 64 * KIB, (outer.measurement, rounds)


@in_subprocess
def test_current_thread_only_counts_one_thread() -> None:
    from concurrent.futures import ThreadPoolExecutor

    from membudget import measure_memory
    from workloads import KIB, allocate, make_headroom

    make_headroom()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(allocate, 10).result()
        with measure_memory(current_thread_only=True) as own, measure_memory() as all_threads:
            allocate(100 * KIB)
            pool.submit(allocate, 900 * KIB).result()
    assert 100 * KIB <= own.peak_bytes < 110 * KIB
    assert 900 * KIB <= all_threads.peak_bytes < 910 * KIB


@in_subprocess
def test_many_threads_may_open_their_first_block_at_once() -> None:
    """There is one recorder, even if many threads need it first at the same time."""
    import threading

    from membudget import measure_memory

    barrier = threading.Barrier(8)
    peaks = []

    def work() -> None:
        barrier.wait()
        with measure_memory(current_thread_only=True) as memory:
            bytearray(100_000)
        peaks.append(memory.peak_bytes)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(peaks) == 8
    assert min(peaks) >= 100_000


@in_subprocess
def test_a_block_may_end_in_another_thread() -> None:
    import threading

    from membudget import measure_memory
    from workloads import KIB, allocate

    block = measure_memory()
    block.__enter__()
    allocate(300 * KIB)
    thread = threading.Thread(target=block.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    assert block.peak_bytes >= 300 * KIB


@in_subprocess
def test_the_limit_is_inclusive() -> None:
    """Exactly at the limit passes; one byte more fails."""
    from membudget import MemoryLimitExceeded, limit_memory
    from workloads import allocate, make_headroom

    make_headroom()
    with limit_memory(12345):
        allocate(12345)
    try:
        with limit_memory(12345) as memory:
            allocate(12346)
    except MemoryLimitExceeded as exceeded:
        assert exceeded.measurement == memory.measurement
        assert exceeded.verdict.excesses[0].over == 1
        assert "Exactly 12,346 bytes at the peak, 1 byte (0.0%) over" in str(exceeded)
    else:
        raise AssertionError("one byte over passed")


@in_subprocess
def test_decorated_functions() -> None:
    """def, async def, methods, recursion: results and signatures stay, every call is limited."""
    import asyncio
    import inspect
    import traceback

    from membudget import MemoryLimitExceeded, limit_memory, measure_memory
    from workloads import KIB, allocate, async_large

    @limit_memory("500 KB")
    def work(n_bytes: int, *, deep: int = 0) -> int:
        """Docs."""
        allocate(n_bytes)
        return work(n_bytes, deep=deep - 1) if deep else n_bytes

    assert work(10, deep=3) == 10
    assert (work.__name__, work.__doc__) == ("work", "Docs.")
    assert str(inspect.signature(work)) == "(n_bytes: 'int', *, deep: 'int' = 0) -> 'int'"

    class Loader:
        @limit_memory("500 KB")
        def load(self) -> object:
            return self

    loader = Loader()
    assert loader.load() is loader

    try:
        work(1000 * KIB)
    except MemoryLimitExceeded as exceeded:
        first, *rest = str(exceeded).splitlines()
        assert first == (
            "test_decorated_functions.<locals>.work() was limited to 500.0KiB "
            "but allocated 1000.0KiB"
        )
        # The stack begins at the decorated function.
        assert rest[2] == "List of allocations: "
        assert "called by allocate:" in rest[4]
        assert "called by work:" in rest[5]
        assert not any("called by test_decorated" in line for line in rest), rest
        frames = traceback.extract_tb(exceeded.__traceback__)
        assert frames[0].name == "test_decorated_functions"
    else:
        raise AssertionError("the limit did not hold")

    decorated = limit_memory("500 KB")(async_large)
    assert inspect.iscoroutinefunction(decorated)
    try:
        asyncio.run(decorated())
    except MemoryLimitExceeded as exceeded:
        assert "async_large() was limited to 500.0KiB" in str(exceeded)
    else:
        raise AssertionError("the limit did not hold")
    measure_memory()(allocate)(10)


@in_subprocess
def test_the_exception_of_the_body_wins() -> None:
    """It propagates unchanged; when the budget was exceeded as well, a note says so."""
    import warnings

    from membudget import NotRaisedWarning, limit_memory
    from workloads import raises_over, raises_within

    warnings.simplefilter("ignore", NotRaisedWarning)
    for body, notes in ((raises_within, 0), (raises_over, 1)):
        try:
            with limit_memory("500 KB") as memory:
                body()
        except LookupError as error:
            assert error.args == ("the body's own",)
            assert len(getattr(error, "__notes__", [])) == notes
            if notes:
                assert "Block was limited to 500.0KiB but allocated" in error.__notes__[0]
        else:
            raise AssertionError("the exception was lost")
        assert memory.peak_bytes >= 100 * 1024


@in_subprocess
def test_a_block_object_can_be_used_again() -> None:
    """One after the other, each with its own measurement; not twice at the same time."""
    from membudget import MisuseError, NotMeasuredError, measure_memory
    from workloads import allocate

    block = measure_memory()
    assert block.measurement is None
    for n_bytes in (70_000, 50_000):
        with block:
            allocate(n_bytes)
            try:
                block.peak_bytes  # noqa: B018
            except NotMeasuredError as error:
                assert "has not ended yet" in str(error)
            else:
                raise AssertionError("a figure before the end")
            try:
                block.__enter__()
            except MisuseError:
                pass
            else:
                raise AssertionError("entered twice")
        assert n_bytes <= block.peak_bytes < n_bytes + 5000


@in_fresh_interpreter
def test_membudget_off_measures_nothing() -> None:
    """MEMBUDGET=off: blocks run, decorators call through, memray is not even imported."""
    import os
    import sys

    os.environ["MEMBUDGET"] = "off"
    from membudget import NotMeasuredError, limit_memory

    with limit_memory("1 KB") as memory:
        data = bytearray(100_000)
    assert limit_memory("1 KB")(lambda: len(data))() == 100_000
    assert memory.measurement is None
    try:
        memory.peak_bytes  # noqa: B018
    except NotMeasuredError as error:
        assert "MEMBUDGET=off" in str(error)
    else:
        raise AssertionError("a figure that was not measured")
    assert "memray" not in sys.modules


@in_subprocess
def test_without_memray_one_warning_says_that_nothing_is_enforced() -> None:
    """On Windows and PyPy everything imports and runs, and warns once."""
    import sys
    import warnings

    sys.modules["memray"] = None  # type: ignore[assignment]
    from membudget import NotEnforcedWarning, limit_memory
    from membudget import availability as platform

    platform._PLATFORM = "win32"  # type: ignore[misc]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            with limit_memory("1 KB"):
                bytearray(100_000)
    assert [warning.category for warning in caught] == [NotEnforcedWarning]
    assert caught[0].filename == __file__


@pytest.mark.parametrize("bad", ["24", "1 MBanana", -1, None])
def test_a_bad_limit_is_an_error_where_it_is_written(bad: object) -> None:
    """At decoration, before anything runs."""
    with pytest.raises(InvalidLimitError, match="limit_memory: "):
        limit_memory(bad)  # type: ignore[arg-type]


def test_functions_that_cannot_be_measured_are_refused() -> None:
    """Generators run after the call, and a class needs an adapter that knows it."""

    def generator() -> object:
        yield 1

    async def async_generator() -> object:
        yield 1

    for function in (generator, async_generator):
        with pytest.raises(TypeError, match=r"generator function.*with limit_memory"):
            limit_memory("1 MB")(function)
    with pytest.raises(TypeError, match=r"pip install unittest-membudget"):
        limit_memory("1 MB")(int)
    with pytest.raises(TypeError, match=r"above @staticmethod"):
        limit_memory("1 MB")(staticmethod(len))
    with pytest.raises(TypeError, match=r"3 cannot have a budget"):
        measure_memory()(3)  # type: ignore[type-var]


@in_subprocess
def test_a_decorated_call_with_work_still_to_come_is_an_error() -> None:
    """A decorator or an object can hide that a call only makes a coroutine."""
    import asyncio
    import functools
    from collections.abc import AsyncIterator, Callable, Iterator

    from membudget import MemoryLimitExceeded, MisuseError, limit_memory
    from workloads import allocate

    def plain(function: Callable[[], object]) -> Callable[[], object]:
        @functools.wraps(function)
        def wrapper() -> object:
            return function()

        return wrapper

    @limit_memory("1 KB")
    @plain
    async def coroutine() -> None: ...

    @limit_memory("1 KB")
    @plain
    def generator() -> Iterator[int]:
        yield 1

    @limit_memory("1 KB")
    @plain
    async def async_generator() -> AsyncIterator[int]:
        yield 1

    for function in (coroutine, generator, async_generator):
        try:
            function()
        except MisuseError as error:
            assert f"{function.__qualname__}() returned a" in str(error)
            assert "not run yet" in str(error)
        else:
            raise AssertionError("a limit that holds for nothing")

    class Loader:
        async def __call__(self) -> None:
            allocate(5000)

    try:
        asyncio.run(limit_memory("1 KB")(Loader())())
    except MemoryLimitExceeded:
        pass
    else:
        raise AssertionError("an async call was not measured")


@in_subprocess
def test_a_generator_that_is_closed_early_still_exceeds() -> None:
    """A note on GeneratorExit would not be shown."""
    from collections.abc import Generator

    from membudget import MemoryLimitExceeded, limit_memory
    from workloads import allocate

    def generator() -> Generator[int, None, None]:
        with limit_memory("1 KB"):
            allocate(5000)
            yield 1

    running = generator()
    next(running)
    try:
        running.close()
    except MemoryLimitExceeded:
        pass
    else:
        raise AssertionError("the excess was lost")


def test_misuse_is_a_runtime_error() -> None:
    assert issubclass(MisuseError, RuntimeError)
    assert issubclass(limit_memory, Block)


@in_subprocess
def test_whose_memory_counts() -> None:
    """Of a package, without a module, in another thread, inside another block."""
    import threading

    import elsewhere
    from membudget import measure_memory
    from workloads import KIB, allocate, make_headroom, mixed

    make_headroom()
    mixed()
    for outer in (measure_memory(), measure_memory(ignore="json")):
        with outer:
            with measure_memory(only="elsewhere") as theirs:
                mixed()
            with measure_memory(ignore="elsewhere.*", only="*/contract/*") as ours:
                mixed()
            with measure_memory(only="elsewhere", current_thread_only=True) as own:
                thread = threading.Thread(target=elsewhere.allocate, args=(50 * KIB,))
                thread.start()
                thread.join()
                elsewhere.allocate(10 * KIB)
                allocate(99 * KIB)
        assert (theirs.peak_bytes, theirs.n_allocations) == (1000 * KIB, 1)
        assert (ours.peak_bytes, ours.n_allocations) == (100 * KIB, 1)
        assert own.peak_bytes == 10 * KIB
        assert outer.total_bytes >= 2359 * KIB
    with measure_memory(only="elsewhere") as alone:
        mixed()
    assert alone.measurement == theirs.measurement


@in_subprocess
def test_frames_around_a_block_do_not_match() -> None:
    """The module of the block matches only if its own code inside the block allocates."""
    from membudget import measure_memory
    from workloads import KIB, allocate, make_headroom

    make_headroom()
    allocate(1)

    def outermost() -> int:
        with measure_memory(only="workloads") as memory:
            data = bytearray(200 * KIB)
            allocate(100 * KIB)
            del data
        return memory.peak_bytes

    # runpy, which runs this test, has called all of it.
    assert outermost() == 100 * KIB
    with measure_memory(ignore="runpy") as memory:
        allocate(100 * KIB)
    assert memory.peak_bytes == 100 * KIB


@in_subprocess
def test_stacks_of_an_exceeded_limit_are_those_that_count() -> None:
    from membudget import MemoryLimitExceeded, limit_memory
    from workloads import make_headroom, mixed

    make_headroom()
    mixed()
    try:
        with limit_memory("10 KB", ignore="elsewhere"):
            mixed()
    except MemoryLimitExceeded as error:
        (allocation,) = error.measurement.allocations
        assert {frame.function for frame in allocation.stack} >= {"mixed", "allocate"}
    else:
        raise AssertionError


@in_subprocess
def test_a_plugin_leaves_allocations_out() -> None:
    """In every block, while it is registered."""
    from membudget import FilterError, Stack, hookimpl, measure_memory, plugin_manager
    from workloads import KIB, make_headroom, mixed

    class Suite:
        @hookimpl
        def membudget_keep_allocation(self, stack: Stack) -> bool | None:
            return False if "elsewhere" in str(stack.frames) else None

    make_headroom()
    mixed()
    suite = Suite()
    plugin_manager().register(suite)
    with measure_memory() as outer:
        with measure_memory() as inner:
            mixed()
        mixed()
    assert (outer.peak_bytes, outer.n_allocations) == (100 * KIB, 2)
    assert (inner.peak_bytes, inner.n_allocations) == (100 * KIB, 1)

    class Broken:
        @hookimpl
        def membudget_keep_allocation(self, stack: Stack) -> bool:
            raise ZeroDivisionError("broken")

    broken = Broken()
    plugin_manager().register(broken)
    try:
        with measure_memory() as memory:
            mixed()
    except FilterError as error:
        assert "broken" in str(error)
        assert isinstance(error.__cause__, ZeroDivisionError)
        assert memory.measurement is None
    else:
        raise AssertionError
    plugin_manager().unregister(broken)
    plugin_manager().unregister(suite)
    with measure_memory() as memory:
        mixed()
    assert memory.peak_bytes == 1000 * KIB


@in_subprocess
def test_paused_stretches_do_not_count() -> None:
    """Memory allocated there is ignored; freeing memory from before counts."""
    import threading

    from membudget import Measurement, MisuseError, measure_memory
    from memray._test import MemoryAllocator
    from workloads import KIB, allocate, make_headroom

    make_headroom()
    before, inside = MemoryAllocator(), MemoryAllocator()
    with measure_memory() as outer, measure_memory() as memory:
        before.malloc(100 * KIB)
        with memory.paused():
            inside.malloc(1000 * KIB)
            before.free()
            with memory.paused():
                allocate(1)
            allocate(1)
        allocate(50 * KIB)
        inside.free()
        allocate(60 * KIB)
    assert memory.measurement is not None
    assert memory.peak_bytes == 100 * KIB
    assert (memory.total_bytes, memory.n_allocations) == (210 * KIB, 3)
    assert outer.total_bytes == 1210 * KIB + 2

    with measure_memory() as memory:
        for _ in range(1000):
            with memory.paused():
                allocate(10 * KIB)
        allocate(20 * KIB)
    assert memory.peak_bytes == 20 * KIB
    assert memory.n_allocations == 1

    # Two threads whose stretches overlap.
    with measure_memory() as memory:
        with memory.paused():
            thread = threading.Thread(target=memory.paused().__enter__)
            thread.start()
            thread.join()
            allocate(KIB)
        allocate(KIB)
        memory.go_on()
        memory._n_paused = 0
        allocate(2 * KIB)
    assert 2 * KIB <= memory.total_bytes < 2 * KIB + 600

    for misuse in (measure_memory(), memory):
        try:
            misuse.paused().__enter__()
        except MisuseError as error:
            assert "inside the block" in str(error)
        else:
            raise AssertionError
    memory = measure_memory()
    stretch = memory.paused()
    try:
        with memory:
            stretch.__enter__()
    except MisuseError as error:
        assert "did not end" in str(error)
    else:
        raise AssertionError
    assert memory.measurement is None
    stretch.__exit__(None, None, None)
    with measure_memory() as empty:
        pass
    assert empty.measurement == Measurement(0, 0, 0, 0)


@in_subprocess
def test_stable_figures_of_the_same_work() -> None:
    """However full free lists, caches and the collector's generations were before."""
    import gc
    import json
    import random
    import sys

    from membudget import Measurement, measure_memory

    document = json.dumps([{"id": n, "tags": [str(n)] * 3} for n in range(300)])
    calls = []

    @measure_memory(stable=True)
    def decorated() -> object:
        calls.append(1)
        return json.loads(document)

    def measured_stable_and_empty() -> Measurement | None:
        with measure_memory(stable=True) as empty:
            pass
        return empty.measurement

    def disturb() -> list[object]:
        made: list[object] = [[] for _ in range(random.randrange(5000))]
        for item in made:
            assert isinstance(item, list)
            item.append(item)
        return made[::7]

    measured = set()
    kept = []
    with measure_memory(stable=True):  # a function is called once before, a block is not
        json.loads(document)
    for _ in range(10):
        kept.append(disturb())
        with measure_memory(stable=True) as memory:
            result = json.loads(document)
        measured.add((memory.peak_bytes, memory.total_bytes, memory.n_allocations))
        del result, memory  # or the next block would begin with what is left of this one
    peaks = {peak for peak, _, _ in measured}
    assert max(peaks) - min(peaks) <= max(peaks) / 500, measured
    decorated()
    assert len(calls) == 2
    empty = measured_stable_and_empty()
    assert empty is not None
    # Since CPython 3.12, the collector makes two short strings, for callbacks that are not there.
    assert empty.total_bytes <= (0 if sys.version_info < (3, 12) else 100), empty
    assert empty.retained_bytes == 0
    assert gc.get_freeze_count() == 0
    gc.freeze()
    frozen = gc.get_freeze_count()
    with measure_memory(stable=True):
        pass
    assert gc.get_freeze_count() == frozen  # the program's own
    gc.unfreeze()
    gc.disable()
    with measure_memory(stable=True) as memory:
        for _ in range(2000):
            cycle: list[object] = []
            cycle.append(cycle)
    del cycle
    assert not gc.isenabled()
    # Cycles were collected before the end, though the program collects none.
    assert memory.retained_bytes < memory.peak_bytes / 100


@in_subprocess
def test_calls_of_stable_functions() -> None:
    """A second call decides, if the first is over its limit; without a limit, there are always two.

    Also async. An exception of the first call propagates; with MEMBUDGET=off, there is one call.
    """
    import asyncio
    import os

    from membudget import MemoryLimitExceeded, limit_memory, measure_memory
    from membudget.availability import why_not_measured

    calls: list[int] = []
    cache: list[bytearray] = []

    @limit_memory("1 MB", stable=True)
    async def within(n: int) -> int:
        calls.append(n)
        await asyncio.sleep(0)
        return len(calls)

    @limit_memory("1 MB", stable=True)
    async def warms_up(n: int) -> int:
        if not cache:
            cache.append(bytearray(2_000_000))
        return await within(n)

    @limit_memory("1 MB", stable=True)
    def over() -> bytearray:
        calls.append(0)
        return bytearray(2_000_000)

    @measure_memory(stable=True)
    def measured() -> None:
        calls.append(1)

    @limit_memory("1 MB", stable=True)
    def fails() -> None:
        calls.append(2)
        raise LookupError("the caller's")

    def take() -> list[int]:
        made = calls[:]
        calls.clear()
        return made

    assert asyncio.run(within(5)) == 1
    assert take() == [5]
    assert asyncio.run(warms_up(6)) == 2
    assert take() == [6, 6]
    try:
        over()
    except MemoryLimitExceeded as exceeded:
        assert exceeded.measurement.peak_bytes >= 2_000_000
    else:
        raise AssertionError("the limit was not enforced")
    assert take() == [0, 0]
    measured()
    assert take() == [1, 1]
    try:
        fails()
    except LookupError as error:
        assert str(error) == "the caller's"
    else:
        raise AssertionError("the exception did not propagate")
    assert take() == [2]
    os.environ["MEMBUDGET"] = "off"
    why_not_measured.cache_clear()
    assert asyncio.run(warms_up(7)) == 1
    assert len(over()) == 2_000_000
    assert take() == [7, 0]
    assert limit_memory("1 KB", include="setup")(len)("not a test") == 10


def test_phases_are_those_of_a_test() -> None:
    """A limit on a setup that is never measured would always hold."""
    with pytest.raises(MisuseError, match="no adapter runs this block"):
        limit_memory("1 KB", include="setup,call").__enter__()
    decorated = limit_memory("1 KB", include="setup")(test_phases_are_those_of_a_test)
    with pytest.raises(MisuseError, match="decorate the class"):
        decorated()
    for wrong in ("", "setup,cleanup", "all", None, 3, "setup;call"):
        if wrong is not None:
            with pytest.raises(InvalidLimitError, match="does not name phases of a test"):
                limit_memory("1 KB", include=wrong)  # type: ignore[arg-type]


@in_subprocess
def test_a_traceback_ends_where_the_block_does() -> None:
    """The traceback does not show frames of membudget."""
    import traceback

    from membudget import MemoryLimitExceeded, MisuseError, limit_memory
    from membudget.recording.marks import MARKS_ARE_MADE_IN_C

    block = limit_memory("1 KB")
    for kind in (MemoryLimitExceeded, MisuseError):
        try:
            with block:
                data = bytearray(5000)
                if kind is MisuseError:
                    block.paused().__enter__()
            del data
        except kind as error:
            frames = traceback.extract_tb(error.__traceback__)
            assert frames[-1 if MARKS_ARE_MADE_IN_C else 0].filename == __file__, frames
        else:
            raise AssertionError


@in_subprocess
def test_threads_that_enter_the_same_block_at_once() -> None:
    """One thread enters the block, and its limit is enforced; the others get a MisuseError."""
    import sys
    import threading
    from collections import Counter
    from contextlib import nullcontext

    from membudget import limit_memory, measure_memory

    sys.setswitchinterval(1e-5)
    for around in (nullcontext, measure_memory):
        with around():
            ends: list[str] = []  # appending is one step for all threads
            for _ in range(20):
                same = limit_memory("1 MB")
                barrier = threading.Barrier(3)

                def enter(same: limit_memory = same, barrier: threading.Barrier = barrier) -> None:
                    barrier.wait()
                    end = "passed"
                    try:
                        with same:
                            data = bytearray(5_000_000)
                            barrier.wait()
                            del data
                    except Exception as error:
                        end = type(error).__name__
                        if end == "MisuseError":
                            barrier.wait()
                    ends.append(end)  # noqa: B023 - the threads end before it is another one

                threads = [threading.Thread(target=enter) for _ in range(3)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            counted = Counter(ends)
            assert counted == {"MemoryLimitExceeded": 20, "MisuseError": 40}, counted


@pytest.mark.parametrize("reader", ["auto", "replay"])
def test_a_pause_that_ends_in_a_later_block(reader: str) -> None:
    """It began in an earlier block of the same object, and does not pause this one."""
    program = """
from membudget import MemoryLimitExceeded, MisuseError, limit_memory
same = limit_memory("1 MB")
stretch = same.paused()
try:
    with same:
        stretch.__enter__()
except MisuseError as error:
    print("paused() did not end" in str(error))
try:
    with same:
        stretch.__exit__(None, None, None)
        data = bytearray(5_000_000)
except MemoryLimitExceeded:
    print("over")
"""
    done = run_python_in(Path(), "-c", program, environment={"MEMBUDGET_READER": reader})
    assert (done.returncode, done.stdout) == (0, "True\nover\n"), done.stderr
