"""The files that memray opens while it records: the capture, beside ours, and one of /proc.

They stay open in a program that takes this one's place (``os.execv``), if nobody sees to it, and
memray closes their numbers when its tracker stops, whatever these stand for by then.
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
"""How much of a capture memray maps at a time; it ends the process where the file is shorter."""


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
        """Find them, now that the tracker runs, and keep other programs from getting them."""
        for fd in _open_numbers() - self._before:
            with suppressed(OSError):  # of another thread, and closed meanwhile
                identity = FileIdentity(fd)
                if identity.is_at(self._capture.fileno()) or _is_of_proc(fd):
                    self._files[fd] = identity
                    Real.set_inheritable(fd, False)

    @contextlib.contextmanager
    def closed_by_memray(self) -> Iterator[None]:
        """Let memray write to its files and close them while this lasts, and no others.

        A program that has closed all files it found may have some of its own under these numbers:
        they are kept under others meanwhile, and memray finds an empty file.
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
    return {fd for fd in map(int, numbers) if _is_open(fd)}  # that of the directory is there, too


def _is_open(fd: int) -> bool:
    with suppressed(OSError):
        Real.fstat(fd)
        return True
    return False


def _is_of_proc(fd: int) -> bool:
    """Whether a number stands for ``/proc/self/status``: memray reads resident memory there."""
    path: str = Real.readlink(f"{_NUMBERS}/{fd}")
    return path.startswith("/proc/") and path.endswith("/status")
