"""The hooks that membudget calls; it finds this module through the entry point of this package."""

from __future__ import annotations

import unittest

from membudget import Budget, Marks, hookimpl

from .marks import valid_marks_of
from .measuring import put_budget_on


@hookimpl
def membudget_limit_class(cls: type, budget: Budget) -> type | None:
    """Put a budget on a ``TestCase`` class, as the default of its tests."""
    if not issubclass(cls, unittest.TestCase):
        return None
    put_budget_on(cls, budget)
    return cls


@hookimpl
def membudget_marks_of(cls: type, method: str) -> Marks | None:
    """Say what is written at a test of a ``TestCase`` class."""
    return valid_marks_of(cls, method) if issubclass(cls, unittest.TestCase) else None
