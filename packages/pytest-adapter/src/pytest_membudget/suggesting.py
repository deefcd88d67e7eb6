"""Suggests limits, now or from the run file: collects where tests are written, how they ended."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

import pytest
from membudget.runs import SUGGESTIONS_TITLE, Run, SuggestedLimits, written_test

from .item_rules import BadMarkerError, rules_of_item
from .reporting import write_lines
from .warm_up import is_silenced

_WORKER_TESTS = "membudget_written_tests"
_ENDED_EARLY = (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)


class SuggestingPlugin:
    """Suggests limits and writes them; or collects what ``membudget fix`` needs in a run file.

    Workers of pytest-xdist know where tests are written; the reporting process decides and writes.

    Args:
        config: pytest's.
        run: has the results; its settings select what to suggest and write.
    """

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._config = config
        self._run = run
        self._limits = SuggestedLimits(run.settings, str(config.rootpath))
        run.find_sources = lambda: self._limits.sources
        self._found: list[pytest.Item | pytest.Collector] = []
        self._collected: set[str] = set()
        self._workeroutput: dict[str, Any] | None = getattr(config, "workeroutput", None)
        if self._workeroutput is None and _leaves_files_out(config):
            self._limits.ran_some_files_only()

    # Inside the wrappers that leave out tests, such as that of --last-failed.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        if isinstance(collector, pytest.Module):
            self._limits.imports(str(collector.path))
        report = yield
        self._collected.add(collector.nodeid)
        self._found += report.result or ()
        if report.failed:
            self._limits.ran_some_files_only()
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Find where tests are written, after plugins have given them their final names."""
        self._limits.see_loaded_modules()
        for found in self._found:
            if isinstance(found, pytest.Function):
                self._see(found)
            elif isinstance(found, pytest.Class) and found.nodeid not in self._collected:
                # Its tests were not selected, and are unknown.
                where = written_test(None, "", module=str(found.path), cls=found.obj)
                self._limits.found(found.nodeid, where)
        self._found.clear()

    def _see(self, item: pytest.Function) -> None:
        waived = False
        with contextlib.suppress(BadMarkerError):
            waived = rules_of_item(item, self._run).rules.limits_do_not_hold
        where = written_test(
            item.obj, item.originalname, module=str(item.path), cls=item.cls, waived=waived
        )
        self._limits.found(item.nodeid, where)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if is_silenced(report) or type(report) is not pytest.TestReport:
            return  # a warm-up run, or a subtest
        if report.failed and not self._fails_by_its_limit(report):
            self._limits.ended(report.nodeid, incomplete="it failed")
        elif report.skipped:
            reason = "failed as expected" if hasattr(report, "wasxfail") else "skipped"
            self._limits.leave_out(report.nodeid, reason)
        elif report.when == "call":
            self._limits.ended(report.nodeid)

    def _fails_by_its_limit(self, report: pytest.TestReport) -> bool:
        """Whether a test failed only because of its own limit, after it ran to its end.

        An exceeded block inside the test ends it early, and its report has a traceback.
        """
        status = self._config.hook.pytest_report_teststatus(report=report, config=self._config)
        # Without a terminal, no plugin may return a status.
        return bool(status) and status[1] == "M" and isinstance(report.longrepr, str)

    @pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_sessionfinish")
    def pytest_sessionfinish_first(self, exitstatus: int) -> Generator[None, object, object]:
        """Before the run file is written."""
        if exitstatus in _ENDED_EARLY:
            self._limits.ends_early()
        if self._workeroutput is not None:
            self._workeroutput[_WORKER_TESTS] = self._limits.to_json()
        return (yield)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        if self._workeroutput is None and self._run.settings.suggests_limits:
            self._limits.finish(self._run.results)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        data: str | None = getattr(node, "workeroutput", {}).get(_WORKER_TESTS)
        if data is not None:
            self._limits.add_json(data)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        lines = list(self._limits.lines())
        if lines:
            terminalreporter.write_line("")
            terminalreporter.write_sep("=", SUGGESTIONS_TITLE)
        write_lines(terminalreporter, lines)


def _leaves_files_out(config: pytest.Config) -> bool:
    """Whether the run may leave out files that a complete run collects.

    Do not call this in a worker: it always gets names as arguments.
    """
    options = ("lf", "ignore", "ignore_glob")
    names_files = config.args_source == pytest.Config.ArgsSource.ARGS
    return names_files or any(config.getoption(name, None) for name in options)
