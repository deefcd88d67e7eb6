"""Keeps the garbage collector from running while membudget reads.

Otherwise finalizers of the program would run inside membudget, and a ``ResourceWarning`` of one
test would show in another one.
"""

from __future__ import annotations

import gc
from typing import Final

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
        thresholds = gc.get_threshold()
        if thresholds[0] != _NEVER:
            self._thresholds = thresholds
            gc.set_threshold(_NEVER, *thresholds[1:])

    def end(self) -> None:
        """Put the thresholds back, if nobody else has changed them meanwhile."""
        if self._thresholds is not None:
            if gc.get_threshold()[0] == _NEVER:
                gc.set_threshold(*self._thresholds)
            self._thresholds = None
