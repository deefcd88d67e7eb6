"""The hooks through which membudget asks the adapter about classes."""

from __future__ import annotations

import sys
import unittest

import pytest
from membudget import Budget, limit_memory
from unittest_membudget.hooks import membudget_limit_class, membudget_rules_of


class NoTest:
    def test_it(self) -> None: ...


def test_other_classes_are_left_to_others() -> None:
    assert membudget_limit_class(NoTest, Budget()) is None
    assert membudget_rules_of(NoTest, "test_it") is None


def test_a_test_case_is_found_without_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some tests remove modules, so that they are imported again."""
    for name in ("unittest", "unittest.case"):
        monkeypatch.delitem(sys.modules, name)

    @limit_memory("1 MB")
    class OnClass(unittest.TestCase):
        def test_it(self) -> None: ...

    rules = membudget_rules_of(OnClass, "test_it")
    assert rules is not None
    assert rules.budget is not None
    assert rules.budget.limits_anything
