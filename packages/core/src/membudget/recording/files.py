"""Temporary files without a name, where the system can open such a file a second time (Linux).

Nobody else can remove or change one, and it is gone when the process is, however that ends.

The functions of the system are taken when this module is imported, and kept where nobody replaces
them: tests mock ``open`` and ``os``, or put a fake file system in their place, whose file numbers
belong to other files of the process.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from typing import IO, Any, Final, cast

# Through /proc.
_UNNAMED_FILES = sys.platform == "linux"


class _Real:
    """The functions of the system, in a class: out of reach for what mocks modules."""

    open: Final = staticmethod(os.open)
    truncate: Final = staticmethod(os.ftruncate)
    file: Final = io.FileIO
    named: Final[Any] = staticmethod(tempfile.NamedTemporaryFile)
    nameless: Final[Any] = staticmethod(tempfile.TemporaryFile)
    flags: Final = getattr(os, "O_TMPFILE", 0) | os.O_RDWR | os.O_EXCL
    made_flags: Final = os.O_CREAT | os.O_RDWR | os.O_EXCL
    stat: Final = staticmethod(os.stat)
    end: Final = os.SEEK_END
    unlink: Final = staticmethod(os.unlink)
    directory: Final[Callable[[], str]] = staticmethod(tempfile.gettempdir)
    unsupported: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)


def temporary_file() -> IO[bytes]:
    """Return a new temporary file, removed when it is closed.

    Raises:
        OSError: the temporary directory cannot be written.
    """
    if not _UNNAMED_FILES:
        return cast(IO[bytes], _Real.named(prefix="membudget-"))
    directory = _Real.directory()
    try:
        return _opened(directory, _Real.flags)
    except OSError as error:
        if error.errno not in _Real.unsupported:
            raise
    # A file system that knows no files without a name: this one loses its name at once.
    path = f"{directory}/membudget-{next(tempfile._get_candidate_names())}"  # type: ignore[attr-defined]
    file = _opened(path, _Real.made_flags)
    _Real.unlink(path)
    return file


def private_file() -> IO[bytes]:
    """Return a new temporary file that has no name anywhere, and cannot be opened by one.

    Raises:
        OSError: the temporary directory cannot be written.
    """
    return temporary_file() if _UNNAMED_FILES else cast(IO[bytes], _Real.nameless())


def _opened(path: str, flags: int) -> IO[bytes]:
    """Open a file to read and write.

    In one step of Python: what a signal handler raises between two would lose the file's number,
    and leave it open.
    """
    numbers = map(_Real.open, (path,), (flags,), (0o600,))
    files = list(map(_Real.file, numbers, ("r+b",)))
    return cast(IO[bytes], files[0])


def open_to_read(path: str) -> IO[bytes]:
    """Return the file at ``path``, open for reading.

    Raises:
        OSError: it cannot be read.
    """
    return cast(IO[bytes], _Real.file(path, "rb"))


def open_to_write(path: str) -> IO[bytes]:
    """Return the file at ``path``, made or emptied, open for writing.

    Raises:
        OSError: it cannot be written.
    """
    return cast(IO[bytes], _Real.file(path, "wb"))


def remove(path: str) -> None:
    """Take away a file that was being written, if it is one that can be."""
    if stat.S_ISREG(_Real.stat(path).st_mode):
        _Real.unlink(path)


def path_of(file: IO[bytes], pid: int | None = None) -> str:
    """Return a path that opens ``file`` in process ``pid``'s view, by default in this one's."""
    if _UNNAMED_FILES:
        return f"/proc/{pid or 'self'}/fd/{file.fileno()}"
    return file.name


def truncate(file: IO[bytes], length: int) -> None:
    """Cut ``file`` to ``length`` bytes.

    Raises:
        OSError: it was closed.
    """
    _Real.truncate(file.fileno(), length)


def written_length(file: IO[Any]) -> int:
    """Return the length of ``file`` without the zero bytes at its end."""
    step = 1 << 16
    end = file.seek(0, _Real.end)
    while end > 0:
        begin = max(0, end - step)
        file.seek(begin)
        written = file.read(end - begin).rstrip(b"\0")
        if written:
            return begin + len(written)
        end = begin
    return 0
