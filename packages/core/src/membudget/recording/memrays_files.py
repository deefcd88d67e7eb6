"""The files that memray opens while it records: the capture (a second time), and a file of /proc.

memray lets a program that replaces this one (``os.execv``) inherit them. When its tracker stops, it
closes their numbers, even if they belong to other files by then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from ..host.raised import suppressed
from ..host.system import Real
from .temp_files import FileIdentity, OwnFile, duplicate_above, private_file

_NUMBERS: Final = "/dev/fd"
_MAPPED_BYTES: Final = 16 << 20
"""How much of a capture memray maps at a time. A shorter file would crash the process."""


class MemraysFiles:
    """The numbers of memray's files.

    Args:
        capture: the capture, before memray opens it.
    """

    def __init__(self, capture: OwnFile) -> None:
        self._capture = capture
        self._before = _open_numbers()
        self._files: dict[int, FileIdentity] = {}  # by number

    def find(self) -> None:
        """Find the files after the tracker has started, and make them not inheritable."""
        for fd in _open_numbers() - self._before:
            with suppressed(OSError):  # another thread may have opened and closed it
                identity = FileIdentity(fd)
                if identity.is_at(self._capture.fileno()) or _is_of_proc(fd):
                    self._files[fd] = identity
                    Real.set_inheritable(fd, False)

    @contextlib.contextmanager
    def closed_by_memray(self) -> Iterator[None]:
        """Protect files of the program while memray writes to its files and closes them.

        A program that has closed all open files may have its own files under memray's numbers. They
        get other numbers in the meantime, and memray finds an empty file instead.
        """
        kept = []
        least = 1 + max(self._files, default=0)
        for fd, identity in self._files.items():
            if not identity.is_at(fd) and _is_open(fd):
                kept.append((duplicate_above(fd, least), fd, Real.get_inheritable(fd)))
                with private_file() as empty:
                    empty.cut(_MAPPED_BYTES)
                    Real.dup2(empty.fileno(), fd, False)
        try:
            yield
        finally:
            for other, fd, inheritable in kept:
                Real.dup2(other.fileno(), fd, inheritable)
                other.close()


def _open_numbers() -> set[int]:
    numbers: list[str] = []
    with suppressed(OSError):
        numbers = Real.listdir(_NUMBERS)
    return {fd for fd in map(int, numbers) if _is_open(fd)}  # without that of the listing itself


def _is_open(fd: int) -> bool:
    with suppressed(OSError):
        Real.fstat(fd)
        return True
    return False


def _is_of_proc(fd: int) -> bool:
    """Whether a number belongs to ``/proc/self/status``, where memray reads resident memory."""
    path: str = Real.readlink(f"{_NUMBERS}/{fd}")
    return path.startswith("/proc/") and path.endswith("/status")
