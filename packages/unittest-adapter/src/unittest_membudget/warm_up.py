"""Runs a test once before it is measured, for stable figures."""

from __future__ import annotations

import contextlib
import unittest

from membudget.runs import (
    TraceSettings,
    budget_of,
    in_block,
    new_garbage_collected,
    warm_up_block,
)

from ._private import another, method_name
from .rules import MEASURING


class _AlreadyMeasured:
    """Keeps the class of a test from measuring it while it warms up."""

    def add(self, _: object) -> None:
        """Ignore the request."""


def _twin(test: unittest.TestCase, name: str) -> unittest.TestCase:
    """Return another test like this one, a new one where its class makes tests from names."""
    # "runTest" is that of a doctest or a function: their classes would take a name for something
    # else.
    if name != "runTest":
        with contextlib.suppress(Exception):
            return type(test)(name)
    return another(test)


def warm_up(test: unittest.TestCase, trace: TraceSettings | None) -> None:
    """Run another test like this one, with its own ``setUp``, ``tearDown`` and cleanups.

    This run is not reported: the run that follows shows whether the test passes.
    """
    name = method_name(test)
    twin = _twin(test, name)
    # Attributes that load_tests has set, for example.
    given = {key: value for key, value in vars(test).items() if not key.startswith("_")}
    vars(twin).update(given)
    vars(twin).pop(name, None)
    _, bare = budget_of(getattr(twin, name))
    vars(twin).update({MEASURING: _AlreadyMeasured(), name: in_block(warm_up_block(trace), bare)})
    with new_garbage_collected():
        twin(unittest.TestResult())
