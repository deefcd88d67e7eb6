"""What is written at a test: limits and waivers, on its method and on the classes it is in.

Decorators say what a limit does not: a waiver, and not to measure at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

from membudget import (
    Budget,
    InvalidLimitError,
    Marks,
    budget_of,
    memory_budget,
    parse_size,
    shown_path,
)

T = TypeVar("T", bound=Callable[..., Any])

LIMIT_ATTRIBUTE: Final = "memory_limit"
"""The attribute in which a MemoryTestCase class writes its limit."""
CLASS_BUDGET: Final = "_membudget_class_budget"
RUNS_MEASURED: Final = "_membudget_runs_measured"
MEASURING: Final = "_membudget_measuring"
"""The attribute of a test that is being measured: by what."""
_PYTEST_LIMITS: Final = ("limit_memory", "limit_leaks", "limit_leaked_objects")
_WAIVER: Final = "_membudget_waiver"
_KEPT_OUT: Final = "_membudget_kept_out"


def no_memory_limit(reason: str = "") -> Callable[[T], T]:
    """Say that limits from further out, of the class or of the run, do not count.

    On a test method, or on a ``TestCase`` class for its tests and those of classes below it.

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
        setattr(test, _WAIVER, reason)
        return test

    return decorate


def no_memray(test: T) -> T:
    """Say that a test is not to be measured, because it uses memray itself.

    No tracker of membudget's runs meanwhile. On a test method or on a class; a limit of the class
    does not count then, and the report says so.

    Example:
        >>> import unittest
        >>> class TrackerTest(unittest.TestCase):
        ...     @no_memray
        ...     def test_tracker(self): ...
    """
    setattr(test, _KEPT_OUT, True)
    return test


def marks_of(cls: type, method: str) -> Marks:
    """Return what is written at a test; the closest limit or waiver counts."""
    function = getattr(cls, method, None)
    budget, waiver = _closest(cls, function)
    # A mock has every attribute that it is asked for.
    if not any(getattr(where, _KEPT_OUT, False) is True for where in (function, cls)):
        return Marks(budget, waiver)
    return Marks(None, waiver if budget is None else "no_memray", measured=False)


def valid_marks_of(cls: type, method: str) -> Marks:
    """Return the same, and nothing where a limit is none: `measured` makes that the test's error.

    It was written after its class was made, which checks it.
    """
    try:
        return marks_of(cls, method)
    except InvalidLimitError:
        return Marks()


def ignores_limit(cls: type) -> bool:
    """Whether a class has a ``memory_limit`` and is no MemoryTestCase, which reads it."""
    limit = getattr(cls, LIMIT_ATTRIBUTE, None)
    if _is_measured(cls) or limit is None:
        return False
    try:
        return bool(parse_size(limit))
    except InvalidLimitError:
        return False  # something else of the user's


def has_pytest_markers(test: Any) -> bool:
    """Whether a test has a limit as a marker of pytest's, which does nothing here."""
    method = getattr(type(test), getattr(test, "_testMethodName", ""), None)
    written = (getattr(holder, "pytestmark", ()) for holder in (method, type(test)))
    markers = (mark for marks in written if isinstance(marks, (list, tuple)) for mark in marks)
    return any(getattr(mark, "name", "") in _PYTEST_LIMITS for mark in markers)


def _closest(cls: type, function: Any) -> tuple[Budget | None, str | None]:
    """Return the budget that the limits make, kind by kind, up to the first waiver; and that."""
    budget = None if function is None else budget_of(function)[0]
    for holder in (function, *cls.__mro__):
        written = getattr(holder, "__dict__", {})
        outer = None
        if _WAIVER in written:
            return budget, written[_WAIVER]
        if CLASS_BUDGET in written:
            outer = written[CLASS_BUDGET]
        # What MemoryTestCase itself says stands for nothing.
        elif LIMIT_ATTRIBUTE in written and _is_measured(cls) and not _is_ours(holder):
            outer = written_budget(cls, written[LIMIT_ATTRIBUTE], holder)
            if outer is None:
                return budget, ""
        if outer is not None:
            budget = outer if budget is None else budget.within(outer)
    return budget, None


def _is_measured(cls: type) -> bool:
    return bool(getattr(cls, RUNS_MEASURED, False))


def _is_ours(holder: Any) -> bool:
    return str(holder.__module__).startswith(f"{__package__}.")


def written_budget(cls: type, limit: str | int | None, holder: type | None = None) -> Budget | None:
    """Return the budget of a ``memory_limit`` attribute; None stands for no limit.

    Args:
        cls: the class of the test.
        limit: the value of the attribute.
        holder: the class that has the attribute, if it is another one.

    Raises:
        InvalidSizeError: the limit is no size; the message names the class.
    """
    if limit is None:
        return None
    return memory_budget(
        limit, where=f"{cls.__qualname__}.{LIMIT_ATTRIBUTE}", origin=_origin_in(holder or cls)
    )


def _origin_in(cls: type) -> str:
    """Return where the ``memory_limit`` of a class is written, as far as classes know it."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    attribute = f"{cls.__qualname__}.{LIMIT_ATTRIBUTE}"
    return f"{shown_path(file)}, {attribute}" if isinstance(file, str) else attribute
