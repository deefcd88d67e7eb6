"""Decorators that say what a limit does not: a waiver, and not to measure at all.

On a test method, or on a ``TestCase`` class for its tests and those of classes below it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from membudget import budget_of

T = TypeVar("T", bound=Callable[..., Any])

WAIVER: Final = "_membudget_waiver"
KEPT_OUT: Final = "_membudget_kept_out"


def no_memory_limit(reason: str = "") -> Callable[[T], T]:
    """Say that limits from further out, of the class or of the run, do not count.

    Args:
        reason: why; the memory report shows it.

    Raises:
        TypeError: the reason is no text (a forgotten ``()``), or what is decorated has a limit.

    Example:
        >>> import unittest
        >>> class ArchiveTest(unittest.TestCase):
        ...     @no_memory_limit("reads the whole archive")
        ...     def test_archive(self): ...
    """
    if not isinstance(reason, str):
        raise TypeError(f"write @no_memory_limit(reason), with a text; not {reason!r}")

    def decorate(test: T) -> T:
        if not isinstance(test, type) and budget_of(test)[0] is not None:
            name = getattr(test, "__qualname__", test)
            raise TypeError(f"{name} has a memory limit, and no_memory_limit waives it: take one")
        setattr(test, WAIVER, reason)
        return test

    return decorate


def no_memray(test: T) -> T:
    """Say that a test is not to be measured, because it uses memray itself.

    No tracker of membudget's runs meanwhile.

    Example:
        >>> import unittest
        >>> class TrackerTest(unittest.TestCase):
        ...     @no_memray
        ...     def test_tracker(self): ...
    """
    setattr(test, KEPT_OUT, True)
    return test
