"""Processes that write in one directory wait for each other."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from conftest import in_subprocess
from membudget.host.whole_files import directory_locked


def is_locked(directory: Path) -> bool:
    fd = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def test_a_directory_is_locked_for_a_while(tmp_path: Path) -> None:
    with directory_locked(str(tmp_path)):
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


@in_subprocess
def test_a_forked_process_does_not_keep_the_lock() -> None:
    """It has the same open file, and may run for long."""
    directory = Path.cwd()
    its_input, our_output = os.pipe()
    with directory_locked(str(directory)):
        child = os.fork()
        if not child:
            os.close(our_output)
            os.read(its_input, 1)
            os._exit(0)
    assert not is_locked(directory)
    os.close(our_output)
    os.waitpid(child, 0)


def test_where_there_are_no_locks_work_goes_on(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), directory_locked(str(tmp_path / "missing")):
        raise ZeroDivisionError
