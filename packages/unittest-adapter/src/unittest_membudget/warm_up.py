"""Runs a test once before it is measured, for stable figures."""

from __future__ import annotations

import unittest

from membudget import MisuseError
from membudget.runs import (
    TraceSettings,
    budget_of,
    in_block,
    new_garbage_collected,
    warm_up_block,
)

from ._private import method_name
from .rules import MEASURING


class _AlreadyMeasured:
    """Keeps the class of a test from measuring it while it warms up."""

    def add(self, _: object) -> None:
        """Ignore the request."""


def warm_up(test: unittest.TestCase, trace: TraceSettings | None) -> None:
    """Run another test like this one, with its own ``setUp``, ``tearDown`` and cleanups.

    This run is not reported: the run that follows shows whether the test passes.

    Raises:
        MisuseError: its class cannot create another test.
    """
    name = method_name(test)
    try:
        twin = type(test)(name)
    except Exception as error:
        raise MisuseError(
            f"stable figures need a warm-up run by a second {type(test).__qualname__}, but "
            f"{type(test).__qualname__}({name!r}) raised {type(error).__name__}: {error}"
        ) from error
    # Attributes that load_tests has set, for example.
    given = {key: value for key, value in vars(test).items() if not key.startswith("_")}
    vars(twin).update(given)
    vars(twin).pop(name, None)
    _, bare = budget_of(getattr(twin, name))
    vars(twin).update({MEASURING: _AlreadyMeasured(), name: in_block(warm_up_block(trace), bare)})
    with new_garbage_collected():
        twin(unittest.TestResult())
