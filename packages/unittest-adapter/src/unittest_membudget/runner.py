"""A runner that measures every test and prints a memory report, and its result.

Each is a mixin as well, for other runners and results.
"""

from __future__ import annotations

import sys
import unittest
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeAlias

from membudget import MemoryLimitExceeded
from membudget.runs import Settings, find_settings

from ._private import write_status
from .memory_run import MemoryRun
from .xml_reports import figures_in_xml

ExceptionInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
)


def _check_order(cls: type, mixin: type, method: str) -> None:
    """Refuse a mixin after the class whose ``method`` it extends: it would do nothing."""
    bases = cls.__mro__
    place = bases.index(mixin)
    before, after = bases[:place], bases[place + 1 :]
    reached_first = any(method in vars(base) and not issubclass(base, mixin) for base in before)
    if reached_first and not any(method in vars(base) for base in after):
        raise TypeError(
            f"class {cls.__qualname__}: {mixin.__name__} comes after its other base classes, so it "
            f"would measure nothing: list {mixin.__name__} first"
        )


class MemoryResultMixin:
    """Makes a ``TestResult`` measure each test between ``startTest`` and ``stopTest``.

    List it before the class of the result: ``class Result(MemoryResultMixin, TextTestResult)``.
    """

    _memory_run: MemoryRun | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _check_order(cls, MemoryResultMixin, "startTest")

    @property
    def memory_run(self) -> MemoryRun:
        """The run with its results. Created by the runner, or when the first test starts."""
        if self._memory_run is None:
            self._memory_run = MemoryRun(find_settings("unittest"))
        return self._memory_run

    def measure(self, run: MemoryRun) -> None:
        """Set the run to which the tests belong."""
        self._memory_run = run

    def startTest(self, test: Any) -> None:  # noqa: N802
        """Measure the test from here on."""
        super().startTest(test)  # type: ignore[misc]
        self.memory_run.begin()
        self.memory_run.start_test(test)

    def stopTest(self, test: Any) -> None:  # noqa: N802
        """Stop measuring the test."""
        self.memory_run.stop_test(test)
        super().stopTest(test)  # type: ignore[misc]

    def stopTestRun(self) -> None:  # noqa: N802
        """End the run."""
        self.memory_run.end()
        super().stopTestRun()  # type: ignore[misc]

    def addSuccess(self, test: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N802
        """Report a passed test, or a failure if it was over its limit."""
        if not self._failed_instead(test):
            self.memory_run.saw_success(test)
            super().addSuccess(test, *args, **kwargs)  # type: ignore[misc]

    # testtools passes details as keywords in place of reasons and exceptions.
    def addSkip(self, test: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N802
        """Report a skipped test, or a failure if it was over its limit before that."""
        if not self._failed_instead(test):
            self.memory_run.saw_skip(test)
            super().addSkip(test, *args, **kwargs)  # type: ignore[misc]

    def _failed_instead(self, test: Any) -> bool:
        """Report a test over its limit as failed, if something caught the error of its block."""
        exceeded = self.memory_run.lost_verdict(test)
        if exceeded is not None:
            self.addFailure(test, (type(exceeded), exceeded, None))  # type: ignore[arg-type]
        return exceeded is not None

    def addError(  # noqa: N802
        self, test: Any, err: ExceptionInfo | None = None, **kwargs: Any
    ) -> None:
        """Store that a test ended with an error."""
        self.memory_run.saw_failure(test, err and err[1], "error")
        super().addError(test, err, **kwargs)  # type: ignore[misc]

    def addFailure(  # noqa: N802
        self, test: Any, err: ExceptionInfo | None = None, **kwargs: Any
    ) -> None:
        """Store that a test failed, and whether because of its budget."""
        self.memory_run.saw_failure(test, err and err[1], "failed")
        super().addFailure(test, err, **kwargs)  # type: ignore[misc]

    def addSubTest(  # noqa: N802
        self, test: Any, subtest: Any, err: ExceptionInfo | None
    ) -> None:
        """Store that a subtest failed; reporting it does not count in the test."""
        with self.memory_run.left_out():
            if err is not None:
                self.memory_run.saw_failure(subtest, err[1], "failed")
            super().addSubTest(test, subtest, err)  # type: ignore[misc]


class MemoryTestResult(MemoryResultMixin, unittest.TextTestResult):
    """A result that measures each test, and shows those over their budget as ``M``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._over_budget: list[object] = []  # the items of self.failures caused by a budget

    def addFailure(  # noqa: N802
        self, test: Any, err: ExceptionInfo | None = None, **kwargs: Any
    ) -> None:
        """Show a test over its budget as ``M`` or ``MEMORY PROBLEMS``, any other as usual."""
        if err is None or not isinstance(err[1], MemoryLimitExceeded):
            super().addFailure(test, err, **kwargs)
            return
        self.memory_run.saw_failure(test, err[1], "failed")
        # Counts as a failure; only the letter differs.
        unittest.TestResult.addFailure(self, test, err)
        self._show_over_budget(test)

    def addSubTest(  # noqa: N802
        self, test: Any, subtest: Any, err: ExceptionInfo | None
    ) -> None:
        """Show a subtest over its budget in the same way."""
        if err is None or not isinstance(err[1], MemoryLimitExceeded):
            super().addSubTest(test, subtest, err)
            return
        self.memory_run.saw_failure(subtest, err[1], "failed")
        unittest.TestResult.addSubTest(self, test, subtest, err)
        self._show_over_budget(subtest)

    def _show_over_budget(self, test: Any) -> None:
        self._over_budget.append(self.failures[-1])
        if self.showAll:
            write_status(self, test, "MEMORY PROBLEMS")
        elif self.dots:
            self.stream.write("M")
            self.stream.flush()

    def printErrorList(  # noqa: N802
        self, flavour: str, errors: Any
    ) -> None:
        """Print failures; those over budget under the heading ``MEMORY PROBLEMS``."""
        over = [error for error in errors if any(error is one for one in self._over_budget)]
        others = [error for error in errors if not any(error is one for one in over)]
        super().printErrorList(flavour, others)
        super().printErrorList("MEMORY PROBLEMS", over)


class _MeasuredTests:
    """Replaces the tests of a runner, to turn the result that they get into one that measures."""

    def __init__(self, tests: Any, run: MemoryRun) -> None:
        self._tests = tests
        self._run = run

    def __call__(self, result: Any) -> Any:
        return self._tests(self._measuring(result))

    def run(self, result: Any) -> Any:
        return self._tests.run(self._measuring(result))

    def _measuring(self, result: Any) -> Any:
        if not isinstance(result, MemoryResultMixin):
            # Its class is changed because another object in its place would not see all calls:
            # results call their own methods, as those of testtools do that turn an unexpected
            # success into addFailure, and runners keep the object that they have made.
            kind = type(result)
            result.__class__ = type(kind.__name__, (MemoryResultMixin, kind), {})
        result.measure(self._run)
        return result

    def __iter__(self) -> Iterator[Any]:
        return iter(self._tests)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tests, name)


class MemoryRunnerMixin:
    """Makes a runner measure every test and print a memory report, with any class of result.

    List it before the class of the runner: ``class Runner(MemoryRunnerMixin, XMLTestRunner)``.

    Attributes:
        settings: what is measured, shown and kept; None to read ``pyproject.toml`` and the
            environment. A class attribute: override it in a subclass.
    """

    settings: Settings | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _check_order(cls, MemoryRunnerMixin, "run")

    def run(self, test: Any) -> Any:
        """Run the tests, then print the report."""
        memory_run = MemoryRun(self.settings or find_settings("unittest"))
        n_tests = test.countTestCases()
        try:
            with figures_in_xml(memory_run.junit_properties_of):
                return super().run(_MeasuredTests(test, memory_run))  # type: ignore[misc]
        except BaseException:
            memory_run.ends_early()
            raise
        finally:
            memory_run.end()
            memory_run.report(getattr(self, "stream", sys.stderr), n_tests)


class MemoryTestRunner(MemoryRunnerMixin, unittest.TextTestRunner):
    """A ``TextTestRunner`` that measures every test and prints a memory report.

    Takes the arguments of ``unittest.TextTestRunner``.

    Example:
        unittest.main(testRunner=MemoryTestRunner)
    """

    resultclass = MemoryTestResult
