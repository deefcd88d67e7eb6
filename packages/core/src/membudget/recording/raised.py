"""Who raised an error: what membudget calls, or the program in between.

Python calls signal handlers between any two steps of ours. What they raise can be an ``OSError`` or
a ``ValueError`` as well (``TimeoutError`` is one), and must reach the program as it is.
"""

from __future__ import annotations

from typing import Final

_OWN_PACKAGES: Final = frozenset(
    ("membudget", "memray", "contextlib", "pathlib", "subprocess", "tempfile", "threading")
)
_OWN_TYPES: Final = frozenset(("builtins", "membudget", "memray"))


def raised_by_us(error: BaseException) -> bool:
    """Whether all code between here and what raised ``error`` was called by membudget.

    Call it in the ``except`` clause that has caught it.
    """
    traceback = error.__traceback__
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__"))
        if module.partition(".")[0] not in _OWN_PACKAGES:
            return False
        traceback = traceback.tb_next
    return type(error).__module__.partition(".")[0] in _OWN_TYPES
