"""Temporary files without a name, where the system can open such a file a second time (Linux).

Nobody else can remove or change one, and it is gone when the process is, however that ends.
"""

from __future__ import annotations

import os
import sys
import tempfile
from typing import IO

# Through /proc.
_UNNAMED_FILES = sys.platform == "linux"


def temporary_file() -> IO[bytes]:
    """Return a new temporary file, removed when it is closed.

    Raises:
        OSError: the temporary directory cannot be written.
    """
    if _UNNAMED_FILES:
        return tempfile.TemporaryFile(prefix="membudget-")
    return tempfile.NamedTemporaryFile(prefix="membudget-")


def path_of(file: IO[bytes], pid: int | None = None) -> str:
    """Return a path that opens ``file`` in process ``pid``'s view, by default in this one's."""
    if _UNNAMED_FILES:
        return f"/proc/{pid or 'self'}/fd/{file.fileno()}"
    return file.name


def written_length(file: IO[bytes]) -> int:
    """Return the length of ``file`` without the zero bytes at its end."""
    step = 1 << 16
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        begin = max(0, end - step)
        file.seek(begin)
        written = file.read(end - begin).rstrip(b"\0")
        if written:
            return begin + len(written)
        end = begin
    return 0
