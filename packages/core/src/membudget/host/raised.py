"""Who raised an error: what membudget called, or the program in between.

Python calls signal handlers between any two steps of ours. What they raise can be an ``OSError`` or
a ``ValueError`` as well (``TimeoutError`` is one), and must reach the program as it is.
"""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Final

_CALLED_PACKAGES: Final = frozenset(
    (
        "contextlib",
        "genericpath",
        "membudget",
        "memray",
        "pathlib",
        "posixpath",
        "tempfile",
        "threading",
    )
)
_FAKES: Final = frozenset(("unittest", "pyfakefs"))
"""What tests put in the place of a function that is called here."""

_KNOWN_TYPES: Final = frozenset(("builtins", "membudget", "memray"))


def raised_by_us(error: BaseException) -> bool:
    """Whether membudget called all code that ran between here and what raised ``error``.

    Call it in the ``except`` clause that has caught it.
    """
    traceback = error.__traceback__
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__"))
        package = module.partition(".")[0]
        if package in _FAKES:
            return True
        if package not in _CALLED_PACKAGES:
            return False
        traceback = traceback.tb_next
    return type(error).__module__.partition(".")[0] in _KNOWN_TYPES


class suppressed(contextlib.suppress):  # noqa: N801 - as contextlib calls its own
    """Suppresses errors of some types, as ``contextlib.suppress``, if they are raised by us."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        return super().__exit__(exc_type, raised, traceback) and (
            raised is None or raised_by_us(raised)
        )
