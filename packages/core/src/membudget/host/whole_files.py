"""Writes a file as a whole: the old file stays until the new one is complete.

After a full disk, or in a process that is killed, the old file is unchanged.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from .raised import raised_by_us, suppressed
from .system import Real, real_functions

_CLOSED_AT_EXEC: Final = getattr(os, "O_CLOEXEC", 0)
_BINARY: Final = getattr(os, "O_BINARY", 0)  # of Windows
_NEW: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | _CLOSED_AT_EXEC | _BINARY
_EXISTING: Final = os.O_WRONLY | _CLOSED_AT_EXEC | _BINARY
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_AT_LEAST_BYTES: Final = 1 << 18
"""How many bytes are written at a time, if there are as many."""
_CANNOT_BE_REPLACED: Final = (errno.EACCES, errno.EPERM, errno.EBUSY)


def write_whole(path: str, data: bytes) -> None:
    """Write a file as a whole; see :func:`write_pieces`.

    Raises:
        OSError: it cannot be written.
    """
    write_pieces(path, lambda: [data])


def write_pieces(path: str, pieces: Callable[[], Iterable[bytes]]) -> None:
    """Write a file as a whole. A symbolic link is followed.

    Data for a device or a pipe is appended. A file in a directory without permission for new files
    is overwritten in place.

    Args:
        path: the path of the file.
        pieces: returns the data; it can be called twice.

    Raises:
        OSError: it cannot be written.
    """
    with real_functions():
        if is_a_stream(path):
            _write(path, _EXISTING | os.O_APPEND, pieces())
            return
        target = Real.realpath(path)
        try:
            with whole_file(target) as fd:
                _write_gathered(fd, pieces())
        except OSError as error:
            if error.errno not in _CANNOT_BE_REPLACED or not raised_by_us(error):
                raise
            _write(target, _EXISTING | os.O_CREAT | os.O_TRUNC, pieces())


def append(path: str, data: bytes) -> None:
    """Add to the end of a file, which is made if it is not there. Nothing stays in a buffer.

    Raises:
        OSError: it cannot be written.
    """
    with real_functions():
        _write(path, _EXISTING | os.O_CREAT | os.O_APPEND, [data])


def is_a_stream(path: str) -> bool:
    """Whether a path is a device or a pipe: what is written to it replaces nothing."""
    # /dev/stdout may be a file to which other programs write as well.
    if path.startswith(("/dev/", "/proc/")):
        return True
    with suppressed(FileNotFoundError):
        return not stat.S_ISREG(Real.stat(path).st_mode)
    return False


@contextlib.contextmanager
def directory_locked(directory: str) -> Iterator[None]:
    """Let other processes that do the same wait while this lasts, where the system can do that."""
    with contextlib.ExitStack() as held:
        # Not on Windows, in a directory that cannot be listed, or on some network file systems.
        with suppressed(OSError):
            if Real.lock_file is not None:
                fd = held.enter_context(_opened(directory, os.O_RDONLY | _CLOSED_AT_EXEC))
                Real.lock_file(fd, Real.locked)
                # A process that was forked meanwhile has this file open as well.
                held.callback(Real.lock_file, fd, Real.unlocked)
        yield


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[int]:
    """Yield the number of a new file, which replaces ``path`` if the context ends without an error.

    A symbolic link is replaced, and not followed. For a device or a pipe, yields its own number.

    Raises:
        OSError: it cannot be written. The old file at ``path`` is unchanged.
    """
    there = _status(path)
    if there is not None and not (stat.S_ISREG(there.st_mode) or stat.S_ISLNK(there.st_mode)):
        with _opened(path, _EXISTING | _NO_LINK) as fd:
            yield fd
        return
    temporary = Real.join(Real.dirname(path), f".membudget-{Real.random(8).hex()}")
    try:
        with _opened(temporary, _NEW) as fd:
            if there is not None and stat.S_ISREG(there.st_mode):
                _copy_owner_and_mode(there, fd)
            yield fd
        Real.replace(temporary, path)
    except BaseException:
        with suppressed(OSError):
            Real.unlink(temporary)
        raise


def _status(path: str) -> os.stat_result | None:
    with suppressed(FileNotFoundError):
        status: os.stat_result = Real.lstat(path)
        return status
    return None


def _copy_owner_and_mode(there: os.stat_result, fd: int) -> None:
    """Give a new file the owner and the permissions of the file that it will replace."""
    if Real.fchmod is None:  # Windows
        return
    with suppressed(OSError):  # only an administrator can change the owner
        Real.fchown(fd, there.st_uid, there.st_gid)
    with suppressed(OSError):
        Real.fchmod(fd, stat.S_IMODE(there.st_mode))


@contextlib.contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    fd = Real.open(path, flags, 0o666)
    try:
        yield fd
    finally:
        Real.close(fd)


def _write(path: str, flags: int, pieces: Iterable[bytes]) -> None:
    with _opened(path, flags) as fd:
        _write_gathered(fd, pieces)


def _write_gathered(fd: int, pieces: Iterable[bytes]) -> None:
    """Write small pieces together: each call of the system takes time."""
    gathered = bytearray()
    for piece in pieces:
        gathered += piece
        if len(gathered) >= _AT_LEAST_BYTES:
            write_all(fd, gathered)
            gathered.clear()
    write_all(fd, gathered)


def write_all(fd: int, data: bytes | bytearray) -> None:
    """Write all of ``data``, in as many steps as the system needs.

    Raises:
        OSError: it cannot be written.
    """
    left = memoryview(data)
    while left:
        left = left[Real.write(fd, left) :]
