"""Source files: which may be changed, and whether they changed since the tests were imported."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ..host.installed_files import PACKAGES
from ..host.system import Real
from .text import UnchangeableError

_READ: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_PIECE_BYTES: Final = 1 << 18


def fingerprint(path: str) -> str:
    """Return a hash of the content of a file, as one line of text.

    Raises:
        OSError: it cannot be read.
    """
    return _fingerprint_of(read_whole(path))


def _fingerprint_of(data: bytes) -> str:
    return f"sha256:{sha256(data).hexdigest()}"


def read_whole(path: str) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: it cannot be read.
    """
    return b"".join(pieces_of(path))


def pieces_of(path: str) -> Iterator[bytes]:
    """Yield the content of a file, piece by piece.

    Raises:
        OSError: it cannot be read.
    """
    fd = Real.open(path, _READ)
    try:
        while piece := Real.read(fd, _PIECE_BYTES):
            yield piece
    finally:
        Real.close(fd)


@dataclass(frozen=True, slots=True)
class FileOnDisk:
    """A source file that may be changed.

    Attributes:
        path: its real path.
        shown: the path relative to the root, with slashes.
        data: its bytes.
    """

    path: str
    shown: str
    data: bytes


def is_of_the_project(path: str, root: str) -> bool:
    """Whether a file is below a root, and not in a Python environment below that root.

    Args:
        path: its real path.
        root: the real path of the root.

    Example:
        >>> is_of_the_project("/a/b.py", "/a"), is_of_the_project("/ab/c.py", "/a")
        (True, False)
    """
    inside = root.removesuffix(os.sep) + os.sep
    return path.startswith(inside) and PACKAGES.isdisjoint(path.split(os.sep))


class ChangeableFiles:
    """The files below a root that have not changed since the tests were imported.

    Args:
        root: a directory.
        fingerprints: by path, what :func:`fingerprint` returned for files at that time.
    """

    def __init__(self, root: str, fingerprints: Mapping[str, str]) -> None:
        self._root: str = Real.realpath(root)
        self._fingerprints = {self.real(path): value for path, value in fingerprints.items()}

    def real(self, path: str) -> str:
        """Return the real path of a file; a relative path is relative to the root."""
        return str(Real.realpath(Real.join(self._root, path)))

    def read(self, path: str) -> FileOnDisk:
        """Return a file.

        Args:
            path: its real path.

        Raises:
            UnchangeableError: it must not be changed, or cannot be read.
        """
        inside = self._root.removesuffix(os.sep) + os.sep
        if not path.startswith(inside):
            raise UnchangeableError(f"{path} is not below {self._root}")
        below = path.removeprefix(inside).split(os.sep)
        shown = "/".join(below)
        if not PACKAGES.isdisjoint(below):
            raise UnchangeableError(f"{shown} belongs to an installed package")
        try:
            mode = Real.stat(path).st_mode
            if not stat.S_ISREG(mode):
                raise UnchangeableError(f"{shown} is not a file")
            data = read_whole(path)
        except OSError as error:
            raise UnchangeableError(f"{shown} cannot be read: {error.strerror}") from error
        known = self._fingerprints.get(path)
        if known is None:
            raise UnchangeableError(
                f"it is unknown whether {shown} has changed since the tests were imported"
            )
        if known != _fingerprint_of(data):
            raise UnchangeableError(f"{shown} has changed since the tests were imported")
        return FileOnDisk(path, shown, data)
