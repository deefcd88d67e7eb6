"""Whether budgets can be enforced on this platform at all."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from pathlib import Path

from ..errors import NotEnforcedWarning

_OWN_FILES = f"{Path(__file__).parents[1]}{os.sep}"


@functools.cache
def platform_is_supported() -> bool:
    """Whether memray runs here: CPython, and not Windows. Warns once where it does not."""
    if runs_here():
        return True
    warnings.warn(
        f"memory budgets are not enforced: memray does not run with {sys.implementation.name} on "
        f"{sys.platform}",
        NotEnforcedWarning,
        stacklevel=levels_to_the_user(),
    )
    return False


def runs_here() -> bool:
    """Whether memray runs here; the same, and no warning."""
    # Not compared directly: a type checker would take the rest for unreachable.
    platform, implementation = str(sys.platform), sys.implementation.name
    return platform != "win32" and implementation == "cpython"


def levels_to_the_user() -> int:
    """Count the frames of membudget, for a warning that is to point at the user's line."""
    frame, n_levels = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OWN_FILES):
        frame, n_levels = frame.f_back, n_levels + 1
    return n_levels
