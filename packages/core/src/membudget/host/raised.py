"""Tells whether an error was raised by code that membudget called, or by a signal handler.

Python can call a signal handler at any point of membudget's code. It can raise an ``OSError`` or a
``ValueError`` too (``TimeoutError`` is an ``OSError``), which must reach the program unchanged.
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
"""Packages whose functions tests use to replace functions that membudget calls."""

_KNOWN_TYPES: Final = frozenset(("builtins", "membudget", "memray"))


def raised_by_us(error: BaseException) -> bool:
    """Whether membudget called all code in the traceback of ``error``.

    Call it in the ``except`` clause that caught the error.
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


class suppressed(contextlib.suppress):  # noqa: N801 - named like contextlib.suppress
    """Like ``contextlib.suppress``, but only for errors for which :func:`raised_by_us` is true."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        return super().__exit__(exc_type, raised, traceback) and (
            raised is None or raised_by_us(raised)
        )
