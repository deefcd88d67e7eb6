"""Classes of modules that this package does not import: of test frameworks, of asyncio."""

from __future__ import annotations

import sys
from typing import Any


def loaded_class(module: str, name: str) -> Any:
    """Return a class, for ``isinstance``; an empty tuple if its module is not loaded.

    Nothing is an instance of a class that nobody has loaded.

    Example:
        >>> isinstance(3, loaded_class("no.such.module", "Future"))
        False
    """
    return getattr(sys.modules.get(module), name, ())
