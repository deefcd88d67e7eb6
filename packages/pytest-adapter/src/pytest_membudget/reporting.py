"""Prints the report at the end of a run, and writes its files."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from json import dumps, loads
from typing import Any

import pytest
from membudget import InvalidOptionError
from membudget.runs import (
    TITLE,
    Line,
    Run,
    Settings,
    Tolerance,
    Worker,
    github_lines,
    not_measured_text,
    report_lines,
    result_from_json,
    result_to_json,
    write_files,
)

from .other_interpreters import check_version
from .report_data import data_of
from .reports import outcome_of, why_unmeasured
from .warm_up import is_silenced

_WORKER_RESULTS = "membudget_results"
_WORKER_COLLECTED = "membudget_collected"
_WORKER_PREFIX = "membudget_bin_prefix"
_WORKER_LOG = "membudget_log"
_WORKER_CAPTURES = "membudget_captures"
_ANNOTATING = tuple(
    f"pytest_github_actions_annotate_failures{module}" for module in ("", ".plugin")
)
"""The names under which the plugin that writes an error for every failure can be loaded."""
_MARKUP: dict[str, dict[str, bool]] = {
    "": {},
    "over": {"red": True, "bold": True},
    "near": {"yellow": True, "bold": True},
    "failed": {"red": True},
    "waived": {"cyan": True},
}


def run_of(config: pytest.Config, settings: Settings) -> Run:
    """Return the run; in a worker of pytest-xdist, one that names captures as other workers do."""
    workerinput: dict[str, Any] | None = getattr(config, "workerinput", None)
    worker = None
    if workerinput is not None:
        prefix, log = workerinput.get(_WORKER_PREFIX, ""), workerinput.get(_WORKER_LOG, "")
        worker = Worker(workerinput["workerid"], prefix, log)
    if settings.fail_on_increase:
        settings = _with_the_last_run(config, settings)
    return Run(settings, "pytest", worker=worker, root=str(config.rootpath))


def _with_the_last_run(config: pytest.Config, settings: Settings) -> Settings:
    """Return settings for ``--fail-on-increase``: a baseline that passing tests update."""
    cache = getattr(config, "cache", None)
    if cache is None:
        raise InvalidOptionError(
            "--fail-on-increase stores peaks in pytest's cache directory, but the cache is off "
            "(-p no:cacheprovider): use --memray-baseline=DIR instead"
        )
    if settings.memray_baseline is not None:
        raise InvalidOptionError(
            "--fail-on-increase and --memray-baseline both set a baseline: use only one of them"
        )
    return replace(
        settings,
        memray_baseline=cache.mkdir("membudget"),
        memray_tolerance=Tolerance(),
        memray_update_baseline=("new", "better"),
    )


class NotMeasuringPlugin:
    """Reports that nothing is measured; registered if measuring is requested but impossible."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._is_worker = hasattr(config, "workeroutput")
        self._run = run

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not session.config.pluginmanager.hasplugin("terminalreporter"):
            sys.stderr.write(f"{not_measured_text()}\n")
        # Results of an earlier run must not be mistaken for those of this one.
        if not self._is_worker:
            _write_files(self._run)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_line("")
        terminalreporter.write_sep("=", TITLE)
        terminalreporter.write_line(not_measured_text())


class ReportingPlugin:
    """Collects memory data from pytest's reports, and prints it when the run ends.

    Registered when measuring is on.

    Args:
        config: pytest's.
        run: has the results of this process; its settings select what is printed and kept.
    """

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._settings = run.settings
        self._workeroutput: dict[str, Any] | None = getattr(config, "workeroutput", None)
        self._run = run
        self._wait_for_pytest_memray: set[str] = set()
        self._log = ""  # of all workers
        self._captures_of: dict[str, str] = {}  # by worker, if they are not where ours are

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._note_collected(item.nodeid for item in items)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._note_collected(item.nodeid for item in session.items)

    def _note_collected(self, names: Iterable[str]) -> None:
        if self._run.baseline is not None:
            self._run.baseline.collected.update(names)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._see_skip(report)

    def _see_skip(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        """Remember a module or test that ``pytest.importorskip("pytest_memray")`` skips."""
        if report.skipped and "could not import 'pytest_memray'" in str(report.longrepr):
            self._wait_for_pytest_memray.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        check_version(node)
        self._run.n_workers += 1
        if self._run.captures is not None:
            node.workerinput[_WORKER_PREFIX] = self._run.captures.prefix
        if not self._log:
            shared = contextlib.ExitStack()
            node.config.add_cleanup(shared.close)
            self._log = shared.enter_context(self._run.log_of_workers())
        node.workerinput[_WORKER_LOG] = self._log

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        results = self._run.end()
        problem = None
        if self._workeroutput is not None:
            if self._run.captures is not None:
                self._workeroutput[_WORKER_CAPTURES] = self._run.captures.pattern
            if self._run.baseline is not None:
                self._workeroutput[_WORKER_COLLECTED] = sorted(self._run.baseline.collected)
            # Results read only now are in no report, and are sent to the reporting process here.
            self._workeroutput[_WORKER_RESULTS] = [
                dumps(result_to_json(result))
                for result in results
                if result.measurement.allocations
            ]
        else:
            try:
                _write_files(self._run)
            except pytest.UsageError as error:
                problem = error
        finished = yield
        if problem is not None:
            # Raised only now: pytest prints the run's failures during the yield, and no error may
            # hide them.
            raise problem
        return finished

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        workeroutput = getattr(node, "workeroutput", {})
        self._note_collected(workeroutput.get(_WORKER_COLLECTED, ()))
        self._note_captures(node.gateway.id, workeroutput.get(_WORKER_CAPTURES))
        for data in workeroutput.get(_WORKER_RESULTS, ()):
            self._run.add_result(result_from_json(loads(data)))

    def _note_captures(self, worker: str, pattern: str | None) -> None:
        """Remember where a worker on another machine, or in another directory, keeps captures."""
        captures = self._run.captures
        if captures is not None and pattern not in (None, captures.pattern):
            self._captures_of[worker] = str(pattern)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, str] | None:
        if is_silenced(report):
            return "", "", ""
        if report.failed and data_of(report).get("exceeded"):
            return "failed", "M", "MEMORY PROBLEMS"
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if is_silenced(report):
            return
        self._see_skip(report)
        name, notes = report.nodeid, self._run.notes
        data = data_of(report)
        if "waiver" in data:
            notes.waivers[name] = loads(data["waiver"])
        outcome = outcome_of(report)
        if outcome is not None:
            notes.outcomes[name] = outcome
        file, line, _ = report.location
        notes.places[name] = file, (line or 0) + 1
        if report.when == "call":
            notes.failed.discard(name)
            if report.failed and not data.get("exceeded"):
                notes.failed.add(name)
        reason = why_unmeasured(report)
        if reason is not None:
            notes.unmeasured[name] = reason
        elif "result" in data:
            notes.unmeasured.pop(name, None)
        # Measured in another process: a worker of pytest-xdist, or a child of pytest-forked.
        if data.get("result") and (hasattr(report, "node") or name not in self._run):
            self._run.add_result(result_from_json(loads(data["result"])))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._wait_for_pytest_memray:
            names = ", ".join(sorted(self._wait_for_pytest_memray))
            terminalreporter.write_line(
                f'Skipped by pytest.importorskip("pytest_memray"): {names}. Remove that call: '
                f"pytest-membudget enforces the same markers",
                yellow=True,
            )
        if self._settings.memray and not self._settings.hide_memray_summary:
            terminalreporter.write_line("")
            terminalreporter.write_sep("=", TITLE)
            width = terminalreporter.config.get_terminal_writer().fullwidth
            is_terminal = sys.stdout.isatty()
            lines = report_lines(self._run, sys.stdout, width=width if is_terminal else 0)
            write_lines(terminalreporter, lines)
            for worker, pattern in sorted(self._captures_of.items()):
                terminalreporter.write_line(f"Captures of worker {worker}: {pattern}")
        annotated = any(map(terminalreporter.config.pluginmanager.hasplugin, _ANNOTATING))
        write_lines(terminalreporter, map(Line, github_lines(self._run, errors=not annotated)))


def write_lines(terminalreporter: pytest.TerminalReporter, lines: Iterable[Line]) -> None:
    """Write lines of a report, in color if pytest uses colors."""
    for line in lines:
        terminalreporter.write_line(line.text, **_MARKUP[line.tells])


def _write_files(run: Run) -> None:
    try:
        write_files(run)
    except InvalidOptionError as error:
        raise pytest.UsageError(str(error)) from error
