"""Classes of modules that this package does not import, such as asyncio and test frameworks."""

from __future__ import annotations

import sys
from typing import Any


def loaded_class(module: str, name: str) -> Any:
    """Return a class, for ``isinstance``; an empty tuple if its module is not loaded.

    If a class is not loaded, no object can be an instance of it.

    Example:
        >>> isinstance(3, loaded_class("no.such.module", "Future"))
        False
    """
    return getattr(sys.modules.get(module), name, ())
