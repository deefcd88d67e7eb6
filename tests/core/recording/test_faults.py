"""Faults: each ends with a right number or a clear error, and leaves nothing over."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from captures import scanned_block
from conftest import in_subprocess, run_python_in
from membudget import Allocation, CaptureError, Measurement
from membudget.recording.marks import Alphabet
from membudget.recording.readers.scanner import scanner_problem
from membudget.recording.readers.whole_captures import BlockReader
from membudget.recording.request import BlockRequest

CAPTURE = """
import memray, sys
from membudget.recording.marks import Alphabet, make_mark
alphabet = Alphabet((9001, 9500, 8777))
with memray.Tracker(
    destination=memray.FileDestination("capture.bin", compress_on_exit=False)
):
    make_mark(alphabet.spell(0, 1))
    data = [bytes(1000) for _ in range(200)]
    make_mark(alphabet.spell(1, 1))
    if "further" in sys.argv:
        more = [bytes(1000) for _ in range(200)]
"""


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    done = run_python_in(tmp_path, "-c", CAPTURE)
    assert done.returncode == 0, done.stderr
    return tmp_path / "capture.bin"


ALPHABET = Alphabet((9001, 9500, 8777))


def replayed_block(path: Path, alphabet: Alphabet) -> tuple[Measurement, tuple[Allocation, ...]]:
    reader = BlockReader(str(path), alphabet, BlockRequest(1))
    return reader.figures(), reader.at_peak()


def read_with_scanner(path: Path, alphabet: Alphabet) -> tuple[Measurement, tuple[Allocation, ...]]:
    if scanner_problem() is not None:
        pytest.skip("there is no scanner")
    try:
        with path.open("rb") as file:
            return scanned_block(file.fileno(), alphabet, BlockRequest(1))
    except (ValueError, OSError) as error:
        raise CaptureError(f"it cannot be read: {error}") from error


Read = Callable[[Path, Alphabet], tuple[Measurement, tuple[Allocation, ...]]]


@pytest.fixture(params=[replayed_block, read_with_scanner])
def read(request: pytest.FixtureRequest) -> Read:
    """Return what reads a block of a capture: each reader."""
    reader: Read = request.param
    return reader


def test_a_damaged_capture_is_an_error_or_exact(capture: Path, read: Read) -> None:
    """However a capture is truncated or overwritten, there is never a wrong number."""

    def read_block(path: Path) -> tuple[Measurement, tuple[Allocation, ...]]:
        return read(path, ALPHABET)

    whole = capture.read_bytes()
    figures, allocations = read_block(capture)
    # 200 objects, and the list that grows to hold them.
    assert 200 <= figures.n_allocations < 220
    assert 200 * 1033 <= figures.peak_bytes < 200 * 1033 + 4096
    assert sum(site.size_bytes for site in allocations) == figures.peak_bytes
    # Cut anywhere.
    complete = []
    for length in range(0, len(whole), 37):
        capture.write_bytes(whole[:length])
        try:
            assert read_block(capture) == (figures, allocations)
            complete.append(length)
        except CaptureError as error:
            assert "could not be checked" in str(error) or "cannot be read" in str(error)
    # Zeroes instead of the end, as a full disk leaves them.
    n_kept = min([*complete, len(whole)]) - 200
    capture.write_bytes(whole[:n_kept] + b"\0" * (len(whole) - n_kept))
    with pytest.raises(CaptureError, match=r"incomplete|cannot be read"):
        read_block(capture)
    capture.unlink()
    with pytest.raises(CaptureError, match="cannot be read"):
        read_block(capture)


def test_marks_of_another_process_are_ignored(capture: Path, read: Read) -> None:
    other = Alphabet((9002, 9501, 8778))
    with pytest.raises(CaptureError, match="incomplete"):
        read(capture, other)


@in_subprocess
def test_a_verdict_is_kept_if_the_reading_process_ends() -> None:
    """It ends when an inner block has its figures, and before it has sent the stacks."""
    from typing import Any

    os.environ["MEMBUDGET_READER"] = "replay"
    from membudget import CaptureError, MemoryLimitExceeded, limit_memory, measure_memory
    from membudget.recording.readers.process import ReaderProcess

    ask = ReaderProcess.ask

    def ask_until_it_is_gone(self: ReaderProcess, question: dict[str, Any], counts: Any) -> Any:
        if question["question"] == "at_peak":
            self.close()
            raise CaptureError("the process is gone")
        return ask(self, question, counts)

    ReaderProcess.ask = ask_until_it_is_gone  # type: ignore[assignment, method-assign]
    with measure_memory():
        try:
            with limit_memory("1 KB"):
                data = bytearray(100_000)
        except MemoryLimitExceeded as exceeded:
            assert exceeded.measurement.stacks_problem == "the process is gone"
        else:
            raise AssertionError(len(data))


def reading_processes() -> list[int]:
    """Find those that read from a pipe of this process."""
    pipes = {_link(link) for link in Path("/proc/self/fd").iterdir() if int(link.name) > 2}
    others = [path for path in Path("/proc").glob("[0-9]*") if path.name != str(os.getpid())]
    return [int(path.name) for path in others if _link(path / "fd/0") in pipes - {""}]


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


@in_subprocess
def test_the_reading_process_keeps_no_copy_of_a_capture() -> None:
    """It lives as long as the program, and a copy is as large as the capture."""
    os.environ["MEMBUDGET_READER"] = "replay"
    from membudget import MemoryLimitExceeded, limit_memory, measure_memory

    with measure_memory():
        try:
            with limit_memory("1 KB"):
                data = bytearray(100_000)
        except MemoryLimitExceeded as exceeded:
            assert exceeded.measurement.allocations
        else:
            raise AssertionError(len(data))
        (process,) = reading_processes()
        # Its input, where it answers, and one file for what it prints and for its last words.
        files = {_link(link) for link in Path(f"/proc/{process}/fd").iterdir()}
        assert len(files) == 3, files


@in_subprocess
def test_another_tracker_is_a_conflict_error() -> None:
    """Another tracker causes a clear error, the body does not run, and later blocks work."""
    import memray
    from membudget import TrackerConflictError, measure_memory
    from workloads import allocate

    with memray.Tracker("foreign.bin"):
        for _ in range(2):
            try:
                with measure_memory():
                    raise AssertionError("the body must not run unmeasured")
            except TrackerConflictError as error:
                assert "another memray.Tracker is active" in str(error)
                assert "memray run" in str(error)
    with measure_memory() as memory:
        allocate(50_000)
        try:
            with memray.Tracker("foreign2.bin"):
                raise AssertionError("two trackers at a time")
        except RuntimeError:
            pass
    assert memory.peak_bytes >= 50_000
    with memray.Tracker("after.bin"):
        pass


@in_subprocess
def test_an_overwritten_capture_is_an_error() -> None:
    """With bytes that are not records; the next block is recorded in another capture."""
    import os

    from membudget import CaptureError, limit_memory
    from membudget.recording.recorder import get_recorder
    from membudget.runs import Run, Settings
    from workloads import allocate

    run = Run(Settings(most_allocations=5), "unittest")
    for garbage in (bytes(4000), b"\xff" * 4000):
        for nested in (False, True):
            try:
                with limit_memory("1 GB") as memory:
                    allocate(1000)
                    segment = get_recorder()._segment
                    assert segment is not None
                    fd = segment._capture.fd
                    within_the_block = segment._capture._file.written_length()
                    for _ in range(2000):
                        allocate(1000)
                    os.pwrite(fd, garbage, within_the_block)
                    if nested:
                        with limit_memory("1 GB"):
                            allocate(1000)
            except CaptureError as error:
                assert "could not be checked" in str(error) or "cannot be read" in str(error)
            else:
                raise AssertionError(f"a limit that was not checked: {memory.measurement}")
            with limit_memory("1 GB") as memory:
                allocate(10)
            assert memory.n_allocations >= 1
        run.begin()
    run.end()


CLOSES_FILES = """
import os

from membudget import CaptureError, limit_memory
from membudget.runs import Run, Settings
from workloads import KIB, allocate

run = Run(Settings(most_allocations=5), "unittest")
for _ in range(2):
    for nested in (False, True):
        try:
            with limit_memory("1 GB"):
                with limit_memory("1 GB"):
                    pass
                os.closerange(3, 256)
                if nested:
                    with limit_memory("1 GB"):
                        allocate(10)
        except CaptureError:
            pass
        else:
            raise AssertionError("a limit that was not checked has passed")
        with limit_memory("1 GB") as memory:
            allocate(100 * KIB)
        assert memory.peak_bytes >= 100 * KIB
    run.begin()
    with limit_memory("1 GB"):
        pass
os.closerange(3, 256)  # between two blocks of a run
with limit_memory("1 GB") as memory:
    allocate(100 * KIB)
assert memory.peak_bytes >= 100 * KIB
run.end()
"""


def test_a_program_that_closes_all_files(tmp_path: Path) -> None:
    """As daemons do: the block in which it does so is an error, and the next one is measured."""
    path = str(Path(__file__).parents[2] / "contract")
    done = run_python_in(tmp_path, "-c", CLOSES_FILES, environment={"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@in_subprocess
def test_a_directory_that_cannot_be_written_is_an_error() -> None:
    import tempfile

    from membudget import CaptureError, measure_memory

    tempfile.tempdir = "/nowhere/at/all"
    try:
        with measure_memory():
            raise AssertionError("the body must not run unmeasured")
    except CaptureError as error:
        assert "/nowhere/at/all" in str(error)
        assert "TMPDIR" in str(error)


FULL_DISK = """
import resource, sys, warnings
from membudget import CaptureError, NotRaisedWarning, limit_memory
from workloads import allocate
warnings.simplefilter("ignore", NotRaisedWarning)  # that a note has it
with limit_memory("1 GB"):  # imports what is needed: their compiled files must not be cut
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
for body in ("passes", "raises"):
    try:
        with limit_memory("1 GB"):
            for _ in range(50_000):
                allocate(10)
            if body == "raises":
                raise LookupError("the body's own")
    except CaptureError as error:
        assert body == "passes" and "could not be checked" in str(error), error
    except LookupError as error:
        assert body == "raises" and "could not be checked" in error.__notes__[0]
    else:
        raise AssertionError("a limit that was not checked has passed")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with limit_memory("1 GB") as memory:
    allocate(10)
assert memory.n_allocations >= 1
"""


def test_a_full_disk_is_an_error_and_never_a_pass(tmp_path: Path) -> None:
    """memray then stops recording, so the limit could have been exceeded unseen."""
    path = str(Path(__file__).parents[2] / "contract")
    done = run_python_in(tmp_path, "-B", "-c", FULL_DISK, environment={"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr


INTERRUPTED = """
import os, signal, sys, tempfile, threading, time
# What a shell starts in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
from membudget import limit_memory, measure_memory
from membudget.runs import Run, Settings
from workloads import allocate
tempfile.gettempdir()  # makes and removes a file of its own, when first asked
with measure_memory(), measure_memory():  # imports what is needed
    pass
def work():
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with limit_memory("1 GB"):
            with measure_memory():
                allocate(10)
run = Run(Settings(most_allocations=5), "unittest")
interrupted = 0
for delay in range(60):
    timer = threading.Timer(0.0007 * delay, os.kill, (os.getpid(), signal.SIGINT))
    # Not around the loop itself: Python 3.13.0 does not find the handler from everywhere in one.
    try:
        timer.start()
        work()
    except KeyboardInterrupt:
        interrupted += 1
    timer.join()
    if delay == 30:  # the second half lingers between blocks
        run.begin()
assert interrupted == 60, f'{60 - interrupted} lost'
run.end()
import memray
with memray.Tracker("after.bin"):
    pass
assert not [name for name in os.listdir(tempfile.gettempdir()) if "membudget" in name]
for _ in range(2):
    with limit_memory("1 GB") as memory:
        allocate(1000)
    assert memory.peak_bytes >= 1000
"""


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C at any time: no tracker and no file is left over, and the next block is measured."""
    path = str(Path(__file__).parents[2] / "contract")
    (tmp_path / "tmp").mkdir()
    environment = {"PYTHONPATH": path, "TMPDIR": str(tmp_path / "tmp")}
    done = run_python_in(tmp_path, "-c", INTERRUPTED, environment=environment)
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("end", ["os._exit(3)", "sys.exit(3)", "os.kill(os.getpid(), 9)"])
def test_an_exit_inside_a_block_leaves_no_file(tmp_path: Path, end: str) -> None:
    """Not even when the process is killed: the capture never had a name."""
    (tmp_path / "tmp").mkdir()
    program = (
        "import os, sys\nfrom membudget import measure_memory\n"
        f"with measure_memory(), measure_memory():\n    {end}"
    )
    done = run_python_in(tmp_path, "-c", program, environment={"TMPDIR": str(tmp_path / "tmp")})
    assert done.returncode in (3, -9), done.stderr
    assert done.stderr == ""
    assert not list((tmp_path / "tmp").iterdir())


@in_subprocess
def test_a_forked_child_starts_clean() -> None:
    """It may open blocks of its own, and leaves those of its parent alone."""
    import os

    from membudget import limit_memory, measure_memory
    from workloads import KIB, allocate

    with measure_memory() as outer, limit_memory("300 KB") as memory:
        with measure_memory():
            allocate(10)
        child = os.fork()
        if not child:
            status = 1
            try:
                # Leaves the parent's block: not the child's to judge.
                memory.__exit__(None, None, None)
                with measure_memory() as own:
                    with measure_memory() as inner:
                        allocate(500 * KIB)
                assert 500 * KIB <= own.peak_bytes < 510 * KIB
                assert 500 * KIB <= inner.peak_bytes < 510 * KIB
                status = 0
            finally:
                os._exit(status)
        allocate(200 * KIB)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert 200 * KIB <= memory.peak_bytes < 220 * KIB
    assert 200 * KIB <= outer.peak_bytes < 220 * KIB


@in_subprocess
def test_profile_functions_are_kept() -> None:
    """Those set before a block, and those that the program sets inside one."""
    import sys
    import threading
    from types import FrameType

    from membudget import measure_memory

    def before(frame: FrameType, event: str, argument: object) -> None: ...

    def inside(frame: FrameType, event: str, argument: object) -> None: ...

    sys.setprofile(before)
    with measure_memory():
        pass
    assert sys.getprofile() is before
    with measure_memory():
        sys.setprofile(inside)
        threading.setprofile(inside)
    assert sys.getprofile() is inside
    assert threading.getprofile() is inside
    sys.setprofile(None)
    threading.setprofile(None)
    with measure_memory():
        pass
    assert sys.getprofile() is None
    assert threading.getprofile() is None


@in_subprocess
def test_the_reading_process_may_die() -> None:
    """One block ends with an error; the next one starts another process."""
    import signal
    import time

    os.environ["MEMBUDGET_READER"] = "replay"
    from membudget import CaptureError, measure_memory
    from workloads import KIB, allocate

    with measure_memory() as outer:
        with measure_memory():
            pass
        (process,) = reading_processes()
        os.kill(process, signal.SIGSTOP)
        signal.signal(signal.SIGALRM, lambda *_: os.kill(process, signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            with measure_memory():
                pass
        except CaptureError as error:
            assert "ended unexpectedly" in str(error)
        else:
            raise AssertionError("a block was not read")
        while process in reading_processes():
            time.sleep(0.01)
        with measure_memory() as inner:
            allocate(100 * KIB)
        assert inner.peak_bytes >= 100 * KIB
    assert outer.peak_bytes >= 100 * KIB


@in_subprocess
def test_reading_a_block_collects_no_garbage_of_the_program() -> None:
    """Otherwise a ResourceWarning of one test would appear in another one."""
    import gc
    import sys

    from membudget import measure_memory

    with measure_memory():
        pass
    collected_in: list[str] = []

    def watch(phase: str, info: dict[str, int]) -> None:
        frame = sys._getframe(1)
        while frame.f_back is not None:
            collected_in.append(frame.f_code.co_filename)
            frame = frame.f_back

    gc.callbacks.append(watch)
    for enabled in (True, False):
        (gc.enable if enabled else gc.disable)()
        gc.collect()  # else the next one may be due while the block is opened
        with measure_memory():
            kept = [bytearray(1000) for _ in range(20_000)]
        assert kept
        assert gc.isenabled() is enabled
    gc.callbacks.remove(watch)
    assert not [name for name in collected_in if "recording" in name and "test_" not in name]


@in_subprocess
def test_open_files_and_children_are_as_before() -> None:
    """Measuring leaves no file descriptor open, and no process but the one that reads."""
    import os

    from membudget import measure_memory

    with measure_memory():
        pass
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        with measure_memory():
            pass
    assert os.listdir("/proc/self/fd") == before


@in_subprocess
def test_systems_without_unnamed_files() -> None:
    """If a file without a name cannot be opened again (macOS), it is removed after reading."""
    import os
    import tempfile

    from membudget import measure_memory
    from membudget.recording import temp_files as files
    from workloads import KIB, allocate

    os.mkdir("tmp")
    tempfile.tempdir = os.path.abspath("tmp")
    files._UNNAMED_FILES = False
    with measure_memory() as outer:
        with measure_memory() as inner:
            allocate(100 * KIB)
    assert 100 * KIB <= inner.peak_bytes <= outer.peak_bytes < 110 * KIB
    assert os.listdir("tmp") == []


@in_subprocess
def test_marks_are_found_with_debug_allocators() -> None:
    """python -X dev and PYTHONMALLOC=debug change the size of every object."""
    import subprocess
    import sys

    program = (
        "from membudget import measure_memory\n"
        "with measure_memory() as memory: data = bytearray(100_000)\n"
        "assert 100_000 <= memory.peak_bytes < 110_000, memory.measurement\n"
    )
    for options, variables in (
        (["-X", "dev"], {}),
        ([], {"PYTHONMALLOC": "debug"}),
        ([], {"PYTHONMALLOC": "malloc_debug"}),
        ([], {"PYTHONMALLOC": "malloc"}),
        (["-E"], {"PYTHONMALLOC": "debug"}),
    ):
        subprocess.run([sys.executable, *options, "-c", program], env=variables, check=True)


NO_FILES_LEFT = """
import resource, sys, threading
from membudget import RecordingError, limit_memory, measure_memory
with measure_memory():
    pass
def profile(*_):
    pass
before = dict(vars(threading.Thread))
soft, hard = resource.getrlimit(resource.{limit})
for is_stable in (False, True):
    sys.setprofile(profile)
    for number in {numbers}:
        resource.setrlimit(resource.{limit}, (number, hard))
        try:
            with limit_memory("1 MB", stable=is_stable):
                raise LookupError("unmeasured")
        except RecordingError:
            pass
        except LookupError:
            pass
        finally:
            resource.setrlimit(resource.{limit}, (soft, hard))
        assert sys.getprofile() is profile and threading.getprofile() is None
        assert dict(vars(threading.Thread)) == before
    sys.setprofile(None)
    with measure_memory() as memory:
        kept = [bytearray(100) for _ in range(3)]
    assert memory.n_allocations <= 1, memory.measurement  # Python's allocators are not traced
"""


@pytest.mark.parametrize(
    ("limit", "numbers"), [("RLIMIT_NOFILE", "range(3, 12)"), ("RLIMIT_FSIZE", "(1000,)")]
)
def test_a_tracker_that_cannot_start_leaves_nothing(
    tmp_path: Path, limit: str, numbers: str
) -> None:
    """There is an error, and the next block is measured as usual."""
    program = NO_FILES_LEFT.format(limit=limit, numbers=numbers)
    done = run_python_in(tmp_path, "-B", "-c", program)
    assert done.returncode == 0, done.stderr


@in_subprocess
def test_an_assertion_error_of_memray_is_not_an_exceeded_limit() -> None:
    """As with a mock of threading.Thread."""
    from unittest import mock

    from membudget import RecordingError, limit_memory, measure_memory

    with measure_memory():
        pass
    with mock.patch("threading.Thread") as thread:
        try:
            with limit_memory("1 MB"):
                pass
        except RecordingError as error:
            assert "threading.Thread" in str(error)
        assert thread._name is not None  # the mock is as it was
    with limit_memory("1 MB"):
        pass


@in_subprocess
def test_trackers_leave_no_wrappers_on_thread_names() -> None:
    """memray wraps ``Thread._set_os_name``, of Python 3.14, each time that a tracker starts."""
    import threading
    from typing import Any

    from membudget import measure_memory

    def set_os_name(self: Any) -> None: ...

    own: Any = vars(threading.Thread).get("_set_os_name", set_os_name)
    thread: Any = threading.Thread
    thread._set_os_name = own
    for _ in range(3):
        with measure_memory():
            pass
        assert vars(threading.Thread)["_set_os_name"] is own
