"""A thread scans the capture of a long block while the block runs."""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from conftest import in_subprocess, run_python_in
from membudget.recording.readers import scanner
from membudget.recording.readers.scanner import scanner_problem

N_PROCESSORS = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1

pytestmark = pytest.mark.skipif(
    N_PROCESSORS < 2 or scanner_problem() is not None,
    reason="nothing follows without a scanner, on other systems and with one processor",
)


def in_c() -> ModuleType:
    return importlib.import_module("membudget.recording._scanner")


def record_much(n_allocations: int = 60_000) -> None:
    """Write some four bytes of capture for each allocation."""
    for _ in range(n_allocations):
        bytearray(600)


def record_until_followed(n_allocations: int = 60_000) -> None:
    """Write so much that the thread scans some of it, and wait until it does."""
    followed = in_c().followed
    before = followed()
    record_much(n_allocations)
    deadline = time.monotonic() + 30
    while followed() == before:
        assert time.monotonic() < deadline, "nothing was scanned"
        time.sleep(0.005)


def follow_at_once() -> None:
    scanner.LEAST_UNREAD_BYTES = 0  # type: ignore[misc]


def thread_status() -> dict[str, str]:
    """Return what the system says about the thread."""
    for task in Path("/proc/self/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines)
        if status["Name"] == "membudget":
            return {"tid": task.name, **status}
    return {}


@in_subprocess
def test_a_long_block_is_read_while_it_runs() -> None:
    """With the same figures; a short block is read at its end."""
    from membudget import measure_memory

    with measure_memory() as short:
        record_much(1000)
    assert in_c().followed() == 0
    with measure_memory() as outer:
        record_until_followed(500_000)  # more than LEAST_UNREAD_BYTES
        kept = bytes(5_000_000)
        with measure_memory() as inner:
            record_until_followed(500_000)
        record_much(1000)
        with measure_memory() as late:
            record_much(10)
    assert short.n_allocations == 1000
    assert inner.n_allocations == 500_000
    assert late.n_allocations == 10
    assert outer.n_allocations == 1_001_011
    assert inner.peak_bytes < 5_000_000
    assert outer.peak_bytes == 5_000_033 + inner.peak_bytes
    assert outer.total_bytes == 5_000_033 + inner.peak_bytes * 1_001_010
    assert len(kept) == 5_000_000


@in_subprocess
def test_the_thread_is_in_no_figure() -> None:
    """Its tables grow while an empty block is open, with Python's allocators traced or not."""
    from membudget import measure_memory

    for stable in (False, True):
        with measure_memory(stable=stable) as outer:
            blocks = []
            kept = []
            for least in (1 << 60, 0):
                kept.append([bytearray(600) for _ in range(60_000)])
                scanner.LEAST_UNREAD_BYTES = least  # type: ignore[misc]
                with measure_memory(stable=stable) as inner:
                    time.sleep(0.3)
                blocks.append(inner.n_allocations)
            assert in_c().followed() > 100_000
        assert blocks[1] <= blocks[0] < 10  # in some versions, sleep() makes objects
        assert outer.n_allocations >= 120_000


@in_subprocess
def test_the_thread_takes_no_signals_and_keeps_no_files_open() -> None:
    """A program sees the end of a pipe, and signal handlers run in the program's threads."""
    import signal

    from membudget import measure_memory

    follow_at_once()
    reading, writing = os.pipe()
    with measure_memory():
        record_until_followed()
        status = thread_status()
        files = os.listdir(f"/proc/self/task/{status['tid']}/fd")
        os.close(writing)
        assert os.read(reading, 1) == b""
    os.close(reading)
    assert len(files) == 1
    blocked = int(status["SigBlk"], 16)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        assert number >= 32 or blocked >> (number - 1) & 1, number


@in_subprocess
def test_a_fork_while_the_thread_scans() -> None:
    """The parent's block goes on, without a warning of Python; the child has its own recording."""
    from membudget import measure_memory

    follow_at_once()
    with measure_memory() as outer:
        for _ in range(10):
            record_much(20_000)
            child = os.fork()
            if not child:
                status = 1
                try:
                    assert not thread_status()
                    with measure_memory() as own:
                        record_until_followed(100_000)
                    assert own.n_allocations == 100_000
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        record_until_followed()
        assert thread_status()
    assert outer.n_allocations >= 260_000


@in_subprocess
def test_a_fork_after_a_block_does_not_warn_about_the_thread() -> None:
    """The thread stays when no tracker runs, and is no business of the program."""
    import warnings

    from membudget import measure_memory

    with measure_memory():
        pass
    assert thread_status()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
    assert not caught


@in_subprocess
def test_many_threads_record_while_one_scans() -> None:
    """Their blocks, and the whole, are exact."""
    import threading

    from membudget import Measurement, measure_memory

    follow_at_once()
    found: dict[int, Measurement | None] = {}

    def work(number: int) -> None:
        for _ in range(5):
            with measure_memory(current_thread_only=True) as own:
                record_much(8000 + number)
            found[number] = own.measurement

    with measure_memory() as memory:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        record_until_followed()
    assert memory.n_allocations >= 4 * 5 * 8000
    for number, measurement in found.items():
        assert measurement is not None
        assert measurement.n_allocations == 8000 + number


@in_subprocess
def test_filters_are_asked_for_stacks_of_a_followed_block() -> None:
    """The thread cannot ask, and leaves the rest to the end."""
    from membudget import MemoryLimitExceeded, limit_leaks, limit_memory

    follow_at_once()
    try:
        with limit_memory("1 MB", only=__file__):
            for _ in range(3):
                record_much()
                time.sleep(0.05)
            kept = bytearray(3_000_000)
    except MemoryLimitExceeded as error:
        assert len(kept) < error.measurement.peak_bytes < len(kept) + 1000
    else:
        raise AssertionError("not judged")
    with limit_leaks("1 KB"):
        record_until_followed()


@in_subprocess
def test_files_of_the_program_are_safe() -> None:
    """If it closes all files and opens its own under their numbers, the block is an error."""
    import fcntl
    import tempfile

    from membudget import CaptureError, measure_memory
    from membudget.recording.recorder import get_recorder

    follow_at_once()
    content = os.urandom(1 << 20) * 4
    # memray says in several ways, depending on the moment, that it cannot write its file any more.
    errors = fcntl.fcntl(2, fcntl.F_DUPFD, 300)  # not one of the files that are closed
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with tempfile.TemporaryDirectory() as directory:
        try:
            with measure_memory():
                record_much(3000)
                segment = get_recorder()._segment
                assert segment is not None
                ours = segment._capture.fd
                memrays = set(segment._capture._memrays_files._files)
                os.closerange(3, 256)
                paths = {}
                for number in range(30):
                    path = Path(directory, str(number))
                    paths[os.open(path, os.O_RDWR | os.O_CREAT)] = path
                for fd in paths:
                    os.write(fd, content)
                for _ in range(10):
                    record_much()
                    time.sleep(0.02)
        except CaptureError:
            pass
        else:
            raise AssertionError("a block whose capture was closed has figures")
        finally:
            os.dup2(errors, 2)
        assert ours in paths
        for fd, path in paths.items():
            # memray writes to the files that have got its own numbers.
            assert fd in memrays or path.read_bytes() == content
            os.close(fd)


@pytest.mark.parametrize("end", ["sys.exit()", "os._exit(0)", "execute()", "1 / 0"])
def test_an_end_while_the_thread_scans(tmp_path: Path, end: str) -> None:
    """Of the process, or of its program."""
    program = f"""
import os, sys
from membudget import measure_memory
from membudget.recording.readers import scanner

def execute():
    os.execv(sys.executable, [sys.executable, "-c", "pass"])

scanner.LEAST_UNREAD_BYTES = 0
with measure_memory():
    for _ in range(100_000):
        bytearray(600)
    {end}
"""
    done = run_python_in(tmp_path, "-c", program)
    assert done.returncode == (end == "1 / 0"), done.stderr
    assert "ZeroDivisionError" in done.stderr or not done.stderr


@in_subprocess
def test_what_was_read_is_removed_from_the_disk() -> None:
    """The capture of a long block does not grow without end; names of functions are still read."""
    from membudget import MemoryLimitExceeded, limit_memory
    from membudget.recording.recorder import get_recorder

    def keep_much() -> bytes:
        return bytes(5_000_000)

    try:
        with limit_memory("4 MB"):
            kept = keep_much()
            segment = get_recorder()._segment
            assert segment is not None
            fd = segment._capture.fd
            while (status := os.fstat(fd)).st_size < 26_000_000:
                record_until_followed(500_000)
            deadline = time.monotonic() + 30
            while 512 * status.st_blocks > 22_000_000 and time.monotonic() < deadline:
                record_much(1000)
                time.sleep(0.01)
                status = os.fstat(fd)
    except MemoryLimitExceeded as error:
        assert 512 * status.st_blocks <= 22_000_000 <= status.st_size - 4_000_000
        assert error.measurement.peak_bytes >= len(kept)
        largest = error.measurement.allocations[0]
        assert (largest.size_bytes, largest.stack[0].function) == (5_000_033, "keep_much")
    else:
        raise AssertionError("not judged")


@in_subprocess
def test_only_the_scanner_reads_a_capture_with_holes() -> None:
    """If it fails, memray's reader would read zeros, and find other figures."""
    from membudget import CaptureError, measure_memory
    from membudget.recording.recorder import get_recorder

    scanner.Scanner.has_given_back = property(lambda _: True)  # type: ignore[assignment]
    for garbage, words in ((b"\xff" * 1000, "not enough memory"), (b"", "incomplete")):
        try:
            with measure_memory():
                segment = get_recorder()._segment
                assert segment is not None
                record_much(2000)  # in its last bytes are allocations, and no names
                end = segment._capture._file.written_length()
                os.pwrite(segment._capture.fd, garbage, end - 2000)
                if not garbage:
                    scanner.Scanner.close_block = lambda *_: None  # type: ignore[method-assign]
        except CaptureError as error:
            assert words in str(error), error
        else:
            raise AssertionError("a capture with holes was read")


@in_subprocess
def test_a_block_around_one_that_cannot_be_read_is_not_replayed_from_holes() -> None:
    from membudget import CaptureError, measure_memory
    from membudget.recording.recorder import get_recorder

    scanner.Scanner.has_given_back = property(lambda _: True)  # type: ignore[assignment]
    outer, inner = measure_memory(), measure_memory()
    outer.__enter__()
    inner.__enter__()
    segment = get_recorder()._segment
    assert segment is not None

    def fails_once() -> None:
        del segment._capture.check
        raise CaptureError("the file was closed")

    segment._capture.check = fails_once  # type: ignore[method-assign]
    for block, words in ((inner, "the file was closed"), (outer, "not enough memory")):
        try:
            block.__exit__(None, None, None)
        except CaptureError as error:
            assert words in str(error), error
        else:
            raise AssertionError("a capture with holes was read")


@pytest.mark.parametrize("n_processors", ["1", "2"])
def test_the_thread_needs_a_processor_of_its_own(tmp_path: Path, n_processors: str) -> None:
    """With one, the block is read at its end."""
    program = f"""
import os
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{n_processors}])
from membudget import measure_memory
with measure_memory() as memory:
    for _ in range(1000):
        bytearray(600)
    tasks = os.listdir("/proc/self/task")
    names = [open(f"/proc/self/task/{{task}}/comm", closefd=True).read() for task in tasks]
assert ("membudget\\n" in names) == ({n_processors} > 1)
"""
    done = run_python_in(tmp_path, "-c", program)
    assert done.returncode == 0, done.stderr
