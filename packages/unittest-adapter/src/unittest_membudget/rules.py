"""Finds the rules that a test's method and classes declare, and defines decorators for waivers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from membudget import InvalidLimitError, parse_size
from membudget.runs import Budget, TestRules, budget_of, memory_budget, shown_path

from ._private import method_name

T = TypeVar("T", bound=Callable[..., Any])

LIMIT_ATTRIBUTE: Final = "memory_limit"
"""The attribute of a MemoryTestCase class that holds its limit."""
CLASS_BUDGET: Final = "_membudget_class_budget"
RUNS_MEASURED: Final = "_membudget_runs_measured"
MEASURING: Final = "_membudget_measuring"
"""The attribute of a test that holds its ``_Measuring`` while it is measured."""
_PYTEST_LIMITS: Final = ("limit_memory", "limit_leaks", "limit_leaked_objects")
_WAIVER: Final = "_membudget_waiver"
_KEPT_OUT: Final = "_membudget_kept_out"


def no_memory_limit(reason: str = "") -> Callable[[T], T]:
    """Exempt a test from the limits of its class and of the run.

    Use it on a test method, or on a ``TestCase`` class for its tests and those of its subclasses.

    Args:
        reason: why; the memory report shows it.

    Raises:
        TypeError: the reason is not a string (a forgotten ``()``), or the decorated function has a
            limit.

    Example:
        >>> import unittest
        >>> class ArchiveTest(unittest.TestCase):
        ...     @no_memory_limit("reads the whole archive")
        ...     def test_archive(self): ...
    """
    if not isinstance(reason, str):
        raise TypeError(
            f"@no_memory_limit got {reason!r} instead of a reason: use "
            f"@no_memory_limit() or @no_memory_limit('the reason')"
        )

    def decorate(test: T) -> T:
        if not isinstance(test, type) and budget_of(test)[0] is not None:
            name = getattr(test, "__qualname__", test)
            raise TypeError(
                f"{name} has both a memory limit and @no_memory_limit: remove one of them"
            )
        setattr(test, _WAIVER, reason)
        return test

    return decorate


def no_memray(test: T) -> T:
    """Exclude a test from measuring, because it uses memray itself.

    membudget runs no tracker during the test. Use it on a test method or on a class. A limit of
    the class does not apply to the test, and the report says so.

    Example:
        >>> import unittest
        >>> class TrackerTest(unittest.TestCase):
        ...     @no_memray
        ...     def test_tracker(self): ...
    """
    setattr(test, _KEPT_OUT, True)
    return test


def rules_of(cls: type, method: str) -> TestRules:
    """Return the rules of a test; the closest declaration wins.

    Raises:
        InvalidLimitError: a limit is wrong, or limits contradict each other. Classes are checked
            when they are created, so the limit was set after that.
    """
    function = getattr(cls, method, None)
    rules = TestRules()
    for declared in _declared(cls, function):
        rules = rules.combined_with(declared)
        if rules.waiver is not None:
            break
    # A mock has every attribute, so check for True itself.
    if not any(getattr(where, _KEPT_OUT, False) is True for where in (function, cls)):
        return rules
    return TestRules(None, rules.waiver if rules.budget is None else "no_memray", measured=False)


def valid_rules_of(cls: type, method: str) -> TestRules:
    """Return the rules of a test; empty rules if they are invalid, which ``measured`` reports."""
    try:
        return rules_of(cls, method)
    except InvalidLimitError:
        return TestRules()


def ignores_limit(cls: type) -> bool:
    """Whether a class has a ``memory_limit`` without being a MemoryTestCase, so it is ignored."""
    limit = getattr(cls, LIMIT_ATTRIBUTE, None)
    if _is_measured(cls) or limit is None:
        return False
    try:
        return bool(parse_size(limit))
    except InvalidLimitError:
        return False  # the user's attribute for something else


def has_pytest_markers(test: Any) -> bool:
    """Whether a test has a limit as a pytest marker, which has no effect here."""
    method = getattr(type(test), method_name(test), None)
    written = (getattr(holder, "pytestmark", ()) for holder in (method, type(test)))
    markers = (mark for marks in written if isinstance(marks, (list, tuple)) for mark in marks)
    return any(getattr(mark, "name", "") in _PYTEST_LIMITS for mark in markers)


def _declared(cls: type, function: Any) -> Iterator[TestRules]:
    """Yield the rules that a method and its classes declare, closest first."""
    if function is not None:
        yield TestRules(budget_of(function)[0])
    for holder in (function, *cls.__mro__):
        written = getattr(holder, "__dict__", {})
        if _WAIVER in written:
            yield TestRules(waiver=written[_WAIVER])
        elif CLASS_BUDGET in written:
            yield TestRules(written[CLASS_BUDGET])
        # The attribute of MemoryTestCase itself is only a default.
        elif LIMIT_ATTRIBUTE in written and _is_measured(cls) and not _is_ours(holder):
            budget = written_budget(cls, written[LIMIT_ATTRIBUTE], holder)
            yield TestRules(waiver="") if budget is None else TestRules(budget)


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
        InvalidSizeError: the limit is not a size; the message names the class.
    """
    if limit is None:
        return None
    return memory_budget(
        limit, where=f"{cls.__qualname__}.{LIMIT_ATTRIBUTE}", origin=_origin_in(holder or cls)
    )


def _origin_in(cls: type) -> str:
    """Return where the ``memory_limit`` of a class is written: the file and the attribute."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    attribute = f"{cls.__qualname__}.{LIMIT_ATTRIBUTE}"
    return f"{shown_path(file)}, {attribute}" if isinstance(file, str) else attribute
