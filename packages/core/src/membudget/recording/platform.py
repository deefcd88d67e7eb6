"""Whether budgets can be enforced on this platform at all."""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Final
from warnings import warn

from ..errors import NotEnforcedWarning
from ..host.origins import levels_to_the_user

# As they are, whatever a test puts in their place: the answer holds for the process.
_PLATFORM: Final = str(sys.platform)
_IMPLEMENTATION: Final = sys.implementation.name

NOT_UTF_8: Final = (
    "memray cannot record functions of a file whose path is not UTF-8: rename the file, or the "
    "directory that it is in"
)


@functools.cache
def platform_is_supported() -> bool:
    """Whether memray runs here: CPython, and not Windows. Warns once where it does not."""
    if runs_here():
        return True
    warn(
        f"memory budgets are not enforced: memray does not run with {_IMPLEMENTATION} on "
        f"{_PLATFORM}",
        NotEnforcedWarning,
        stacklevel=levels_to_the_user(),
    )
    return False


def is_main_interpreter() -> bool:
    """Whether this is not one of the interpreters that a process can have besides its main one."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # since Python 3.13, and before
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() == interpreters.get_main())
    return True


def runs_here() -> bool:
    """Whether memray runs here; the same, and no warning."""
    return _PLATFORM != "win32" and _IMPLEMENTATION == "cpython"
