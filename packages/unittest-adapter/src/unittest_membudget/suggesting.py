"""Suggests limits: collects where tests are written and how they ended, and reports."""

from __future__ import annotations

import inspect
import os
import sys
import unittest
from collections.abc import Iterable, Iterator

from membudget import Result
from membudget.runs import Settings, Sources, SuggestedLimits, written_test

from ._private import EXPECTS_FAILURE, method_name
from .rules import valid_rules_of


class Suggesting:
    """Suggests limits for the tests of a run and writes them, if the settings ask for it.

    Only source files below the working directory may change.

    Args:
        settings: what to suggest and write.
    """

    def __init__(self, settings: Settings) -> None:
        self._limits: SuggestedLimits | None = None
        self._suggests = settings.suggests_limits
        if settings.needs_sources:
            self._limits = SuggestedLimits(settings, os.getcwd())
            self._limits.ran_some_files_only()  # unittest does not say which files there are
        self._modules: set[str] = set()
        self._elsewhere = False

    @property
    def sources(self) -> Sources | None:
        """Where the tests are written; None if other processes know it, or nothing needs it."""
        return None if self._limits is None or self._elsewhere else self._limits.sources

    def begin(self) -> None:
        """Read the test files, before the first test."""
        if self._limits is not None:
            self._limits.see_loaded_modules()

    def ends_early(self) -> None:
        """Write nothing, because the run ends before its last test."""
        if self._limits is not None:
            self._limits.ends_early()

    def runs_elsewhere(self) -> None:
        """Suggest nothing, because other processes run the tests and know their source."""
        self._elsewhere = True

    def starts(self, name: str, test: unittest.TestCase) -> None:
        """Add a test that starts, and all others of its module, even those that do not run."""
        limits = self._limits
        if limits is None:
            return
        cls, method = type(test), method_name(test)
        if cls.__module__ not in self._modules:
            self._modules.add(cls.__module__)
            # A module can be gone from sys.modules, or never have been there.
            module = sys.modules.get(cls.__module__)
            for each in list(getattr(module, "__dict__", {}).values()):
                if inspect.isclass(each) and issubclass(each, unittest.TestCase):
                    # A new loader, because that of the run may leave out tests (-k).
                    for one in unittest.TestLoader().getTestCaseNames(each):
                        _see(limits, f"{each.__module__}.{each.__qualname__}.{one}", each, one)
        _see(limits, name, cls, method)
        function = getattr(cls, method, None)
        if any(getattr(one, EXPECTS_FAILURE, False) for one in (test, cls, function)):
            limits.leave_out(name, "failed as expected")

    def failed(self, name: str) -> None:
        """Store that a test failed for another reason than its own limit."""
        if self._limits is not None:
            self._limits.ended(name, incomplete="it failed")

    def skipped(self, name: str) -> None:
        """Store that a test was skipped, perhaps after it had begun."""
        if self._limits is not None:
            self._limits.leave_out(name, "skipped")

    def report(self, results: Iterable[Result]) -> Iterator[str]:
        """Write limits if the settings ask for it, and yield the lines of the report."""
        if self._limits is None or not self._suggests:
            return
        if self._elsewhere:
            yield (
                "No limits are suggested or written, because the tests ran in other processes: run "
                "them in one process, with python -m unittest_membudget or without --parallel"
            )
            return
        self._limits.finish(results)
        for line in self._limits.lines():
            yield line.text


def _see(limits: SuggestedLimits, name: str, cls: type, method: str) -> None:
    """Find where a method of a class is written, if it is in a file."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file is None or cls.__module__ in ("unittest.case", "doctest"):
        return  # FunctionTestCase, or a doctest
    where = written_test(
        getattr(cls, method, None),
        method,
        module=file,
        cls=cls,
        framework="unittest",
        waived=valid_rules_of(cls, method).limits_do_not_hold,
    )
    limits.found(name, where)
