"""The garbage collector: starts from the same state for each stable block.

It also does not run while membudget works. Otherwise finalizers of the program would run inside
membudget, and a ``ResourceWarning`` of one test would appear in another one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from gc import collect, freeze, get_freeze_count, get_threshold, set_threshold, unfreeze
from typing import Final

from ..host.system import Real

_PYTHONS_OWN: Final = 1000 if sys.version_info[:2] == (3, 12) else 0
"""How many objects Python itself may have frozen: CPython 3.12.1 freezes about 375 at its start."""

_YOUNG: Final = 1
"""The generation up to which a collection takes only as long as there are new objects."""

_FULL_COLLECTIONS: Final = 0.05
"""The largest part of the time that full collections between stable blocks take."""


def collect_garbage() -> None:
    """Collect all garbage."""
    collect()


def collect_new_garbage() -> None:
    """Collect the garbage of objects that are so new that this takes little time."""
    collect(_YOUNG)


class SettledGarbage:
    """Freezes the program's objects, so that collections in a block see only the block's objects.

    When the collector runs, and what it frees, depends on how many objects there are and how many
    were made since. Free lists of Python's types hold memory of earlier code until a full
    collection empties them. So the program's objects are frozen, and ``MarkedBlock`` collects
    garbage just before the block, when nearly nothing is left to collect: then each block starts
    from the same state.

    Old garbage that is frozen changes no figure of the block: memory from before it does not count.
    It is collected from time to time, because Python does not collect it by itself any more:
    freezing resets the counters that trigger its collections.
    """

    __slots__ = ("_froze",)

    _is_frozen = False  # by one of these, in this process
    _full_ended_at: float | None = None
    _full_seconds = 0.0

    def __init__(self) -> None:
        self._froze = False

    def begin(self) -> None:
        """Collect new garbage, and freeze the remaining objects."""
        cls = SettledGarbage
        if cls._is_frozen:
            return  # a block around this one has frozen them
        if self._is_time_for_all():
            begin = Real.perf_counter()
            collect()
            cls._full_ended_at = Real.perf_counter()
            cls._full_seconds = cls._full_ended_at - begin
        else:
            collect_new_garbage()
        # If the program has frozen objects itself, they must stay frozen.
        if get_freeze_count() <= _PYTHONS_OWN:
            self._froze = cls._is_frozen = True
            freeze()

    @classmethod
    def _is_time_for_all(cls) -> bool:
        if cls._full_ended_at is None:
            return True
        return (Real.perf_counter() - cls._full_ended_at) * _FULL_COLLECTIONS >= cls._full_seconds

    def end(self) -> None:
        """Unfreeze the objects. Can be called again."""
        if self._froze:
            self._froze = SettledGarbage._is_frozen = False
            unfreeze()

    def collect_all(self) -> None:
        """Collect all garbage, also that of objects that are frozen."""
        self.end()
        collect_garbage()


@contextmanager
def new_garbage_collected() -> Iterator[None]:
    """Collect at the end the garbage that was made since the beginning, and no other.

    It is for the run of a test before the one that is measured: what the first one made must not
    change the second one, for example through a cache that holds its values weakly.
    """
    settled = SettledGarbage()
    settled.begin()
    try:
        yield
    finally:
        collect()
        settled.end()


_NEVER: Final = 2**31 - 1
"""A threshold that no number of new objects reaches, and that other code does not set.

``gc.disable()`` would not do: another thread may call it as well, and this could not be told apart.
"""


class CollectorPause:
    """Prevents automatic collections until :meth:`end`, which can be called again."""

    __slots__ = ("_thresholds",)

    def __init__(self) -> None:
        self._thresholds: tuple[int, int, int] | None = None

    def begin(self) -> None:
        """Begin, unless another pause has begun, which then also ends it."""
        thresholds = get_threshold()
        if thresholds[0] != _NEVER:
            self._thresholds = thresholds
            set_threshold(_NEVER, *thresholds[1:])

    def end(self) -> None:
        """Restore the thresholds, unless other code has changed them in the meantime."""
        if self._thresholds is not None:
            if get_threshold()[0] == _NEVER:
                set_threshold(*self._thresholds)
            self._thresholds = None
