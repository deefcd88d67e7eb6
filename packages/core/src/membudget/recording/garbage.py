"""The garbage collector: starts from the same state for each stable block.

It also does not run while membudget works. Otherwise finalizers of the program would run inside
membudget, and a ``ResourceWarning`` of one test would appear in another one.
"""

from __future__ import annotations

import sys
from gc import collect, freeze, get_freeze_count, get_threshold, set_threshold, unfreeze
from typing import Final

_PYTHONS_OWN: Final = 1000 if sys.version_info[:2] == (3, 12) else 0
"""How many objects Python itself may have frozen: CPython 3.12.1 freezes about 375 at its start."""


class SettledGarbage:
    """Freezes the program's objects, so that collections in a block see only the block's objects.

    When the collector runs, and what it frees, depends on how many objects there are and how many
    were made since. Free lists of Python's types hold memory of earlier code until a full
    collection empties them. So the program's objects are frozen, and ``MarkedBlock`` collects
    garbage just before the block: then each block starts from the same state.
    """

    __slots__ = ("_froze",)

    def __init__(self) -> None:
        self._froze = False

    def begin(self) -> None:
        """Collect garbage, and freeze the remaining objects."""
        collect()
        # If the program has frozen objects itself, they must stay frozen.
        if get_freeze_count() <= _PYTHONS_OWN:
            self._froze = True
            freeze()

    def end(self) -> None:
        """Unfreeze the objects. Can be called again."""
        if self._froze:
            self._froze = False
            unfreeze()


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
