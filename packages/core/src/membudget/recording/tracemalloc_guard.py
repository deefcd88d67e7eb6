"""Lets ``tracemalloc`` start and stop while memray traces Python's allocators, or objects.

Both put allocators of their own in front of what they find, and put that back when they stop. Where
the one that began first ends first, allocators come back that are gone: the process crashes, or
tracemalloc traces nothing from then on.

So a recording that merely rests ends first. Where a block is open, tracemalloc starts or stops
below memray (``csrc/tracemallocmodule.c``), and neither notices; without the C code it is refused.

It is refused as well while objects are tracked. Python tells one tracer of objects that are made
and destroyed. When tracemalloc starts or stops it takes memray's place, memray (1.20) goes on with
addresses of objects that are gone, and the process crashes when its tracker stops.
"""

from __future__ import annotations

import _tracemalloc
import importlib
import tracemalloc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ..errors import MisuseError

if TYPE_CHECKING:
    _below: Any
else:
    try:
        _below = importlib.import_module("membudget.recording._tracemalloc")
    except ImportError:
        _below = None

# Under each name that a program finds them by, unless it has imported the functions themselves.
_FUNCTIONS: Final = [
    (module, name) for module in (tracemalloc, _tracemalloc) for name in ("start", "stop")
]


class TracemallocGuard:
    """Stands between a tracker and tracemalloc from now on until :meth:`end`.

    To be made before the tracker starts, as it takes note of the allocators.

    Args:
        tracks_objects: whether the tracker tracks objects.
    """

    def __init__(self, tracks_objects: bool) -> None:
        self._tracks_objects = tracks_objects
        self._ended = False
        self._replaced: list[Callable[..., Any]] = []
        if _below is not None:
            _below.guard(self._before_switch)
            return
        for module, name in _FUNCTIONS:
            self._replaced.append(getattr(module, name))
            setattr(module, name, self._refusing(self._replaced[-1]))

    def end(self) -> None:
        """End, when the tracker has stopped. Can be done again."""
        if self._ended:
            return
        self._ended = True
        if _below is not None:
            _below.end()
        for (module, name), function in zip(_FUNCTIONS, self._replaced, strict=False):
            setattr(module, name, function)

    def _refusing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def switch(*arguments: Any, **keywords: Any) -> Any:
            self._before_switch()
            return function(*arguments, **keywords)

        return switch

    def _before_switch(self) -> None:
        """End a recording that rests; refuse what the one that goes on cannot bear.

        Raises:
            MisuseError: tracemalloc can neither start nor stop now.
        """
        _end_resting()
        if self._ended:
            return
        if self._tracks_objects:
            raise MisuseError(
                "tracemalloc can neither start nor stop in a block with limit_leaked_objects: "
                "memray would lose track of objects, and crash. Start it before, or take one of "
                "the two away"
            )
        if _below is None:
            raise MisuseError(
                "tracemalloc can neither start nor stop in a block that counts Python's objects "
                "(stable=True, limit_leaks, trace_python_allocators) where membudget was installed "
                "without a C compiler: Python would crash. Start it before, or take one of the two "
                "away"
            )


def _nothing_rests() -> None:
    pass


_end_resting: Callable[[], None] = _nothing_rests


def end_resting_with(function: Callable[[], None]) -> None:
    """Call this before tracemalloc starts or stops: it ends a recording if no block is open."""
    global _end_resting
    _end_resting = function
