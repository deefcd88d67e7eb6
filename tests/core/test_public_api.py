"""What ``import membudget`` offers."""

from __future__ import annotations

import pickle

import membudget.results
import membudget.runs
import pytest
import pytest_membudget
import unittest_membudget
from conftest import RunPython, in_fresh_interpreter
from membudget import Budget, LeakLimit, Limit, MembudgetError, MemoryLimitExceeded, ObjectLimit
from membudget.testing import make_measurement
from membudget.verdict import judge


@pytest.mark.parametrize(
    "module",
    [membudget, membudget.results, membudget.runs, unittest_membudget, pytest_membudget],
)
def test_all_lists_what_is_public(module: object) -> None:
    """Nothing public is missing from ``__all__``, and nothing in it is missing."""
    listed = getattr(module, "__all__", [])
    assert len(listed) == len(set(listed))
    for name in listed:
        assert hasattr(module, name)


def test_every_error_has_one_base() -> None:
    """``except MembudgetError`` catches all of them."""
    names = [(membudget, name) for name in membudget.__all__]
    names += [(membudget.results, name) for name in membudget.results.__all__]
    for module, name in names:
        offered = getattr(module, name)
        if isinstance(offered, type) and issubclass(offered, Exception):
            assert issubclass(offered, (MembudgetError, Warning))


def test_an_exceeded_limit_travels_between_processes() -> None:
    """A worker of multiprocessing that exceeds its budget raises in its parent."""
    measurement = make_measurement(130)
    verdict = judge(measurement, Budget((Limit("peak_bytes", 100),)))
    error = pickle.loads(pickle.dumps(MemoryLimitExceeded("too much", measurement, verdict)))
    assert (str(error), error.measurement, error.verdict) == ("too much", measurement, verdict)
    assert isinstance(error, AssertionError)
    # Filters stay where they are: they are code.
    leaks, objects = LeakLimit(5, lambda _: True), ObjectLimit(lambda _: True)
    verdict = judge(measurement, Budget(leaks=leaks, objects=objects))
    error = pickle.loads(pickle.dumps(MemoryLimitExceeded("too much", measurement, verdict)))
    assert error.verdict.budget == Budget(leaks=LeakLimit(5), objects=ObjectLimit())


def test_code_with_budgets_imports_only_what_it_needs(run_python: RunPython) -> None:
    """Not what reads and writes run files and source files, or runs tests.

    A plugin that runs tests does not import what changes source files.
    """
    done = run_python("-c", "import sys, membudget; print(*sys.modules)")
    rooms = {name.split(".")[1] for name in done.stdout.split() if name.startswith("membudget.")}
    assert "block" in rooms
    assert not rooms & {"results", "source", "runs", "cli"}
    done = run_python("-c", "import sys, membudget.runs; print(*sys.modules)")
    assert "membudget.runs.run" in done.stdout
    assert "membudget.source.fix" not in done.stdout
    assert "membudget.source.places" not in done.stdout


@in_fresh_interpreter
def test_importing_is_cheap() -> None:
    """A suite that never measures does not import memray."""
    import importlib
    import sys

    import membudget

    for adapter in ("pytest_membudget.plugin", "unittest_membudget"):
        importlib.import_module(adapter)
    membudget.limit_memory("1 MB")(print)
    assert not {name for name in sys.modules if name.partition(".")[0] in ("memray", "rich")}
