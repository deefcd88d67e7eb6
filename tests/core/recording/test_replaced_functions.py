"""membudget does not call functions that a test has replaced, nor rely on them."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import in_subprocess, run_python_in
from replaced import WITHOUT_COVERAGE

BLOCKS = """
import sys
import time
from pathlib import Path

import membudget
from membudget import (
    Budget,
    Limit,
    MemoryLimitExceeded,
    limit_leaked_objects,
    limit_leaks,
    limit_memory,
    measure_memory,
)
from membudget.runs import Block, Run, Settings
from membudget.budget_arguments import OLDEST_PYTHON_WITH_OBJECTS
from membudget.recording.readers.scanner import scanner_problem
from replaced import all_replaced, failing, functions_named_in

SCANS = scanner_problem() is None
KIB = 1024
kept = []


def large():
    kept.append(bytearray(500 * KIB))


def small():
    kept.append(bytearray(5 * KIB))


def is_exceeded(block, work=large):
    try:
        with block:
            work()
    except MemoryLimitExceeded as exceeded:
        assert block.measurement.stacks_problem == "", block.measurement.stacks_problem
        assert "large" in str(exceeded), exceeded
        return True
    return False


def within():
    assert not is_exceeded(limit_memory("100 KB"), small)


def over():
    assert is_exceeded(limit_memory("100 KB"))


def nested():
    with measure_memory() as outer:
        within()
        over()
        assert is_exceeded(limit_memory("100 KB", only="__main__"))
    assert outer.peak_bytes >= 1000 * KIB


def outer_over():
    assert is_exceeded(limit_memory("100 KB"), lambda: (within(), large()))


def decorated():
    try:
        limit_memory("100 KB")(large)()
    except MemoryLimitExceeded:
        return
    raise AssertionError


def filtered():
    assert is_exceeded(limit_memory("100 KB", only="__main__"))
    assert is_exceeded(limit_memory("100 KB", ignore="json.*"))
    assert not is_exceeded(limit_memory("100 KB", ignore="__main__"))


def leaks():
    assert is_exceeded(limit_leaks("100 KB"))
    assert not is_exceeded(limit_leaks("100 KB"), small)


def leaked_objects():
    if not SCANS or sys.version_info < OLDEST_PYTHON_WITH_OBJECTS:
        return
    try:
        with limit_leaked_objects():
            large()
    except MemoryLimitExceeded:
        return
    raise AssertionError


def stable():
    assert is_exceeded(limit_memory("100 KB", stable=True))
    assert not is_exceeded(limit_memory("100 KB", stable=True), small)


def paused():
    with limit_memory("100 KB") as memory:
        with memory.paused():
            large()
        small()
    assert 5 * KIB <= memory.peak_bytes < 100 * KIB


def captures():
    if SCANS:
        block = Block(Budget((Limit("peak_bytes", 100 * KIB),)), keep_capture="kept.bin")
        assert is_exceeded(block)


def generator():
    def rows():
        with limit_memory("100 KB"):
            yield
            large()
            yield

    loop = rows()
    next(loop)
    try:
        next(loop)
        next(loop)
    except MemoryLimitExceeded:
        return
    raise AssertionError


def in_a_run():
    run = Run(Settings(most_allocations=5), "unittest")
    run.begin()
    for number in range(3):
        def keep(*measured, name=str(number)):
            run.add(name, *measured)

        with Block(Budget(), always_allocations=True, on_measured=keep):
            large()
    for result in run.end():
        assert result.measurement.allocations and not result.measurement.stacks_problem


KINDS = (
    within, over, nested, outer_over, decorated, filtered, leaks, leaked_objects, stable, paused,
    captures, generator, in_a_run,
)
if "before" not in sys.argv:
    over()
called = []
with all_replaced(functions_named_in(Path(membudget.__file__).parent), failing(called)):
    for kind in KINDS:
        kind()
        kept.clear()
        assert not called, (kind, called)
if SCANS:
    assert Path("kept.bin").stat().st_size
"""
HERE = str(Path(__file__).parent)


@pytest.mark.parametrize("first_block", ["before", "after"])
@pytest.mark.parametrize("reader", ["auto", "replay"])
def test_no_function_that_a_test_can_replace_is_called(
    tmp_path: Path, reader: str, first_block: str
) -> None:
    """With functions replaced by failing ones, every limit is enforced, with stacks."""
    (tmp_path / "blocks.py").write_text(BLOCKS)
    environment = {"PYTHONPATH": HERE, "MEMBUDGET_READER": reader, **WITHOUT_COVERAGE}
    done = run_python_in(tmp_path, "blocks.py", first_block, environment=environment, fresh=True)
    assert done.returncode == 0, done.stderr


@in_subprocess
def test_a_mocked_process_id_does_not_end_a_block() -> None:
    """Only a fork makes a block belong to the parent."""
    import os
    from unittest import mock

    from membudget import MemoryLimitExceeded, limit_memory

    patcher = mock.patch("os.getpid", return_value=4242)
    try:
        with limit_memory("100 KB") as memory:
            patcher.start()
            with memory.paused():
                paused = bytearray(2_000_000)
            kept = bytearray(500_000)
    except MemoryLimitExceeded as exceeded:
        assert len(kept) <= exceeded.measurement.peak_bytes < len(paused)
    else:
        raise AssertionError
    patcher.stop()
    try:
        with limit_memory("100 KB"):
            if os.fork() == 0:
                kept = bytearray(600_000)
                os._exit(0)
            os.wait()
    finally:
        assert len(kept) == 500_000


@in_subprocess
def test_a_mocked_platform_does_not_turn_off_measuring() -> None:
    from unittest import mock

    from membudget import MemoryLimitExceeded, limit_memory

    with mock.patch("sys.platform", "win32"):
        try:
            with limit_memory("100 KB"):
                bytearray(500_000)
        except MemoryLimitExceeded:
            return
    raise AssertionError


@in_subprocess
def test_search_paths_and_arguments_may_be_anything() -> None:
    """A Path in sys.path works in Python; arguments need not be UTF-8."""
    import sys
    from pathlib import Path

    from membudget import MemoryLimitExceeded, limit_memory, measure_memory

    argv = ["program", "caf\udce9", Path("x")]
    sys.argv = argv  # type: ignore[assignment]
    path = [Path("/somewhere"), b"/bytes", "/caf\udce9", *sys.path]
    sys.path = path  # type: ignore[assignment]
    with measure_memory():
        for only in ({}, {"ignore": "json"}):
            try:
                with limit_memory("100 KB", **only):  # type: ignore[arg-type]
                    bytearray(500_000)
            except MemoryLimitExceeded as exceeded:
                assert exceeded.measurement.allocations, exceeded.measurement
            else:
                raise AssertionError
    assert sys.argv is argv
    assert sys.path is path


def test_a_path_that_is_not_utf_8_says_so(tmp_path: Path) -> None:
    """memray cannot record functions of such a file; since Python 3.12 its calls fail."""
    program = "from membudget import measure_memory\nwith measure_memory(): pass\n"
    name = "caf\udce9.py"
    (tmp_path / name).write_text(program)
    done = run_python_in(tmp_path, name)
    assert done.returncode == 1
    assert "RecordingError: memray cannot record functions of a file whose path" in done.stderr


NOT_UTF_8_MODULE = """
import os, sys
directory = os.fsencode(os.getcwd()) + b"/caf\\xe9"
os.mkdir(directory)
with open(directory + b"/shop.py", "w") as file:
    file.write("def load(): return bytearray(10_000_000)")
sys.path.insert(0, os.fsdecode(directory))
import shop
from membudget import limit_memory
with limit_memory("1 MB", {limit}):
    print("block")
    if sys.version_info < (3, 12):  # a call of it is a SystemError later on
        shop.load()
"""


@pytest.mark.parametrize("limit", ["only='shop'", "ignore=['shop.*', 'json']"])
def test_patterns_of_a_module_whose_path_is_not_utf_8(tmp_path: Path, limit: str) -> None:
    """No stack names such a module, so a limit on its memory must not pass."""
    done = run_python_in(tmp_path, "-c", NOT_UTF_8_MODULE.format(limit=limit))
    assert done.returncode == 1, done
    assert "block" in done.stdout
    assert "cannot be checked: memray cannot record functions of a file" in done.stderr, done


SUB_INTERPRETER = '''
import sys
code = """
from membudget import RecordingError, limit_memory
try:
    with limit_memory("1 KB"):
        print("must not run unmeasured")
except RecordingError as error:
    print(error, flush=True)
"""
if sys.version_info >= (3, 13):
    import _interpreters
    problem = _interpreters.exec(_interpreters.create(), code)
else:
    import _xxsubinterpreters as _interpreters
    problem = _interpreters.run_string(_interpreters.create(), code)
print(problem, flush=True)
import os
os._exit(0)  # CPython 3.12.1 may crash after it has imported hashlib in a sub-interpreter
'''


def test_a_block_in_a_sub_interpreter_is_refused(tmp_path: Path) -> None:
    """memray would measure nothing there, and the limit would pass."""
    done = run_python_in(tmp_path, "-c", SUB_INTERPRETER)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("memory cannot be measured in a sub-interpreter"), done.stdout
    assert done.stdout.endswith("\nNone\n"), done.stdout


ALIVE_AT_EXIT = """
from membudget import measure_memory

def rows():
    with measure_memory():
        yield 1
        yield 2

keep = rows()
next(keep)
"""


def test_a_generator_that_is_alive_at_the_end_of_the_program_is_left_alone(tmp_path: Path) -> None:
    done = run_python_in(tmp_path, "-W", "ignore", "-c", ALIVE_AT_EXIT)
    assert (done.returncode, done.stderr) == (0, "")


@in_subprocess
def test_the_reading_process_is_not_a_child_of_the_program() -> None:
    """A program that waits for all its children does not wait for the reading process."""
    import os

    from membudget import MemoryLimitExceeded, limit_memory, measure_memory

    with measure_memory():
        try:
            with limit_memory("1 KB"):
                bytearray(10_000)
        except MemoryLimitExceeded as exceeded:
            assert exceeded.measurement.allocations
    try:
        os.wait()
    except ChildProcessError:
        return
    raise AssertionError("it had a child")


@in_subprocess
def test_a_reading_process_that_does_not_answer_is_an_error() -> None:
    """Such as a stopped process; another one reads the next block."""
    import os
    import signal
    from pathlib import Path

    os.environ["MEMBUDGET_READER"] = "replay"
    from membudget import CaptureError, measure_memory
    from membudget.recording.readers import process

    process.SILENCE_SECONDS = 2  # type: ignore[misc]
    with measure_memory():
        with measure_memory():
            pass
        for program in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = program.read_bytes()
                here = (program.parent / "cwd").readlink() == Path.cwd()
            except OSError:
                continue
            if here and b"readers.process" in words:
                os.kill(int(program.parent.name), signal.SIGSTOP)
                stopped = int(program.parent.name)
        try:
            with measure_memory():
                pass
        except CaptureError as error:
            assert "did not answer for 2 seconds" in str(error)
        else:
            raise AssertionError
        os.kill(stopped, signal.SIGKILL)
        with measure_memory() as inner:
            kept = bytearray(50_000)
    assert inner.peak_bytes >= len(kept)
