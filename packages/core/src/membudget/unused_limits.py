"""Limits that are never used: a warning at the line where they are written.

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
    "this limit is never used, so it limits nothing: write 'with {name}(...):', or use it as a "
    "decorator"
)
_NEVER_LEFT: Final = (
    "this block was entered and never left, so its limit was not checked: use a with statement, "
    "close the ExitStack that entered it, or wait for the thread or the task that is in it"
)


class Watched(weakref.ref[Any]):
    """A limit, and where it is written; it is watched until it has been used.

    Attributes:
        was_entered: whether its block has begun; the limit has been used when the block has ended.
    """

    __slots__ = ("key", "name", "place", "was_entered")
    key: int
    name: str
    place: tuple[str, int]
    was_entered: bool

    def forget(self) -> None:
        """Stop watching the limit: its block has ended, or it decorates something."""
        _watched.pop(self.key, None)


# By the identity of the limit. A __del__ would not do: Python would run it for every limit, and
# lose a KeyboardInterrupt that arrives in it.
_watched: Final[dict[int, Watched]] = {}
_warned: Final[dict[Any, Any]] = {}  # the registry of Python's that makes a line warn once


def watch(limit: object, place: tuple[str, int]) -> Watched:
    """Warn if a limit is deleted before it was used, or before its block was left.

    Keep the return value, and drop it when the limit has been used. Then the callback runs only
    for limits that are lost.

    Args:
        limit: the object.
        place: where it is written, as a path and a line number.
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
    """Warn about blocks that are open when the program ends. Limits without a block are fine."""
    for watched in list(_watched.values()):
        if watched.was_entered:
            watched.forget()
            _warn(watched)


atexit.register(_warn_of_open_blocks)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watched.clear)  # the parent warns about these
