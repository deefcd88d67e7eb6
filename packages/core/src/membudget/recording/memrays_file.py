"""The number under which memray has a capture open: its own, beside ours.

It stays open in a program that takes this one's place (``os.execv``), if nobody sees to it, and
memray closes it when its tracker stops, whatever the number stands for by then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..system import Real
from .files import OwnFile


class MemraysFile:
    """memray's number of a capture.

    Args:
        file: the capture, just after memray has opened it.
    """

    def __init__(self, file: OwnFile) -> None:
        self._file = file
        own = file.fileno()
        self._fd = next((fd for fd in _open_numbers() if fd != own and file.finds(fd)), -1)
        if self._fd >= 0:
            Real.set_inheritable(self._fd, False)

    @contextlib.contextmanager
    def closed_by_memray(self) -> Iterator[None]:
        """Let memray close its number while this lasts, and nothing of the program's.

        A program that has closed all files it found may have one of its own under this number: it
        is kept somewhere else meanwhile.
        """
        fd = self._fd
        try:
            inheritable = Real.get_inheritable(fd)
        except OSError:  # it is closed
            yield
            return
        if self._file.finds(fd):
            yield
            return
        kept = Real.dup(fd)
        try:
            yield
        finally:
            Real.dup2(kept, fd, inheritable)
            Real.close(kept)


def _open_numbers() -> list[int]:
    for directory in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return sorted(int(name) for name in Real.listdir(directory))
    return []
