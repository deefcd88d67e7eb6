"""Sites: the file and the function where memory was allocated, to compare runs.

Line numbers change when a file is edited, and Python and its packages have other paths on another
machine.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from .host.installed_files import path_inside
from .host.system import Real
from .measurement import Allocation, Frame

_FROZEN: Final = "<frozen "


def key_of(frame: Frame) -> tuple[str, str]:
    """Return the parts of a frame that are the same in every run: its file and its function.

    Example:
        >>> key_of(Frame("read_csv", "/opt/venv/lib/python3.13/site-packages/pandas/io.py", 5))
        ('pandas/io.py', 'read_csv')
    """
    return path_inside(frame.filename) or frame.filename, frame.function


def library_of(frame: Frame) -> str:
    """Return the package of a frame in Python or in an installed package; empty for other code.

    Example:
        >>> library_of(Frame("read_csv", "/opt/venv/lib/python3.13/site-packages/pandas/io.py", 5))
        'pandas'
        >>> library_of(Frame("_find_and_load", "<frozen importlib._bootstrap>", 1360))
        'importlib'
        >>> library_of(Frame("load", "/home/me/project/orders.py", 5))
        ''
    """
    if frame.filename.startswith(_FROZEN):
        path = frame.filename.removeprefix(_FROZEN)
    else:
        path = path_inside(frame.filename)
    return re.split(r"[/\\.]", path, maxsplit=1)[0]


def users_frame(stack: tuple[Frame, ...]) -> Frame | None:
    """Return the innermost frame of the user's own code; the innermost of all if there is none."""
    return next((frame for frame in stack if not library_of(frame)), next(iter(stack), None))


def sites_of(allocations: Iterable[Allocation]) -> list[Allocation]:
    """Sum allocations by the function that made them, largest first.

    Returns:
        Allocations with one frame: that of the first allocation in each sum.
    """
    sums: dict[tuple[str, str], Allocation] = {}
    for one in allocations:
        frames = one.stack[:1]
        key = key_of(frames[0]) if frames else ("", "")
        before = sums.get(key, Allocation(0, 0, frames))
        sums[key] = replace(
            before,
            size_bytes=before.size_bytes + one.size_bytes,
            n_allocations=before.n_allocations + one.n_allocations,
        )
    return sorted(sums.values(), key=lambda one: -one.size_bytes)


def relative(sites: Iterable[Allocation], root: str) -> Iterator[Allocation]:
    """Yield sites with paths relative to the root, for a committed file."""
    beginning = Real.join(root, "")
    for site in sites:
        frames = (
            replace(frame, filename=key_of(frame)[0].removeprefix(beginning).replace(os.sep, "/"))
            for frame in site.stack
        )
        yield replace(site, stack=tuple(frames))


def absolute(sites: Iterable[Allocation], root: str) -> Iterator[Allocation]:
    """Undo :func:`relative` in this working tree."""
    for site in sites:
        frames = (replace(frame, filename=_absolute(frame.filename, root)) for frame in site.stack)
        yield replace(site, stack=tuple(frames))


@functools.cache  # a baseline names few files, many times
def _absolute(filename: str, root: str) -> str:
    path: str = Real.join(root, filename)
    try:
        Real.stat(path)
    except OSError:  # in an installed package, or gone
        return filename
    return path
