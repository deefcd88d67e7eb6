"""Whether blocks are measured in this process, and if not, why."""

from __future__ import annotations

import functools
import os
import sys
from typing import Final
from warnings import warn

from .errors import NotEnforcedWarning
from .host.origins import levels_to_the_user
from .option_values import on_or_off

ENFORCEMENT_VARIABLE: Final = "MEMBUDGET"

# Read at import, because a test may replace them; the answer is the same for the whole process.
_PLATFORM: Final = str(sys.platform)
_IMPLEMENTATION: Final = sys.implementation.name
_NO_MEMRAY: Final = f"memray does not run with {_IMPLEMENTATION} on {_PLATFORM}"


@functools.cache
def why_not_measured() -> str | None:
    """Return why no block is measured in this process; None if blocks are measured.

    With ``MEMBUDGET=off`` in the environment, every block does nothing. The variable is read once,
    when the first block is opened.

    Returns:
        The end of a sentence such as "Nothing was measured: ...".

    Raises:
        InvalidOptionError: ``MEMBUDGET`` is not on or off.

    Example:
        >>> why_not_measured() is None
        True
    """
    if not _enforcement_is_on():
        return f"{ENFORCEMENT_VARIABLE}={os.environ[ENFORCEMENT_VARIABLE]} is in the environment"
    return None if platform_is_supported() else _NO_MEMRAY


def measuring_is_on() -> bool:
    """Whether blocks are measured in this process. Warns once if memray does not run here.

    Raises:
        InvalidOptionError: ``MEMBUDGET`` is not on or off.
    """
    why = why_not_measured()
    if why == _NO_MEMRAY:
        _warn_once()
    return why is None


@functools.cache
def _warn_once() -> None:
    warn(
        f"memory budgets are not enforced: {_NO_MEMRAY}",
        NotEnforcedWarning,
        stacklevel=levels_to_the_user(),
    )


def _enforcement_is_on() -> bool:
    """Whether ``MEMBUDGET`` leaves measuring on, regardless of the platform.

    Raises:
        InvalidOptionError: it is not on or off.
    """
    return on_or_off(os.environ.get(ENFORCEMENT_VARIABLE) or "on", ENFORCEMENT_VARIABLE)


def platform_is_supported() -> bool:
    """Whether memray runs here: on CPython, except on Windows."""
    return _PLATFORM != "win32" and _IMPLEMENTATION == "cpython"
