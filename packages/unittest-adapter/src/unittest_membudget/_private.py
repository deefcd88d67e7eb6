"""The private names of unittest that this package uses. Python 3.11 to 3.13 have all of them.

If a new version of Python changes one, adapt this module, or ``membudget.runs``, which finds the
phases of a ``TestCase``.
"""

from __future__ import annotations

import copy
import unittest
from collections.abc import Callable
from typing import Any, Final

CALL: Final = "_callTestMethod"
"""The method of a TestCase that calls the test method, its only argument."""
SET_UP: Final = "_callSetUp"
"""The method of a TestCase that calls ``setUp``, and ``asyncSetUp``."""
TEAR_DOWN: Final = "_callTearDown"
"""The method of a TestCase that calls ``tearDown``, and ``asyncTearDown``."""
EXPECTS_FAILURE: Final = "__unittest_expecting_failure__"
"""The attribute that ``@unittest.expectedFailure`` sets, on a method, a class or a test."""
OF_DECORATORS: Final = "__unittest_"
"""The prefix of all attributes that decorators of unittest set."""


def method_name(test: Any) -> str:
    """Return the name of a test's method; empty for a test that has none, such as a doctest."""
    return str(getattr(test, "_testMethodName", ""))


def set_up(test: unittest.TestCase) -> None:
    """Set up a test as unittest does."""
    getattr(test, SET_UP)()


def another(test: unittest.TestCase) -> unittest.TestCase:
    """Return a copy of a test that has not run, without calling the constructor of its class."""
    twin = copy.copy(test)
    for name in (CALL, SET_UP):  # what measures this one
        vars(twin).pop(name, None)
    is_async = isinstance(test, unittest.IsolatedAsyncioTestCase)
    of_unittest = unittest.IsolatedAsyncioTestCase if is_async else unittest.TestCase
    of_unittest.__init__(twin, method_name(test))
    return twin


def can_be_set_up_again(test: unittest.TestCase) -> bool:
    """Whether :func:`set_up_again` does all that was done before the call of a test.

    Not for a class that does more than unittest around each test: a test of Django begins a
    transaction.
    """
    has_parts = all(hasattr(test, name) for name in (SET_UP, CALL, TEAR_DOWN))
    return has_parts and type(test).__call__ is unittest.TestCase.__call__


def set_up_again(
    test: unittest.TestCase, set_up: Callable[[], object], attributes: dict[str, object]
) -> None:
    """Tear a test down and set it up again, during its call.

    Args:
        test: the test.
        set_up: sets it up.
        attributes: those that it had before it was set up.
    """
    getattr(test, TEAR_DOWN)()
    test.doCleanups()
    vars(test).clear()
    vars(test).update(attributes)
    set_up()


def message_of(test: unittest.TestCase, msg: Any, line: str) -> str:
    """Return the message of a failed assertion, combined with the user's ``msg``."""
    return test._formatMessage(msg, line)


def write_status(result: unittest.TextTestResult, test: Any, status: str) -> None:
    """Write how a test ended, with ``-v``."""
    result._write_status(test, status)  # type: ignore[attr-defined]
