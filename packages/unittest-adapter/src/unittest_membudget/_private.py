"""The private names of unittest that this package uses. Python 3.11 to 3.13 have all of them.

If a new version of Python changes one, adapt this module, or ``membudget.runs``, which finds the
phases of a ``TestCase``.
"""

from __future__ import annotations

import unittest
from typing import Any, Final

CALL: Final = "_callTestMethod"
"""The method of a TestCase that calls the test method, its only argument."""
SET_UP: Final = "_callSetUp"
"""The method of a TestCase that calls ``setUp``, and ``asyncSetUp``."""
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


def message_of(test: unittest.TestCase, msg: Any, line: str) -> str:
    """Return the message of a failed assertion, combined with the user's ``msg``."""
    return test._formatMessage(msg, line)


def write_status(result: unittest.TextTestResult, test: Any, status: str) -> None:
    """Write how a test ended, with ``-v``."""
    result._write_status(test, status)  # type: ignore[attr-defined]
