"""Keeps ``tracemalloc`` from taking over while memray tracks objects.

Python tells one tracer of objects that are made and destroyed. When tracemalloc starts or stops it
takes memray's place, memray (1.20) goes on with addresses of objects that are gone, and the process
crashes when its tracker stops.
"""

from __future__ import annotations

import tracemalloc
from typing import NoReturn

from ..errors import MisuseError


class TracemallocGuard:
    """Refuses ``tracemalloc.start()`` and ``stop()`` from now on until :meth:`end`."""

    def __init__(self) -> None:
        self._start, self._stop = tracemalloc.start, tracemalloc.stop
        tracemalloc.start = tracemalloc.stop = _refuse

    def end(self) -> None:
        """Allow them again. Can be done again."""
        if tracemalloc.start is _refuse:
            tracemalloc.start, tracemalloc.stop = self._start, self._stop


def _refuse(*_: object) -> NoReturn:
    raise MisuseError(
        "tracemalloc can neither start nor stop in a block with limit_leaked_objects: memray would "
        "lose track of objects, and crash. Start it before, or take one of the two away"
    )
