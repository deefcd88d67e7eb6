"""Measures one run of tests, and reports it."""

from __future__ import annotations

import contextlib
import inspect
import multiprocessing
import os
import sys
import unittest
from collections.abc import Iterator
from typing import Any, Final

from membudget import (
    InvalidOptionError,
    MembudgetError,
    MemoryLimitExceeded,
    Result,
)
from membudget.runs import (
    SUGGESTIONS_TITLE,
    TITLE,
    Collection,
    Notes,
    Outcome,
    Run,
    Settings,
    TestNames,
    Unmeasured,
    Worker,
    another_process_reports,
    exceeded_message,
    files_to_write,
    github_lines,
    junit_properties,
    leave,
    own_allocators_seen,
    report_lines,
    why_not_measured,
    write_files,
)

from ._private import method_name
from .measuring import MeasuredTest, Request, measured
from .rules import LIMIT_ATTRIBUTE, has_pytest_markers, ignores_limit, valid_rules_of
from .suggesting import Suggesting

_WIDTH: Final = 70
_names_of_process: Final = TestNames()
"""The names of the tests that this process has started, if another process reports."""


class MemoryRun:
    """Measures the tests of a run, keeps how they ended, and reports.

    Args:
        settings: what the recording traces, the default limit, what is shown and kept.

    Raises:
        InvalidOptionError: captures are to be kept, but cannot be written.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings: Final = settings
        worker = Worker() if another_process_reports() else None
        self._run = Run(settings, "unittest", worker=worker, root=os.getcwd())
        self._measuring = contextlib.ExitStack()
        self._seen = contextlib.ExitStack()
        self._recording = False
        self._left = False
        self._measures_here = True
        self._notes = self._run.notes
        self._names: dict[int, str] = {}  # of the running tests, by identity
        self._to_report: dict[str, Result] = {}  # results over a limit that are not reported yet
        self._suggesting = Suggesting(settings)
        self._run.find_sources = lambda: self._suggesting.sources
        self._test_names = _names_of_process if another_process_reports() else TestNames()

    def begin(self) -> None:
        """Begin the run, unless it has begun."""
        if not self._recording:
            self._recording = True
            self._seen.enter_context(own_allocators_seen(self.settings))
            self._suggesting.begin()
            self._run.begin()

    def end(self) -> None:
        """End the run, unless it has ended; a worker hands its results to the reporter."""
        if self._recording:
            self._recording = False
            self._measuring.close()
            self._run.end()
            self._seen.close()
        if another_process_reports() and not self._left:
            self._left = True
            leave(self.results, self._notes)

    @property
    def results(self) -> list[Result]:
        """The results, in the order in which the tests ended."""
        return self._run.results

    def junit_properties_of(self, name: str) -> dict[str, int | str]:
        """Return the figures of a test as JUnit properties; empty if it was not measured."""
        result = self._run.result_of(name)
        return {} if result is None else junit_properties(result.measurement, result.verdict)

    def start_test(self, test: unittest.TestCase) -> None:
        """Measure a test from here on."""
        if not self._measures_here:
            return  # its own process measures it
        name = self._new_name(test)
        rules = valid_rules_of(type(test), method_name(test))
        if rules.is_waived:
            self._notes.waivers[name] = rules.waiver or ""
        self._note(name, Unmeasured.UNKNOWN)
        self._run.starts(name)
        self._suggesting.starts(name, test)
        if ignores_limit(type(test)):
            self._notes.not_enforced.add(
                f"{type(test).__module__}.{type(test).__qualname__}.{LIMIT_ATTRIBUTE}, because the "
                f"class is not a MemoryTestCase: derive it from MemoryTestCase or MemoryTestMixin"
            )
        if has_pytest_markers(test):
            self._notes.not_enforced.add(
                f"the markers of {name}, because only pytest reads them: use @limit_memory(...)"
            )

        place = place_of(test)
        if place is not None:
            self._notes.places[name] = place

        def keep(test: MeasuredTest) -> None:
            result = self._run.add(
                name, test.measurement, test.verdict, test.late, test.phases, is_warm=test.is_warm
            )
            if not result.verdict.within:
                self._to_report[name] = result
            if another_process_reports():
                leave([result])

        request = Request.in_run(self._run, name, keep)
        if not self._measuring.enter_context(measured(test, request)):
            nothing = Unmeasured.NOTHING_TO_MEASURE
            self._note(name, nothing if rules.measured else Unmeasured.KEPT_OUT)
            self._run.stop_recording()

    def stop_test(self, test: unittest.TestCase) -> None:
        """Stop measuring the test."""
        self._measuring.close()
        if id(test) in self._names:
            self._run.ended(self._names[id(test)])
        self._to_report.pop(self._name(test), None)
        self._names.pop(id(test), None)

    def lost_verdict(self, test: unittest.TestCase) -> MemoryLimitExceeded | None:
        """Return the error of a test over its limit that is about to be reported as no failure."""
        result = self._to_report.pop(self._name(test), None)
        if result is None:
            return None
        message = exceeded_message(
            "Test",
            result.measurement,
            result.verdict,
            n_frames=self.settings.stacks,
            capture=self._run.path_of(result.name),
        )
        return MemoryLimitExceeded(message, result.measurement, result.verdict)

    def _new_name(self, test: unittest.TestCase) -> str:
        """Name a test that starts; tests with the same id get different names."""
        name = self._test_names.new(test.id())
        self._names[id(test)] = name
        return name

    def _note(self, name: str, unmeasured: Unmeasured) -> None:
        """Store why a test is not measured, in case it is not."""
        self._notes.unmeasured[name] = unmeasured
        # Write it now, because a worker may die; at its end it writes all of its notes.
        if another_process_reports():
            leave(notes=Notes(unmeasured={name: unmeasured}))

    def _name(self, test: unittest.TestCase) -> str:
        return self._names.get(id(test)) or test.id()

    def saw_skip(self, test: unittest.TestCase) -> None:
        """Store that a test was skipped; ignore subtests, classes and modules."""
        is_a_test = test.countTestCases() > 0 and not hasattr(test, "test_case")
        if not (self._measures_here and is_a_test):
            return
        # Python 3.12.1 skips tests without starting them.
        name = self._names.get(id(test)) or self._test_names.new(test.id())
        self._note(name, Unmeasured.SKIPPED)
        self._notes.outcomes[name] = "skipped"
        self._suggesting.skipped(name)

    def saw_success(self, test: unittest.TestCase) -> None:
        """Store that a test passed."""
        if self._measures_here:
            self._notes.outcomes[self._name(test)] = "passed"

    def saw_failure(
        self, test: unittest.TestCase, error: BaseException | None, outcome: Outcome
    ) -> None:
        """Store how and why a test failed."""
        test = getattr(test, "test_case", test)  # for a subtest
        if not self._measures_here:
            return
        name = self._name(test)
        self._notes.outcomes[name] = outcome
        over = self._to_report.pop(name, None)
        if not isinstance(error, MemoryLimitExceeded):
            self._notes.failed.add(name)
        if over is None or getattr(error, "verdict", None) != over.verdict:
            self._suggesting.failed(name)
        if self._notes.unmeasured.get(name) is Unmeasured.UNKNOWN:
            not_measurable = isinstance(error, MembudgetError)
            self._note(
                name, Unmeasured.NOT_MEASURABLE if not_measurable else Unmeasured.FAILED_BEFORE
            )

    def ends_early(self) -> None:
        """Store that the run ends before its last test."""
        self._suggesting.ends_early()

    def left_out(self) -> contextlib.AbstractContextManager[None]:
        """While this lasts, count nothing in any test; see ``Run.left_out``."""
        return self._run.left_out()

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """Collect the results of the processes that start while this lasts."""
        self._measures_here = False
        self._suggesting.runs_elsewhere()
        collection = Collection()
        try:
            with (
                own_allocators_seen(self.settings),
                self._run.log_of_workers(),
                collection.open(self._run.environment),
            ):
                yield
        finally:
            self._measures_here = True
            self._notes.add(collection.notes)
            self._run.n_workers += collection.n_processes
            for result in collection.results.values():
                self._run.add_result(result)

    def report(self, stream: Any, n_tests: int = 0) -> None:
        """Write the report and the files, if the settings ask for them.

        Args:
            stream: the report is written to it.
            n_tests: how many tests the run had, including those that never started.
        """
        if another_process_reports():
            return
        problem = self._write_files(stream)
        lines: list[str] = []
        if not self.settings.hide_memray_summary:
            lines.append(_heading(TITLE))
            shown_in = getattr(stream, "stream", sys.stderr)
            n_not_run = n_tests - len(self._notes.unmeasured)
            lines += (each.text for each in report_lines(self._run, shown_in, n_not_run=n_not_run))
        if why_not_measured() is None:
            suggested = list(self._suggesting.report(self.results))
            lines += [_heading(SUGGESTIONS_TITLE), *suggested] if suggested else []
        if lines:
            stream.write("".join(f"{line}\n" for line in lines))
            stream.flush()
        if _reports_whole_run():
            sys.stdout.write("".join(f"{line}\n" for line in github_lines(self._run)))
            sys.stdout.flush()
        if problem is not None:
            raise problem

    def _write_files(self, stream: Any) -> InvalidOptionError | None:
        """Write the files that the settings ask for; return an error, to raise after the report."""
        paths = files_to_write(self.settings)
        if paths and not _reports_whole_run():
            stream.write(
                f"{' and '.join(paths)} {'was' if len(paths) == 1 else 'were'} not written, "
                f"because this is only one of several processes: run the tool with python -m "
                f"unittest_membudget.collect\n"
            )
            return None
        try:
            write_files(self._run)
        except InvalidOptionError as error:
            return error
        return None


def _reports_whole_run() -> bool:
    """Whether this process has the results of all tests, and not only those of a worker."""
    return multiprocessing.parent_process() is None


def place_of(test: unittest.TestCase) -> tuple[str, int] | None:
    """Return the file and the line where the method of a test is written; None if unknown."""
    method = getattr(type(test), method_name(test), None)
    code = getattr(inspect.unwrap(method) if callable(method) else None, "__code__", None)
    return (code.co_filename, code.co_firstlineno) if inspect.iscode(code) else None


def _heading(title: str) -> str:
    return f"\n{f' {title} ':=^{_WIDTH}}"
