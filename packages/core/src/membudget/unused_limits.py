"""Limits that are written and hold for nothing: a warning at the line where they are written.

A statement ``limit_memory("1 MB")`` limits nothing. Neither does a block that is entered and never
left, for instance by an ``ExitStack`` that is never closed.
"""

from __future__ import annotations

import atexit
import os
import weakref
from sys import is_finalizing
from typing import Any, Final
from warnings import warn_explicit

from .availability import why_not_measured
from .errors import NotEnforcedWarning

_NEVER_USED: Final = (
    "this limit is written and never used, so it limits nothing: write 'with {name}(...):', or use "
    "it as a decorator"
)
_NEVER_LEFT: Final = (
    "this block was entered and never left, so its limit was not checked: use a with statement, "
    "close the ExitStack that entered it, or wait for the thread or the task that is in it"
)


class Watched(weakref.ref[Any]):
    """A limit, and where it is written; it is watched until it has held for something.

    Attributes:
        was_entered: whether its block has begun; the limit has held when that has ended.
    """

    __slots__ = ("key", "name", "place", "was_entered")
    key: int
    name: str
    place: tuple[str, int]
    was_entered: bool

    def forget(self) -> None:
        """Watch the limit no longer: its block has ended, or it decorates something."""
        _watched.pop(self.key, None)


# By the identity of the limit. Not a __del__: Python would run it for every limit, and lose a
# KeyboardInterrupt that happens to arrive in it.
_watched: Final[dict[int, Watched]] = {}
_warned: Final[dict[Any, Any]] = {}  # what Python keeps to warn once for each line


def watch(limit: object, place: tuple[str, int]) -> Watched:
    """Warn if a limit is lost before it was used, or before its block was left.

    Keep what is returned, and drop it when the limit has been used: what happens when it is lost
    must not run for each limit.

    Args:
        limit: the object.
        place: where it is written, as a path and a number of a line.
    """
    watched = Watched(limit, _lost)
    watched.key = id(limit)
    watched.name = type(limit).__name__
    watched.place = place
    watched.was_entered = False
    _watched[watched.key] = watched
    return watched


def _lost(watched: Watched) -> None:
    if _watched.pop(watched.key, None) is not None and not is_finalizing():
        _warn(watched)


def _warn(watched: Watched) -> None:
    if why_not_measured() is not None:
        return
    text = _NEVER_LEFT if watched.was_entered else _NEVER_USED.format(name=watched.name)
    filename, lineno = watched.place
    warn_explicit(
        text, NotEnforcedWarning, filename, lineno, registry=_warned.setdefault(filename, {})
    )


def _warn_of_open_blocks() -> None:
    """Warn of blocks that are open when the program ends; limits that were only made are fine."""
    for watched in list(_watched.values()):
        if watched.was_entered:
            watched.forget()
            _warn(watched)


atexit.register(_warn_of_open_blocks)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watched.clear)  # its parent's
