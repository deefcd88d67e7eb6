"""tracemalloc starts and stops at any time: nothing crashes, and both see everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import RunPython, in_subprocess


@in_subprocess
def test_it_starts_and_stops_in_a_block_that_counts_objects() -> None:
    """With any of its functions, in any thread, and with blocks that begin and end in between."""
    import _tracemalloc
    import threading
    import tracemalloc
    from collections.abc import Callable
    from tracemalloc import start, stop

    from membudget import MisuseError, limit_leaks, limit_memory, measure_memory
    from membudget.recording.tracemalloc_guard import _below

    def check(tracing: bool) -> None:
        assert tracemalloc.is_tracing() is tracing
        before = tracemalloc.get_traced_memory()[0]
        objects = [str(n) for n in range(1000)]
        assert (tracemalloc.get_traced_memory()[0] - before > 50_000) is tracing
        del objects
        assert tracemalloc.get_traced_memory()[0] - before < 20_000

    def run(on: Callable[..., None], off: Callable[[], None]) -> None:
        with limit_memory("5 MB", stable=True) as memory:
            on()
            check(True)
        assert memory.peak_bytes > 50_000
        check(True)
        with limit_leaks("5 MB") as leaks:
            off()
            check(False)
        assert leaks.peak_bytes > 50_000
        check(False)
        with limit_memory("5 MB", stable=True):
            on(3)
            assert tracemalloc.get_traceback_limit() == 3
            off()
            check(False)
            on()
        check(True)
        with limit_memory("5 MB", stable=True):
            off()
            on()
            check(True)
        off()
        check(False)
        with limit_memory("5 MB", stable=True):
            thread = threading.Thread(target=on)
            thread.start()
            thread.join()
            check(True)
            with measure_memory():
                off()
            check(False)
        check(False)

    if _below is None:
        with limit_memory("5 MB", stable=True):
            for function in (tracemalloc.start, _tracemalloc.stop):
                try:
                    function()
                except MisuseError as error:
                    assert "without a C compiler" in str(error)
                else:
                    raise AssertionError("it started or stopped")
        tracemalloc.start()
        check(True)
        tracemalloc.stop()
        return
    for on, off in (
        (tracemalloc.start, tracemalloc.stop),
        (start, stop),
        (_tracemalloc.start, _tracemalloc.stop),
    ):
        run(on, off)
    with limit_memory("5 MB", stable=True):
        try:
            start("many")  # type: ignore[arg-type]
        except TypeError:
            pass
        else:
            raise AssertionError("an argument was lost")
        check(False)


@in_subprocess
def test_it_stops_in_a_forked_child() -> None:
    """The child has no tracker and no guard."""
    import os
    import tracemalloc

    from membudget import limit_memory

    with limit_memory("5 MB", stable=True):
        child = os.fork()
        if not child:
            tracemalloc.start()
            objects = [str(n) for n in range(1000)]
            traced = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            os._exit(0 if objects and traced > 50_000 else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_it_starts_while_a_recording_rests(run_python: RunPython, tmp_path: Path) -> None:
    """The recording ends first, so that it does not remove tracemalloc's allocators later."""
    (tmp_path / "test_leaks.py").write_text(
        """
import pytest

@pytest.mark.limit_leaks("1 MB")
def test_leaks():
    pass
"""
    )
    (tmp_path / "test_traced.py").write_text(
        """
import tracemalloc
import pytest

@pytest.fixture(scope="module", autouse=True)
def traced():
    tracemalloc.start()
    yield
    assert tracemalloc.is_tracing()
    tracemalloc.stop()

@pytest.mark.parametrize("n", range(3))
def test_traced(n):
    kept = bytes(100_000)
    assert tracemalloc.get_traced_memory()[0] > 100_000

@pytest.mark.limit_leaks("1 MB")
def test_traced_and_leaks():
    kept = bytes(100_000)
    assert tracemalloc.get_traced_memory()[0] > 100_000
"""
    )
    (tmp_path / "test_then.py").write_text(
        (tmp_path / "test_leaks.py").read_text().replace("test_leaks", "test_then")
    )
    for options in ([], ["--memray-stable"], ["--trace-python-allocators"]):
        done = run_python("-m", "pytest", "--memray", "-q", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "6 passed" in done.stdout


@pytest.mark.parametrize("option", [[], ["-X", "tracemalloc"]])
def test_it_stops_what_began_with_python(run_python: RunPython, option: list[str]) -> None:
    program = """if True:
        import tracemalloc
        from membudget import limit_memory
        with limit_memory("1 MB", stable=True):
            tracemalloc.stop()
        objects = [str(n) for n in range(100_000)]
        print(tracemalloc.is_tracing())
    """
    done = run_python(*option, "-c", program)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


@in_subprocess
def test_python_objects_between_the_blocks_of_a_run_are_not_recorded() -> None:
    """A test framework's own objects cost nothing; blocks stay exact, whatever happens between."""
    import ctypes
    import tracemalloc

    from membudget import limit_memory
    from membudget.recording.access import get_recorder
    from membudget.recording.tracemalloc_guard import _below

    def measured() -> int:
        with limit_memory("5 MB", stable=True) as memory:
            objects = [str(n) for n in range(1000)]
        del objects
        return memory.n_allocations

    def scanned_bytes() -> int:
        assert recorder._segment is not None
        return recorder._segment.scanned_bytes

    class Allocator(ctypes.Structure):
        _fields_ = (("context", ctypes.c_void_p), ("functions", ctypes.c_void_p * 4))

    def present() -> Allocator:
        allocator = Allocator()
        ctypes.pythonapi.PyMem_GetAllocator(2, ctypes.byref(allocator))
        return allocator

    recorder = get_recorder()
    measured()
    expected = measured()
    recorder.begin_run()
    original = present().functions[0]
    assert measured() == expected
    if _below is not None and recorder.scans:
        assert present().functions[0] == original
        before = scanned_bytes()
        objects = [str(n) for n in range(100_000)]
        assert measured() == expected
        assert scanned_bytes() - before < 100_000
        del objects
    # A block that is open when another one begins or ends counts all the same.
    outer, inner, last = (limit_memory("5 MB", stable=True) for _ in range(3))
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    objects = [str(n) for n in range(1000)]
    last.__enter__()
    inner.__exit__(None, None, None)
    more = [str(n) for n in range(1000)]
    last.__exit__(None, None, None)
    assert inner.n_allocations >= len(objects)
    assert last.n_allocations >= len(more)
    # tracemalloc ends the recording; the next block begins another.
    tracemalloc.start()
    assert measured() == expected
    tracemalloc.stop()
    assert measured() == expected
    # So does a program that replaces the allocators, here by the same with another context.
    replaced = present()
    replaced.context = ctypes.addressof(replaced)
    ctypes.pythonapi.PyMem_SetAllocator(2, ctypes.byref(replaced))
    assert measured() == expected
    recorder.end_run()
    assert present().functions[0] == original
