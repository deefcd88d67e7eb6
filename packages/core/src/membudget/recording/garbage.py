"""The garbage collector: around a stable block it starts from the same state each time.

And it does not run while membudget reads. Otherwise finalizers of the program would run inside
membudget, and a ``ResourceWarning`` of one test would show in another one.
"""

from __future__ import annotations

import sys
from gc import collect, freeze, get_freeze_count, get_threshold, set_threshold, unfreeze
from typing import Final

_PYTHONS_OWN: Final = 1000 if sys.version_info[:2] == (3, 12) else 0
"""How many objects Python itself may have set aside: CPython 3.12.1 some 375 when it starts."""


class SettledGarbage:
    """Sets the program's objects aside, so that collections in a block see the block's alone.

    When the collector runs, and what it frees then, depends on how many objects there are and on
    how many were made since; free lists of Python's types, which a full collection empties, hold
    what ran before. With the program's objects out of the way, and a collection just before the
    block (which ``MarkedBlock`` makes), it all begins anew.
    """

    __slots__ = ("_froze",)

    def __init__(self) -> None:
        self._froze = False

    def begin(self) -> None:
        """Collect garbage, and set aside what is left."""
        collect()
        # Whoever has set objects aside already wants them to stay there.
        if get_freeze_count() <= _PYTHONS_OWN:
            self._froze = True
            freeze()

    def end(self) -> None:
        """Put back what was set aside. Can be done again."""
        if self._froze:
            self._froze = False
            unfreeze()


_NEVER: Final = 2**31 - 1
"""A threshold that no number of new objects reaches, and that nobody else sets.

Not ``gc.disable()``: whether another thread has called that as well could not be told afterwards.
"""


class GarbageStays:
    """Lets no automatic collection begin until :meth:`end`, which can be called again."""

    __slots__ = ("_thresholds",)

    def __init__(self) -> None:
        self._thresholds: tuple[int, int, int] | None = None

    def begin(self) -> None:
        """Begin, unless another one has begun: that one ends it then."""
        thresholds = get_threshold()
        if thresholds[0] != _NEVER:
            self._thresholds = thresholds
            set_threshold(_NEVER, *thresholds[1:])

    def end(self) -> None:
        """Put the thresholds back, if nobody else has changed them meanwhile."""
        if self._thresholds is not None:
            if get_threshold()[0] == _NEVER:
                set_threshold(*self._thresholds)
            self._thresholds = None
