"""The garbage collector around a stable block: it starts from the same state each time."""

from __future__ import annotations

import sys
from gc import collect, freeze, get_freeze_count, unfreeze
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
