"""Temporary files of membudget, without a name if the system supports that (Linux).

Other code cannot remove or change a file without a name, and it disappears with the process,
however that ends. But a program may close all open files, as ``os.closerange`` does, and its own
files can then get the same numbers. So :class:`OwnFile` checks the number before each use.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from io import FileIO
from itertools import chain, repeat
from operator import call
from typing import Final

from ..host.raised import raised_by_us, suppressed
from ..host.system import Real, real_functions

# Through /proc.
_UNNAMED_FILES = sys.platform == "linux"

_CLOSED_AT_EXEC: Final = getattr(os, "O_CLOEXEC", 0)
_UNNAMED: Final = getattr(os, "O_TMPFILE", 0) | os.O_RDWR | os.O_EXCL | _CLOSED_AT_EXEC
_NEW: Final = os.O_CREAT | os.O_RDWR | os.O_EXCL | _CLOSED_AT_EXEC
_READ: Final = os.O_RDONLY | _CLOSED_AT_EXEC
_NO_UNNAMED: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)


class FileIdentity:
    """The identity of the file that has a number, because another file can get the same number.

    A file system can give the inode of a closed file to the next file. But a file of the program
    has a name, and a temporary file of membudget has none.
    """

    __slots__ = ("_device", "_has_no_name", "_inode")

    def __init__(self, fd: int) -> None:
        status = Real.fstat(fd)
        self._device, self._inode = status.st_dev, status.st_ino
        self._has_no_name = not status.st_nlink

    def is_at(self, fd: int) -> bool:
        """Whether a number belongs to this file."""
        with suppressed(OSError):
            status = Real.fstat(fd)
            is_same = (status.st_dev, status.st_ino) == (self._device, self._inode)
            return is_same and not (self._has_no_name and status.st_nlink)
        return False


class OwnFile(FileIO):
    """A file that membudget has opened, usable as long as its number belongs to it.

    Made by :func:`_opened`. If an interruption loses the object, the file closes itself.

    Attributes:
        path_to_remove: its path, if the file has to be removed when it is closed.
    """

    identity: FileIdentity | None = None
    path_to_remove = ""

    @property
    def is_ours(self) -> bool:
        """Whether it is open, and its number still belongs to it."""
        if self.closed:
            return False
        return self.identity is None or self.identity.is_at(super().fileno())

    def fileno(self) -> int:
        """Return its number.

        Raises:
            OSError: it was closed.
        """
        if not self.is_ours:
            raise OSError(
                errno.EBADF, "the program closed a file of membudget, as os.closerange() does"
            )
        return super().fileno()

    def path(self, pid: int | None = None) -> str:
        """Return a path under which process ``pid`` can open it; by default, this process."""
        if _UNNAMED_FILES:
            return f"/proc/{pid or 'self'}/fd/{self.fileno()}"
        return self.path_to_remove

    def written_length(self) -> int:
        """Return its length without the zero bytes at its end.

        Raises:
            OSError: it was closed, or cannot be read.
        """
        fd = self.fileno()
        step = 1 << 16
        end = Real.fstat(fd).st_size
        while end > 0:
            begin = max(0, end - step)
            written = Real.pread(fd, end - begin, begin).rstrip(b"\0")
            if written:
                return begin + len(written)
            end = begin
        return 0

    def cut(self, length: int) -> None:
        """Cut it to ``length`` bytes.

        Raises:
            OSError: it was closed.
        """
        Real.truncate(self.fileno(), length)

    def close(self) -> None:
        """Close it, unless it is already closed. Can be called again."""
        if self.closed:
            return
        path, self.path_to_remove = self.path_to_remove, ""
        if path:
            with suppressed(OSError):
                Real.unlink(path)
        # In one step of Python, as in _opened: a number that is closed twice can belong to another
        # file the second time. The object does not close the number itself.
        steps: list[Callable[[], object]] = [super().close]
        if self.is_ours:
            steps.append(partial(Real.close, super().fileno()))
        list(map(call, steps))


def _opened(numbers: Iterable[int]) -> list[OwnFile]:
    """Return a file for each of the numbers, which an iterator gets from the system.

    This is one step of Python. If there were two, a signal handler could raise in between, and the
    number would be lost and stay open.
    """
    files = list(map(OwnFile, numbers, repeat("r+b"), repeat(False)))
    for file in files:
        file.identity = FileIdentity(file.fileno())
    return files


def _open(path: str, flags: int) -> OwnFile:
    return _opened(map(Real.open, (path,), (flags,), (0o600,)))[0]


def duplicate_above(fd: int, least: int) -> OwnFile:
    """Return the file of ``fd`` under another number, ``least`` or higher.

    Raises:
        OSError: there are too many files.
    """
    return _opened(map(Real.control, (fd,), (Real.dup_above,), (least,)))[0]


def pipe() -> list[OwnFile]:
    """Return the two ends of a pipe: first for reading, then for writing.

    Raises:
        OSError: there are too many files.
    """
    return _opened(chain.from_iterable(map(call, (Real.pipe,))))


def temporary_file() -> OwnFile:
    """Return a new temporary file, removed when it is closed.

    Raises:
        OSError: the temporary directory cannot be written.
    """
    return private_file() if _UNNAMED_FILES else _new_file()


def private_file() -> OwnFile:
    """Return a new temporary file that has no name anywhere.

    Raises:
        OSError: the temporary directory cannot be written.
    """
    if _UNNAMED_FILES:
        try:
            return _open(_directory(), _UNNAMED)
        except OSError as error:
            if error.errno not in _NO_UNNAMED or not raised_by_us(error):
                raise
    # The system has no files without a name, so remove the name at once.
    file = _new_file()
    Real.unlink(file.path_to_remove)
    file.path_to_remove = ""
    return file


def _new_file() -> OwnFile:
    path = f"{_directory()}/membudget-{Real.random(8).hex()}"
    file = _open(path, _NEW)
    file.path_to_remove = path
    return file


def _directory() -> str:
    with real_functions():
        return Real.directory()


def open_to_read(path: str) -> OwnFile:
    """Return the file at ``path``, open for reading.

    Raises:
        OSError: it cannot be read.
    """
    return _open(path, _READ)


def read_beginning(path: str, n_bytes: int) -> bytes:
    """Return up to ``n_bytes`` from the beginning of the file at ``path``.

    Opening, reading and closing are one step of Python, as in :func:`_opened`. This takes a fifth
    of the time of an :class:`OwnFile`.

    Raises:
        OSError: it cannot be read.
    """
    numbers: list[int] = []
    opening = map(numbers.extend, (map(Real.open, (path,), (_READ,)),))
    reading = map(Real.read, numbers, (n_bytes,))
    closing = map(Real.close, map(numbers.pop, (0,)))
    try:
        return b"".join(filter(None, chain(opening, reading, closing)))
    except BaseException:
        list(map(Real.close, map(numbers.pop, repeat(0, len(numbers)))))
        raise
