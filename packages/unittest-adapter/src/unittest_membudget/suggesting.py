"""Suggested limits: where tests are written, how they ended, and what a run says of them."""

from __future__ import annotations

import inspect
import os
import sys
import unittest
from collections.abc import Iterable, Iterator

from membudget import Result, Settings, SuggestedLimits, report_suggestions, written_test

from .marks import valid_marks_of

_WIDTH = 70


class Suggesting:
    """Suggests limits for the tests of a run, and writes them, as far as its settings say so.

    Source files may change below the working directory.

    Args:
        settings: what to suggest and to write.
    """

    def __init__(self, settings: Settings) -> None:
        self._is_on = settings.memray_suggest or settings.memray_fix is not None
        self._limits = SuggestedLimits(settings, os.getcwd())
        self._limits.ran_some_files_only()  # which files there are is not known here
        self._modules: set[str] = set()
        self._elsewhere = False

    def begin(self) -> None:
        """Take note of the test files, before the first test."""
        if self._is_on:
            self._limits.see_loaded_modules()

    def runs_elsewhere(self) -> None:
        """Take note that other processes run the tests: nothing is known of their source."""
        self._elsewhere = True

    def starts(self, name: str, test: unittest.TestCase) -> None:
        """Take note of a test that starts, and of all others of its module, which may not."""
        if not self._is_on:
            return
        cls, method = type(test), getattr(test, "_testMethodName", "")
        if cls.__module__ not in self._modules:
            self._modules.add(cls.__module__)
            for each in list(vars(sys.modules[cls.__module__]).values()):
                if inspect.isclass(each) and issubclass(each, unittest.TestCase):
                    self._see_tests(each)
        self._see(name, cls, method)
        function = getattr(cls, method, None)
        if any(
            getattr(one, "__unittest_expecting_failure__", False) for one in (test, cls, function)
        ):
            self._limits.leave_out(name, "failed as expected")

    def _see_tests(self, cls: type[unittest.TestCase]) -> None:
        for method in unittest.TestLoader().getTestCaseNames(cls):  # -k is for another loader
            self._see(f"{cls.__module__}.{cls.__qualname__}.{method}", cls, method)

    def _see(self, name: str, cls: type, method: str) -> None:
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        if file is None or cls.__module__ in ("unittest.case", "doctest"):
            return  # made of a function or of a text
        marks = valid_marks_of(cls, method)
        where = written_test(
            getattr(cls, method, None),
            method,
            module=file,
            cls=cls,
            framework="unittest",
            waived=marks.waiver is not None or not marks.measured,
        )
        self._limits.found(name, where)

    def failed(self, name: str) -> None:
        """Take note that a test failed for another reason than its own limit."""
        self._limits.ended(name, incomplete="it failed")

    def skipped(self, name: str) -> None:
        """Take note that a test was skipped, perhaps after it had begun."""
        self._limits.leave_out(name, "skipped")

    def report(self, results: Iterable[Result]) -> Iterator[str]:
        """Write limits, as far as that is asked for, and yield the lines of the report."""
        if not self._is_on:
            return
        yield f"\n{f' {report_suggestions.TITLE} ':=^{_WIDTH}}"
        if self._elsewhere:
            yield (
                "No limits are suggested or written: the tests ran in other processes. Run them in "
                "one: python -m unittest_membudget, or without --parallel"
            )
            return
        self._limits.finish(results)
        for line in self._limits.lines():
            yield line.text
