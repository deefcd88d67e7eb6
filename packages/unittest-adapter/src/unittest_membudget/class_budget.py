"""``@limit_memory`` above a ``TestCase`` class: the hook that membudget calls.

membudget finds this module through the entry point of this package.
"""

from __future__ import annotations

import unittest

from membudget import Budget, hookimpl

from .measuring import put_budget_on


@hookimpl
def membudget_limit_class(cls: type, budget: Budget) -> type | None:
    """Put a budget on a ``TestCase`` class, as the default of its tests."""
    if not issubclass(cls, unittest.TestCase):
        return None
    put_budget_on(cls, budget)
    return cls
