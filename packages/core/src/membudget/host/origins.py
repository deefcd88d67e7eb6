"""Where something is written in the user's code, as ``file:line``.

Paths below the directory in which the process started are relative to it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from sys import _getframe
from types import FrameType, TracebackType
from typing import Final

from .system import Real

# Frames in these files are between the user's code and membudget's.
_NOT_THE_USERS: Final = (f"{Path(__file__).parents[1]}{os.sep}", str(contextlib.__file__))


def _start_directory() -> str:
    try:
        directory = os.path.join(os.getcwd(), "")
    except OSError:  # it was removed
        return ""
    return "" if directory == os.sep else directory


# Looked up when this is imported: tests change the working directory.
_START_DIRECTORY: Final = _start_directory()


def origin_at(filename: str, lineno: int) -> str:
    """Return a place in a file as messages show it.

    Example:
        >>> origin_at("/elsewhere/test_orders.py", 12)
        '/elsewhere/test_orders.py:12'
    """
    return f"{shown_path(filename)}:{lineno}"


def shown_path(filename: str) -> str:
    """Return a path as messages show it."""
    return filename.removeprefix(_START_DIRECTORY)


def origin_of(frame: FrameType) -> str:
    """Return the line at which a frame is."""
    # Each block needs it, so it calls no function: calls cost most while memray traces.
    return f"{frame.f_code.co_filename.removeprefix(_START_DIRECTORY)}:{frame.f_lineno}"


def origin_of_error(traceback: TracebackType | None) -> str:
    """Return the innermost line of a traceback; empty if there is none."""
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return origin_at(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)


def levels_to_the_user() -> int:
    """Count the frames of membudget, for a warning that points at the user's line."""
    frame, n_levels = _getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        frame, n_levels = frame.f_back, n_levels + 1
    return n_levels


def directories_of(*files: str | None, packages: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the directories of some files, such as a ``__file__``.

    For ``outer_files`` of a block: frames from there only lead to what is measured.

    Args:
        files: paths of files; None is left out.
        packages: names of other top-level packages, which are not imported for this.
    """
    found = [find_spec(package) for package in packages]
    every = [*files, *(spec.origin for spec in found if spec is not None)]
    return tuple(f"{Path(file).parent}{os.sep}" for file in every if file is not None)


def full_path(filename: str) -> str:
    """Return the absolute path of a file; a relative one is relative to the start directory.

    Example:
        >>> full_path("/elsewhere/test_orders.py")
        '/elsewhere/test_orders.py'
    """
    return str(Real.join(_START_DIRECTORY, filename))
