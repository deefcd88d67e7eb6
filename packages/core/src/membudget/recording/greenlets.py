"""Notices when a thread has run several greenlets while a block was open.

memray gives each greenlet its own thread number, and a capture does not say to which thread it
belongs. So allocations of greenlets cannot be counted with ``current_thread_only``.

Before a thread leaves a greenlet, memray stores that number as an attribute of the greenlet.
"""

from __future__ import annotations

import sys
from typing import Any, Final

_MEMRAYS_NOTE: Final = "_memray_tid"
_COUNT: Final = "_membudget_switches"


class GreenletWatch:
    """Watches the greenlet in which it is made.

    The library greenlet need not be installed, nor be loaded yet.
    """

    def __init__(self) -> None:
        self._greenlet = _current_greenlet()
        self._n_switches = _n_switches(self._greenlet)

    @property
    def switched(self) -> bool:
        """Whether its thread has run another greenlet since."""
        current = _current_greenlet()
        if self._greenlet is None:
            return _n_switches(current) > 0  # it was loaded since
        return current is not self._greenlet or _n_switches(current) != self._n_switches


def _current_greenlet() -> Any:
    """Return the greenlet that runs; None if the program does not use greenlets."""
    current = getattr(sys.modules.get("greenlet"), "getcurrent", None)
    return None if current is None else current()


def _n_switches(greenlet: Any) -> int:
    """Return how many calls of this function found that the thread had left the greenlet since."""
    notes = getattr(greenlet, "__dict__", {})
    notes[_COUNT] = notes.get(_COUNT, 0) + (notes.pop(_MEMRAYS_NOTE, None) is not None)
    return int(notes[_COUNT])
