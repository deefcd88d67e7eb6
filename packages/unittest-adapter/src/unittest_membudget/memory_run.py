"""The measuring of one run of tests, and its report."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import unittest
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from membudget import (
    InvalidOptionError,
    KeptCaptures,
    MembudgetError,
    MemoryLimitExceeded,
    Result,
    Run,
    Settings,
    own_allocators_seen,
    report_failure,
    report_json,
    report_suggestions,
    report_text,
    why_not_measured,
)

from . import collecting
from .collecting import UNKNOWN, Notes
from .marks import LIMIT_ATTRIBUTE, has_pytest_markers, ignores_limit, valid_marks_of
from .measuring import measured
from .suggesting import Suggesting

_WIDTH: Final = 70


class MemoryRun:
    """Measures the tests of a run, keeps what became of them, and reports.

    Args:
        settings: what the recording traces, the default limit, what is shown and kept.

    Raises:
        InvalidOptionError: captures are to be kept, and cannot be.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings: Final = settings
        captures = None
        if settings.memray_bin_path:
            captures = KeptCaptures(settings.memray_bin_path, settings.memray_bin_prefix)
        self._run = Run(settings.most_allocations, captures)
        self._measuring = contextlib.ExitStack()
        self._seen = contextlib.ExitStack()
        self._recording = False
        self._left = False
        self._measures_here = True
        self._notes = Notes()
        self._names: dict[int, str] = {}  # of the tests that run, by identity
        self._to_report: dict[str, Result] = {}  # over a limit, and nobody has said so yet
        self._suggesting = Suggesting(settings)
        self._n_started = collecting.n_started if collecting.collects() else Counter[str]()

    def begin(self) -> None:
        """Begin, if that has not happened."""
        if not self._recording:
            self._recording = True
            self._seen.enter_context(own_allocators_seen(self.settings))
            self._suggesting.begin()
            self._run.begin()

    def end(self) -> None:
        """End, if that has not happened; in a worker, leave the results to who reports."""
        if self._recording:
            self._recording = False
            self._measuring.close()
            self._run.end()
            self._seen.close()
        if collecting.collects() and not self._left:
            self._left = True
            collecting.leave(self.results, self._notes)

    @property
    def results(self) -> list[Result]:
        """What was measured, in the order in which the tests ended."""
        return self._run.results

    def start_test(self, test: unittest.TestCase) -> None:
        """Measure a test from here on."""
        if not self._measures_here:
            return  # its process takes note of it
        name = self._new_name(test)
        marks = valid_marks_of(type(test), getattr(test, "_testMethodName", ""))
        if marks.waiver is not None and marks.budget is None:
            self._notes.waivers[name] = marks.waiver
        self._note(name, UNKNOWN)
        self._suggesting.starts(name, test)
        if ignores_limit(type(test)):
            self._notes.ignored.add(f"{type(test).__module__}.{type(test).__qualname__}")
        if has_pytest_markers(test):
            self._notes.marked.add(name)

        def keep(*measured: Any) -> None:
            result = self._run.add(name, *measured)
            if not result.verdict.within:
                self._to_report[name] = result
            if collecting.collects():
                collecting.leave([result], Notes())

        measures = self._measuring.enter_context(
            measured(test, keep, self.settings, keep_capture=self._run.path_of(name))
        )
        if not measures:
            self._note(name, "nothing to measure" if marks.measured else "no_memray")
            self._run.stop_recording()

    def stop_test(self, test: unittest.TestCase) -> None:
        """Measure the test no more."""
        self._measuring.close()
        self._to_report.pop(self._name(test), None)
        self._names.pop(id(test), None)

    def lost_verdict(self, test: unittest.TestCase) -> MemoryLimitExceeded | None:
        """Return what to report of a test over its limit that is about to be no failure."""
        result = self._to_report.pop(self._name(test), None)
        if result is None:
            return None
        message = report_failure.exceeded_message(
            "Test", result.measurement, result.verdict, n_frames=self.settings.stacks
        )
        return MemoryLimitExceeded(message, result.measurement, result.verdict)

    def _new_name(self, test: unittest.TestCase) -> str:
        """Name a test that starts; tests of one id, made at run time, are told apart."""
        name = collecting.numbered(test.id(), self._n_started)
        self._names[id(test)] = name
        return name

    def _note(self, name: str, unmeasured: str) -> None:
        """Take note of why a test is not measured, if it is not."""
        self._notes.unmeasured[name] = unmeasured
        # A worker may die. What it leaves at its end says the same, and more.
        if collecting.collects():
            collecting.leave([], Notes(unmeasured={name: unmeasured}))

    def _name(self, test: unittest.TestCase) -> str:
        return self._names.get(id(test)) or test.id()

    def saw_skip(self, test: unittest.TestCase) -> None:
        """Take note that a test was skipped; not a part of one, nor a class or a module."""
        is_a_test = test.countTestCases() > 0 and not hasattr(test, "test_case")
        if not (self._measures_here and is_a_test):
            return
        # Python 3.12.1 skips tests without starting them.
        name = self._names.get(id(test)) or collecting.numbered(test.id(), self._n_started)
        self._note(name, "skipped")
        self._suggesting.skipped(name)

    def saw_failure(self, test: unittest.TestCase, error: BaseException | None) -> None:
        """Take note of why a test failed."""
        test = getattr(test, "test_case", test)  # of a subtest
        if not self._measures_here:
            return
        name = self._name(test)
        over = self._to_report.pop(name, None)
        if not isinstance(error, MemoryLimitExceeded):
            self._notes.failed.add(name)
        if over is None or getattr(error, "verdict", None) != over.verdict:
            self._suggesting.failed(name)
        if self._notes.unmeasured.get(name) == UNKNOWN:
            not_measurable = isinstance(error, MembudgetError)
            reason = "could not be measured" if not_measurable else "failed before it was measured"
            self._note(name, reason)

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
        collection = collecting.Collection()
        environment = self.settings.environment
        captures = self._run.captures
        if captures is not None:
            environment["MEMBUDGET_MEMRAY_BIN_PREFIX"] = captures.prefix
            # Tests may change the working directory before the one that looks it up.
            environment["MEMBUDGET_MEMRAY_BIN_PATH"] = str(Path(captures.pattern).parent)
        try:
            with own_allocators_seen(self.settings), collection.open(environment):
                yield
        finally:
            self._measures_here = True
            self._notes.add(collection.notes)
            for result in collection.results.values():
                self._run.add_result(result)

    def report(self, stream: Any, n_tests: int = 0) -> None:
        """Write the JSON file and the report, as far as they are asked for.

        Args:
            stream: what to write the report to.
            n_tests: how many tests the run had, those that never started as well.
        """
        if collecting.collects():
            return
        lines: list[str] = []
        if not self.settings.hide_memray_summary:
            lines += self._report_lines(stream, n_tests)
        if why_not_measured() is None:
            suggested = list(self._suggesting.report(self.results))
            lines += [_heading(report_suggestions.TITLE), *suggested] if suggested else []
        if lines:
            stream.write("".join(f"{line}\n" for line in lines))
            stream.flush()
        path = self.settings.memray_json
        if path is not None and multiprocessing.parent_process() is not None:
            stream.write(
                f"{path} was not written: this is one of several processes. Run the tool with "
                f"python -m unittest_membudget.collect\n"
            )
        elif path is not None:
            try:
                report_json.write_results(str(path), self.results)
            except OSError as error:
                problem = f"--memray-json: cannot write to {str(path)!r}: {error}"
                raise InvalidOptionError(problem) from error

    def _report_lines(self, stream: Any, n_tests: int) -> Iterator[str]:
        yield _heading(report_text.TITLE)
        why = why_not_measured()
        if why is not None:
            yield f"Nothing was measured: {why}"
            return
        for line in report_text.report_lines(
            self.results,
            most_allocations=self.settings.most_allocations,
            symbols=report_text.can_show_symbols(getattr(stream, "stream", sys.stderr)),
            failed=self._notes.failed,
            waivers=self._notes.waivers,
        ):
            yield line.text
        if self.settings.memray_margins:
            for line in report_text.margin_lines(self.results):
                yield line.text
        counts_objects = self.settings.trace_python_allocators
        for line in report_text.what_figures_mean(self.results, counts_objects=counts_objects):
            yield line.text
        for name in sorted(self._notes.ignored):
            yield (
                f"Not enforced: {name}.{LIMIT_ATTRIBUTE}, as it is no MemoryTestCase and has no "
                f"MemoryTestMixin"
            )
        for name in sorted(self._notes.marked):
            yield (
                f"Not enforced: the markers of {name}, which only pytest reads. Here, write "
                f"@limit_memory(...)"
            )
        notice = self.settings.idle_notice("unittest")
        if notice:
            yield notice
        captures = self._run.captures
        yield from report_text.summary_lines(
            len(self.results),
            self.settings.most_allocations,
            waivers=self._notes.waivers,
            unmeasured=self._reasons(n_tests),
            captures="" if captures is None else captures.pattern,
            patterns=report_text.pattern_lines(self.results),
        )

    def _reasons(self, n_tests: int) -> Counter[str]:
        unmeasured = self._notes.unmeasured
        reasons = Counter(reason for name, reason in unmeasured.items() if name not in self._run)
        n_not_run = n_tests - len(unmeasured)
        if n_not_run > 0:
            reasons["not run"] = n_not_run
        return reasons


def _heading(title: str) -> str:
    return f"\n{f' {title} ':=^{_WIDTH}}"
