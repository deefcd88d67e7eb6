"""The hooks that membudget calls; it finds this module through this package's entry point.

Every program with a block imports it. So it imports the rest of the package when a ``TestCase``
class is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from membudget import hookimpl
from membudget.runs import importing

if TYPE_CHECKING:
    from membudget import Budget
    from membudget.runs import TestRules


@hookimpl
def membudget_limit_class(cls: type, budget: Budget) -> type | None:
    """Put a budget on a ``TestCase`` class, as the default of its tests."""
    if not _is_test_case(cls):
        return None
    with importing():
        from .measuring import put_budget_on

    put_budget_on(cls, budget)
    return cls


@hookimpl
def membudget_rules_of(cls: type, method: str) -> TestRules | None:
    """Return the rules of a test of a ``TestCase`` class."""
    if not _is_test_case(cls):
        return None
    with importing():
        from .rules import valid_rules_of

    return valid_rules_of(cls, method)


def _is_test_case(cls: type) -> bool:
    """Whether a class is a ``TestCase``; by name, so that unittest need not be imported here.

    That also holds for a class whose test has removed unittest from ``sys.modules``.
    """
    return any(
        (base.__module__, base.__qualname__) == ("unittest.case", "TestCase")
        for base in cls.__mro__
    )
