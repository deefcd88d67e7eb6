"""Whether blocks are measured in this process, and if not, why."""

from __future__ import annotations

import functools
import os
import sys
from typing import Final
from warnings import warn

from .errors import NotEnforcedWarning
from .host.origins import levels_to_the_user
from .settings import ENFORCEMENT_VARIABLE, Option

# As they are, whatever a test puts in their place: the answer holds for the process.
_PLATFORM: Final = str(sys.platform)
_IMPLEMENTATION: Final = sys.implementation.name


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


def runs_here() -> bool:
    """Whether memray runs here; the same, and no warning."""
    return _PLATFORM != "win32" and _IMPLEMENTATION == "cpython"


def measuring_is_on() -> bool:
    """Whether blocks are measured in this process."""
    return enforcement_is_on() and platform_is_supported()


@functools.cache
def enforcement_is_on() -> bool:
    """Whether budgets are measured and enforced in this process.

    ``MEMBUDGET=off`` in the environment turns every block into one that does nothing. It is read
    once, when the first block is opened.

    Raises:
        InvalidOptionError: ``MEMBUDGET`` is neither on nor off.
    """
    value = os.environ.get(ENFORCEMENT_VARIABLE, "on")
    option = Option(ENFORCEMENT_VARIABLE, default=True, help="")
    return bool(option.parse(value or "on", source=ENFORCEMENT_VARIABLE))
