"""Files of membudget's own: temporary ones, without a name where the system can do that (Linux).

Nobody else can remove or change a file without a name, and it is gone when the process is, however
that ends. But a program may close all files that it finds, as ``os.closerange`` does, and the
number of one of ours then stands for a file of the program: :class:`OwnFile` looks before it does
anything.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Final, Self

from ..system import Real, real_functions

# Through /proc.
_UNNAMED_FILES = sys.platform == "linux"

_CLOSED_AT_EXEC: Final = getattr(os, "O_CLOEXEC", 0)
_UNNAMED: Final = getattr(os, "O_TMPFILE", 0) | os.O_RDWR | os.O_EXCL | _CLOSED_AT_EXEC
_NEW: Final = os.O_CREAT | os.O_RDWR | os.O_EXCL | _CLOSED_AT_EXEC
_READ: Final = os.O_RDONLY | _CLOSED_AT_EXEC
_NO_UNNAMED: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)


class OwnFile:
    """A file that membudget has opened, as long as its number stands for this file.

    Args:
        fd: its number.
        name: its path, if it is one that is to be removed with it.

    Attributes:
        number: its number, which may stand for another file by now.
    """

    __slots__ = ("_identity", "_name", "number")

    def __init__(self, fd: int, name: str = "") -> None:
        # No __del__ closes it: Python would lose a KeyboardInterrupt that happens to arrive there.
        try:
            self.number = fd
            self._name = name
            self._identity = _identity(fd)
        except BaseException:
            Real.close(fd)
            raise

    @property
    def is_ours(self) -> bool:
        """Whether it is open, and its number stands for nothing else."""
        try:
            return self.number >= 0 and _identity(self.number) == self._identity
        except OSError:
            return False

    def fileno(self) -> int:
        """Return its number.

        Raises:
            OSError: it was closed.
        """
        if not self.is_ours:
            raise OSError(
                errno.EBADF, "the program closed a file of membudget's, as os.closerange() does"
            )
        return self.number

    def finds(self, fd: int) -> bool:
        """Whether another number stands for this file as well."""
        try:
            return _identity(fd) == self._identity
        except OSError:
            return False

    def path(self, pid: int | None = None) -> str:
        """Return a path that opens it in process ``pid``'s view, by default in this one's."""
        if _UNNAMED_FILES:
            return f"/proc/{pid or 'self'}/fd/{self.fileno()}"
        return self._name

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

    def truncate(self, length: int) -> None:
        """Cut it to ``length`` bytes.

        Raises:
            OSError: it was closed.
        """
        Real.truncate(self.fileno(), length)

    def close(self) -> None:
        """Close it, if nobody has done so. Can be done again."""
        is_ours, fd, name = self.is_ours, self.number, self._name
        self.number, self._name = -1, ""
        with contextlib.suppress(OSError):
            if is_ours:
                Real.close(fd)
        with contextlib.suppress(OSError):
            if name:
                Real.unlink(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def duplicate_above(fd: int, least: int) -> int:
    """Return a number from ``least`` on that stands for the file of ``fd`` as well.

    Raises:
        OSError: there are too many files.
    """
    number: int = Real.control(fd, Real.dup_above, least)
    return number


def _identity(fd: int) -> tuple[int, int]:
    status = Real.fstat(fd)
    return status.st_dev, status.st_ino


def temporary_file() -> OwnFile:
    """Return a new temporary file, removed when it is closed.

    Raises:
        OSError: the temporary directory cannot be written.
    """
    if _UNNAMED_FILES:
        return private_file()
    path, fd = _new_file()
    return OwnFile(fd, path)


def private_file() -> OwnFile:
    """Return a new temporary file that has no name anywhere.

    Raises:
        OSError: the temporary directory cannot be written.
    """
    if _UNNAMED_FILES:
        try:
            return OwnFile(Real.open(_directory(), _UNNAMED, 0o600))
        except OSError as error:
            if error.errno not in _NO_UNNAMED:
                raise
    # Where there are no files without a name: this one loses its name at once.
    path, fd = _new_file()
    Real.unlink(path)
    return OwnFile(fd)


def _new_file() -> tuple[str, int]:
    path = f"{_directory()}/membudget-{Real.random(8).hex()}"
    return path, Real.open(path, _NEW, 0o600)


def _directory() -> str:
    with real_functions():
        return Real.directory()


def open_to_read(path: str) -> OwnFile:
    """Return the file at ``path``, open for reading.

    Raises:
        OSError: it cannot be read.
    """
    return OwnFile(Real.open(path, _READ))
