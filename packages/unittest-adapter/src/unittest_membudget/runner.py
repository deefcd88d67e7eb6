"""A runner that measures every test and prints a memory report, and its result."""

from __future__ import annotations

import contextlib
import sys
import unittest
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from membudget import (
    LateAllocations,
    Measurement,
    MemoryLimitExceeded,
    Result,
    Run,
    Settings,
    Verdict,
    enforcement_is_on,
    platform_is_supported,
    report_json,
    report_text,
    resolve,
)

from .measuring import measured

ExceptionInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
)


class MemoryTestResult(unittest.TextTestResult):
    """A result that measures each test between ``startTest`` and ``stopTest``.

    Attributes:
        memory_run: what was measured; :class:`MemoryTestRunner` sets how much of it will be shown.
        settings: what the recording has to trace, and the default limit.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.memory_run = Run(most_allocations=0)
        self.settings: Settings | None = None
        self._measuring = contextlib.ExitStack()
        self._over_budget: set[str] = set()

    def startTestRun(self) -> None:  # noqa: N802
        """Begin the run."""
        super().startTestRun()
        self.memory_run.begin()

    def stopTestRun(self) -> None:  # noqa: N802
        """End the run."""
        self.memory_run.end()
        super().stopTestRun()

    @property
    def measured(self) -> list[Result]:
        """What was measured, in the order in which the tests ended."""
        return self.memory_run.results

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        """Measure the test from here on."""
        super().startTest(test)

        def keep(measurement: Measurement, verdict: Verdict, late: LateAllocations) -> None:
            self.memory_run.add(test.id(), measurement, verdict, late)

        self._measuring.enter_context(measured(test, keep, self.settings))

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        """Stop measuring the test."""
        self._measuring.close()
        super().stopTest(test)

    def addFailure(  # noqa: N802
        self, test: unittest.TestCase, err: ExceptionInfo
    ) -> None:
        """Show a test over its budget as ``M`` or ``MEMORY PROBLEMS``, any other as usual."""
        if not isinstance(err[1], MemoryLimitExceeded):
            super().addFailure(test, err)
            return
        # Counts as a failure; only the letter differs.
        unittest.TestResult.addFailure(self, test, err)
        self._over_budget.add(test.id())
        if self.showAll:
            self._write_status(test, "MEMORY PROBLEMS")  # type: ignore[attr-defined]
        elif self.dots:
            self.stream.write("M")
            self.stream.flush()

    def printErrorList(  # noqa: N802
        self, flavour: str, errors: Any
    ) -> None:
        """Print failures; those over budget under the heading ``MEMORY PROBLEMS``."""
        over = [(test, text) for test, text in errors if test.id() in self._over_budget]
        others = [(test, text) for test, text in errors if test.id() not in self._over_budget]
        super().printErrorList(flavour, others)
        super().printErrorList("MEMORY PROBLEMS" if flavour == "FAIL" else flavour, over)


class MemoryTestRunner(unittest.TextTestRunner):
    """A ``TextTestRunner`` that measures every test and prints a memory report.

    Takes the arguments of ``unittest.TextTestRunner``.

    Attributes:
        settings: what the report shows; None for what the environment says. A class attribute:
            override it in a subclass.

    Example:
        unittest.main(testRunner=MemoryTestRunner)
    """

    resultclass = MemoryTestResult
    settings: Settings | None = None

    def run(  # type: ignore[override]
        self, test: unittest.TestSuite | unittest.TestCase
    ) -> unittest.TestResult:
        """Run the tests, then print the report."""
        settings = self._settings()
        result = super().run(test)
        if settings.memray_json and isinstance(result, MemoryTestResult):
            text = report_json.results_to_text(result.measured)
            Path(settings.memray_json).write_text(text, encoding="utf-8")
        if not settings.hide_memray_summary and isinstance(result, MemoryTestResult):
            self._print_report(result, settings)
        return result

    def _settings(self) -> Settings:
        return self.settings or resolve(config={}, command_line={}, config_name="")

    def _makeResult(self) -> Any:  # noqa: N802 - the place to override
        result = super()._makeResult()
        if isinstance(result, MemoryTestResult):
            settings = self._settings()
            result.memory_run = Run(settings.most_allocations)
            result.settings = settings
        return result

    def _print_report(self, result: MemoryTestResult, settings: Settings) -> None:
        symbols = report_text.can_show_symbols(getattr(self.stream, "stream", sys.stderr))
        self.stream.write(f"\n{f' {report_text.TITLE} ':=^70}\n")
        for line in report_text.report_lines(
            result.measured, most_allocations=settings.most_allocations, symbols=symbols
        ):
            self.stream.write(f"{line.text}\n")
        for text in report_text.summary_lines(len(result.measured), settings.most_allocations):
            self.stream.write(f"{text}\n")
        if not enforcement_is_on():
            self.stream.write("Nothing was measured: MEMBUDGET=off in the environment\n")
        elif not platform_is_supported():
            self.stream.write("Nothing was measured: memray does not run here\n")
        self.stream.flush()
