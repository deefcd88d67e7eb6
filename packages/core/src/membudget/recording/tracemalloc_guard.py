"""Lets ``tracemalloc`` start and stop while memray traces Python's allocators, or objects.

Both put their allocators in front of the present ones, and restore those when they stop. If the
first to start were also the first to stop, allocators would be restored that no longer exist: the
process would crash, or tracemalloc would trace nothing from then on.

So a recording without an open block ends first. If a block is open, tracemalloc starts or stops
below memray (``csrc/tracemallocmodule.c``), and neither notices. Without the C code, that is an
error.

It is also an error while objects are tracked. Python notifies only one tracer of objects that are
made and destroyed. If tracemalloc starts or stops, it replaces memray there. memray (1.20) then
keeps addresses of objects that are gone, and the process crashes when its tracker stops.

The C code also removes memray's allocators between blocks, see :meth:`TracemallocGuard.rest`.
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

# The names under which a program finds the functions, unless it has imported them before.
_FUNCTIONS: Final = [
    (module, name) for module in (tracemalloc, _tracemalloc) for name in ("start", "stop")
]


class TracemallocGuard:
    """Stands between a tracker and tracemalloc until :meth:`end`.

    Make it before the tracker starts, because it records the present allocators.

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
        """End, after the tracker has stopped. Can be called again."""
        if self._ended:
            return
        self._ended = True
        if _below is not None:
            _below.end()
        for (module, name), function in zip(_FUNCTIONS, self._replaced, strict=False):
            setattr(module, name, function)

    def rest(self) -> None:
        """Remove memray's allocators until :meth:`wake`, so that it records no Python objects."""
        if _below is not None and not self._ended:
            _below.rest()

    def can_wake(self) -> bool:
        """Return what :meth:`wake` would return now."""
        return self._ended or _below is None or bool(_below.can_wake())

    def wake(self) -> bool:
        """End :meth:`rest`, if it has begun.

        Return False, and do nothing, if the program has replaced the allocators in the meantime.
        """
        return self._ended or _below is None or bool(_below.wake())

    def _refusing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def switch(*arguments: Any, **keywords: Any) -> Any:
            self._before_switch()
            return function(*arguments, **keywords)

        return switch

    def _before_switch(self) -> None:
        """End a recording without an open block; raise if the recording of a block would break.

        Raises:
            MisuseError: tracemalloc can neither start nor stop now.
        """
        _end_resting()
        if self._ended:
            return
        if self._tracks_objects:
            raise MisuseError(
                "tracemalloc can neither start nor stop in a block with limit_leaked_objects, "
                "because memray would crash. Start it before the block, or remove one of the two"
            )
        if _below is None:
            raise MisuseError(
                "tracemalloc can neither start nor stop in a block that counts Python's objects "
                "(stable=True, limit_leaks, trace_python_allocators) if membudget was installed "
                "without a C compiler, because Python would crash. Start it before the block, or "
                "remove one of the two"
            )


def _nothing_rests() -> None:
    pass


_end_resting: Callable[[], None] = _nothing_rests


def end_resting_with(function: Callable[[], None]) -> None:
    """Set the function to call before tracemalloc starts or stops: it ends an idle recording."""
    global _end_resting
    _end_resting = function
