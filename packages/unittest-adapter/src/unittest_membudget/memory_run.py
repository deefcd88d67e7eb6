"""The measuring of one run of tests, and its report."""

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
    Measurement,
    MembudgetError,
    MemoryLimitExceeded,
    Result,
    Verdict,
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
    leave,
    own_allocators_seen,
    report_lines,
    why_not_measured,
    write_files,
)

from ._private import method_name
from .measuring import Request, measured
from .rules import LIMIT_ATTRIBUTE, has_pytest_markers, ignores_limit, valid_rules_of
from .suggesting import Suggesting

_WIDTH: Final = 70
_names_of_process: Final = TestNames()
"""Of the tests that the runs of this process have started, if another one reports."""


class MemoryRun:
    """Measures the tests of a run, keeps what became of them, and reports.

    Args:
        settings: what the recording traces, the default limit, what is shown and kept.

    Raises:
        InvalidOptionError: captures are to be kept, and cannot be.
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
        self._names: dict[int, str] = {}  # of the tests that run, by identity
        self._to_report: dict[str, Result] = {}  # those over a limit that are not reported yet
        self._suggesting = Suggesting(settings)
        self._test_names = _names_of_process if another_process_reports() else TestNames()

    def begin(self) -> None:
        """Begin, if that has not happened."""
        if not self._recording:
            self._recording = True
            self._seen.enter_context(own_allocators_seen(self.settings))
            self._suggesting.begin()
            self._run.begin()

    def end(self) -> None:
        """End, if that has not happened; a worker leaves its results to the reporting process."""
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
        """What was measured, in the order in which the tests ended."""
        return self._run.results

    def start_test(self, test: unittest.TestCase) -> None:
        """Measure a test from here on."""
        if not self._measures_here:
            return  # its process takes note of it
        name = self._new_name(test)
        rules = valid_rules_of(type(test), method_name(test))
        if rules.is_waived:
            self._notes.waivers[name] = rules.waiver or ""
        self._note(name, Unmeasured.UNKNOWN)
        self._run.starts(name)
        self._suggesting.starts(name, test)
        if ignores_limit(type(test)):
            self._notes.not_enforced.add(
                f"{type(test).__module__}.{type(test).__qualname__}.{LIMIT_ATTRIBUTE}, as it is no "
                f"MemoryTestCase and has no MemoryTestMixin"
            )
        if has_pytest_markers(test):
            self._notes.not_enforced.add(
                f"the markers of {name}, which only pytest reads. Here, write @limit_memory(...)"
            )

        place = place_of(test)
        if place is not None:
            self._notes.places[name] = place

        def keep(measurement: Measurement, verdict: Verdict, *others: Any) -> None:
            is_warm = bool(verdict.budget.scope.stable)
            result = self._run.add(name, measurement, verdict, *others, is_warm=is_warm)
            if not result.verdict.within:
                self._to_report[name] = result
            if another_process_reports():
                leave([result])

        baseline = self._run.baseline_limit(name)
        request = Request(keep, self.settings, self._run.path_of(name), baseline)
        if not self._measuring.enter_context(measured(test, request)):
            nothing = Unmeasured.NOTHING_TO_MEASURE
            self._note(name, nothing if rules.measured else Unmeasured.KEPT_OUT)
            self._run.stop_recording()

    def stop_test(self, test: unittest.TestCase) -> None:
        """Measure the test no more."""
        self._measuring.close()
        if id(test) in self._names:
            self._run.ended(self._names[id(test)])
        self._to_report.pop(self._name(test), None)
        self._names.pop(id(test), None)

    def lost_verdict(self, test: unittest.TestCase) -> MemoryLimitExceeded | None:
        """Return what to report of a test over its limit that is about to be no failure."""
        result = self._to_report.pop(self._name(test), None)
        if result is None:
            return None
        message = exceeded_message(
            "Test", result.measurement, result.verdict, n_frames=self.settings.stacks
        )
        return MemoryLimitExceeded(message, result.measurement, result.verdict)

    def _new_name(self, test: unittest.TestCase) -> str:
        """Name a test that starts; tests of one id, made at run time, are told apart."""
        name = self._test_names.new(test.id())
        self._names[id(test)] = name
        return name

    def _note(self, name: str, unmeasured: Unmeasured) -> None:
        """Take note of why a test is not measured, if it is not."""
        self._notes.unmeasured[name] = unmeasured
        # A worker may die. What it leaves at its end says the same, and more.
        if another_process_reports():
            leave(notes=Notes(unmeasured={name: unmeasured}))

    def _name(self, test: unittest.TestCase) -> str:
        return self._names.get(id(test)) or test.id()

    def saw_skip(self, test: unittest.TestCase) -> None:
        """Take note that a test was skipped; not a part of one, nor a class or a module."""
        is_a_test = test.countTestCases() > 0 and not hasattr(test, "test_case")
        if not (self._measures_here and is_a_test):
            return
        # Python 3.12.1 skips tests without starting them.
        name = self._names.get(id(test)) or self._test_names.new(test.id())
        self._note(name, Unmeasured.SKIPPED)
        self._notes.outcomes[name] = "skipped"
        self._suggesting.skipped(name)

    def saw_success(self, test: unittest.TestCase) -> None:
        """Take note that a test passed."""
        if self._measures_here:
            self._notes.outcomes[self._name(test)] = "passed"

    def saw_failure(
        self, test: unittest.TestCase, error: BaseException | None, outcome: Outcome
    ) -> None:
        """Take note of how and why a test failed."""
        test = getattr(test, "test_case", test)  # of a subtest
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

    def is_broken_off(self) -> None:
        """Take note that the run ends before its last test."""
        self._suggesting.is_broken_off()

    def left_out(self) -> contextlib.AbstractContextManager[None]:
        """Let no test count what is done meanwhile; see ``Run.left_out``."""
        return self._run.left_out()

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """Take the results from other processes: those that are started while this lasts."""
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
        """Write the JSON file and the report, as far as they are asked for.

        Args:
            stream: what to write the report to.
            n_tests: how many tests the run had, those that never started as well.
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
        if problem is not None:
            raise problem

    def _write_files(self, stream: Any) -> InvalidOptionError | None:
        """Write what the settings ask for; return what went wrong, for after the report."""
        path = self.settings.memray_json
        if path is not None and multiprocessing.parent_process() is not None:
            stream.write(
                f"{path} was not written: this is one of several processes. Run the tool with "
                f"python -m unittest_membudget.collect\n"
            )
            return None
        try:
            write_files(self._run)
        except InvalidOptionError as error:
            return error
        return None


def place_of(test: unittest.TestCase) -> tuple[str, int] | None:
    """Return the file and the line where the method of a test is written; None if unknown."""
    method = getattr(type(test), method_name(test), None)
    code = getattr(inspect.unwrap(method) if callable(method) else None, "__code__", None)
    return (code.co_filename, code.co_firstlineno) if inspect.iscode(code) else None


def _heading(title: str) -> str:
    return f"\n{f' {title} ':=^{_WIDTH}}"
