"""Whether budgets can be enforced on this platform at all."""

from __future__ import annotations

import functools
import sys
import warnings

from ..errors import NotEnforcedWarning
from ..origins import levels_to_the_user


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
