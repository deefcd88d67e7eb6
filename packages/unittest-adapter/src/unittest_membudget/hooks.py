"""The hooks that membudget calls; it finds this module through this package's entry point."""

from __future__ import annotations

import unittest

from membudget import Budget, hookimpl
from membudget.runs import TestRules

from .measuring import put_budget_on
from .rules import valid_rules_of


@hookimpl
def membudget_limit_class(cls: type, budget: Budget) -> type | None:
    """Put a budget on a ``TestCase`` class, as the default of its tests."""
    if not issubclass(cls, unittest.TestCase):
        return None
    put_budget_on(cls, budget)
    return cls


@hookimpl
def membudget_rules_of(cls: type, method: str) -> TestRules | None:
    """Return the rules of a test of a ``TestCase`` class."""
    return valid_rules_of(cls, method) if issubclass(cls, unittest.TestCase) else None
