"""Whether budgets can be enforced on this platform at all."""

from __future__ import annotations

import functools
import sys
import warnings

from ..errors import NotEnforcedWarning


@functools.cache
def platform_is_supported() -> bool:
    """Whether memray runs here: CPython, and not Windows. Warns once where it does not."""
    # Not compared directly: a type checker would take the rest for unreachable.
    platform, implementation = str(sys.platform), sys.implementation.name
    if platform != "win32" and implementation == "cpython":
        return True
    warnings.warn(
        f"memory budgets are not enforced: memray does not run with {implementation} on {platform}",
        NotEnforcedWarning,
        stacklevel=3,
    )
    return False
