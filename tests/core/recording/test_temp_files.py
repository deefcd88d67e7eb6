"""Files of the program are not touched; files of membudget are not left over or inherited."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import pytest
from conftest import in_subprocess, run_python_in
from membudget.host.system import Real
from membudget.host.whole_files import whole_file, write_whole
from membudget.recording.readers.scanner import scanner_problem
from membudget.recording.temp_files import OwnFile, read_beginning, temporary_file


def test_a_file_number_that_belongs_to_another_file_is_neither_used_nor_closed(
    tmp_path: Path,
) -> None:
    ours = temporary_file()
    number = ours.fileno()
    os.close(number)
    theirs = os.open(tmp_path / "theirs", os.O_CREAT | os.O_RDWR)
    assert theirs == number
    os.write(theirs, b"data\0\0")
    for use in (ours.fileno, ours.path, ours.written_length, lambda: ours.cut(0)):
        with pytest.raises(OSError, match="the program closed a file of membudget"):
            use()
    ours.close()
    assert os.fstat(theirs).st_size == 6
    os.close(theirs)


def test_a_temporary_file_is_gone_when_it_is_closed() -> None:
    with temporary_file() as file:
        os.write(file.fileno(), b"data\0\0")
        assert file.written_length() == 4
        path = file.path()
        assert Path(path).stat().st_size == 6
        number = file.fileno()
    assert not file.is_ours
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    assert isinstance(file, OwnFile)


CLOSES_ALL = """
import os
from membudget import CaptureError, measure_memory
from membudget.recording.access import get_recorder

try:
    with measure_memory():
        recorder = get_recorder()
        memrays = next(iter(recorder._segment._capture._memrays_files._files))
        os.closerange(3, 256)
        files = [open(f"{n}.bin", "w+b", buffering=0) for n in range(8)]
        for file in files:
            file.write(b"data")
            os.ftruncate(file.fileno(), 100_004)
            os.set_inheritable(file.fileno(), True)
except CaptureError as error:
    assert "the program closed a file of membudget, as os.closerange() does" in str(error)
else:
    raise AssertionError
for file in files:
    file.seek(0)
    # While the block lasts, memray writes to its number: that is between it and the program.
    assert file.fileno() == memrays or file.read() == b"data" + bytes(100_000), file.name
    assert os.path.getsize(file.name) >= 100_004
    file.write(b"more")
    assert os.get_inheritable(file.fileno())
    file.close()
"""


def test_files_of_a_program_that_closed_ours_are_not_changed(tmp_path: Path) -> None:
    """They have the numbers of membudget's and memray's files, which memray closes."""
    done = run_python_in(tmp_path, "-c", CLOSES_ALL)
    assert done.returncode == 0, done.stderr


EXECUTES = """
import os, sys
from membudget import MemoryLimitExceeded, limit_memory, measure_memory

with measure_memory():
    try:
        with limit_memory("1 KB"):  # starts the reading process
            bytearray(10_000)
    except MemoryLimitExceeded:
        pass
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""


def test_a_program_started_with_exec_inherits_no_file_of_membudget(tmp_path: Path) -> None:
    listing = "import os; print(os.listdir('/proc/self/fd'))"
    without = run_python_in(tmp_path, "-c", listing)
    assert run_python_in(tmp_path, "-c", EXECUTES, listing).stdout == without.stdout


@in_subprocess
def test_the_reading_process_makes_no_file_with_a_name() -> None:
    """If either process is killed, no copy of a capture is left in the temporary directory."""
    import tempfile
    import threading

    from membudget import MemoryLimitExceeded, limit_memory, measure_memory

    tempfile.tempdir = tempfile.mkdtemp(dir=".")
    seen: set[str] = set()
    is_done = threading.Event()

    def look() -> None:
        while not is_done.is_set():
            seen.update(os.listdir(tempfile.gettempdir()))

    thread = threading.Thread(target=look)
    thread.start()
    with measure_memory():
        for n_objects in (10, 20_000):
            try:
                with limit_memory("1 KB"):
                    kept = [bytearray(1000) for _ in range(n_objects)]
            except MemoryLimitExceeded:
                del kept
    is_done.set()
    thread.join()
    assert not seen, seen


def test_a_file_that_is_read_in_one_step_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    closed: list[int] = []

    def close(fd: int) -> None:
        closed.append(fd)
        os.close(fd)

    monkeypatch.setattr(Real, "close", close)
    assert read_beginning(str(path), 3) == b"123"
    assert read_beginning(os.devnull, 3) == b""
    assert len(closed) == 2
    with pytest.raises(IsADirectoryError):
        read_beginning(str(tmp_path), 3)
    assert len(closed) == 3
    with pytest.raises(FileNotFoundError):
        read_beginning(str(tmp_path / "other"), 3)
    assert len(closed) == 3


def test_a_file_is_written_as_a_whole_or_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    with contextlib.suppress(LookupError), whole_file(str(path)) as fd:
        os.write(fd, b"half")
        raise LookupError
    assert path.read_text() == "old"
    write_whole(str(path), b"new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["file"]


def test_a_symbolic_link_is_followed_for_json_files(tmp_path: Path) -> None:
    """A capture replaces the link, so that it cannot overwrite another file."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_whole(str(link), b"new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    with whole_file(str(link)) as fd:
        os.write(fd, b"capture")
    assert not link.is_symlink()
    assert (link.read_text(), target.read_text()) == ("capture", "new")


def test_devices_and_pipes_are_written_to(tmp_path: Path) -> None:
    """As a pipe that has a reader."""
    write_whole("/dev/null", b"data")
    assert not Path("/dev/null").is_file()
    reading, writing = os.pipe()
    write_whole(f"/dev/fd/{writing}", b"data")
    assert os.read(reading, 100) == b"data"
    os.close(reading)
    os.close(writing)
    with pytest.raises(OSError, match="No space left"):
        write_whole("/dev/full", b"data")
    with pytest.raises(FileNotFoundError):
        write_whole(str(tmp_path / "missing/file"), b"data")


@pytest.mark.skipif(scanner_problem() is not None, reason="there is no scanner")
@in_subprocess
def test_a_capture_is_not_kept_through_a_link() -> None:
    from membudget import Budget
    from membudget.runs import Block

    precious = Path("precious")
    precious.write_text("precious")
    Path("kept.bin").symlink_to("precious")
    with Block(Budget(), keep_capture="kept.bin"):
        pass
    assert precious.read_text() == "precious"
    assert not Path("kept.bin").is_symlink()
    assert sorted(os.listdir(".")) == ["kept.bin", "precious"]
