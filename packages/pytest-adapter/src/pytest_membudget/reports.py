"""What is said of tests: in pytest's reports, in the report at the end, and in files.

Reports carry JSON text, so that it reaches the reporting process under pytest-xdist, which sends no
names that are not UTF-8, and no subclasses of int and str.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from json import dumps, loads
from typing import Any, NamedTuple

import pytest
from membudget import (
    InvalidOptionError,
    Measurement,
    MembudgetError,
    MemoryLimitExceeded,
    Result,
    Verdict,
)
from membudget.runs import (
    N_ALLOCATIONS,
    TITLE,
    Line,
    Run,
    Settings,
    TestRules,
    Unmeasured,
    exceeded_line,
    exceeded_section,
    not_measured_text,
    report_lines,
    result_from_json,
    result_to_json,
    write_json,
)

from .warm_up import is_silenced

SECTION = "memray-max-memory"
LEAK_SECTION = "memray-leaked-memory"
OBJECT_SECTION = "memray-tracked-objects"
_RESULT_ATTRIBUTE = "membudget_result"
_WAIVER_ATTRIBUTE = "membudget_waiver"
_KEPT_OUT_ATTRIBUTE = "membudget_kept_out"
_NOT_MEASURABLE_ATTRIBUTE = "membudget_not_measurable"
_TOLD_ATTRIBUTE = "membudget_told"
_NEVER_RAN_ATTRIBUTE = "membudget_never_ran"
_OVER_ATTRIBUTE = "membudget_over"
_EXCEEDED_ATTRIBUTE = "membudget_exceeded"
_PHASED_ATTRIBUTE = "membudget_phased"
_WORKER_RESULTS = "membudget_results"
_WORKER_PREFIX = "membudget_bin_prefix"
_MARKUP: dict[str, dict[str, bool]] = {
    "": {},
    "over": {"red": True, "bold": True},
    "near": {"yellow": True, "bold": True},
    "failed": {"red": True},
    "waived": {"cyan": True},
}


class Details(NamedTuple):
    """How much a failure says; see ``exceeded_section``."""

    n_frames: int
    n_allocations: int | None

    @classmethod
    def of(cls, config: pytest.Config, settings: Settings) -> Details:
        """Return what ``--stacks`` says, and ``-q``, ``-v`` or ``verbosity_memray``."""
        verbosity = config.get_verbosity("memray")
        most = None if verbosity > 1 else 0 if verbosity < 0 else N_ALLOCATIONS
        return cls(settings.stacks, most)


def tell_rules(
    report: pytest.TestReport, rules: TestRules, *, is_phased: bool, never_ran: bool
) -> None:
    """Put into the report of a call the rules of its test, and how it was measured."""
    setattr(report, _TOLD_ATTRIBUTE, True)
    if rules.is_waived:
        setattr(report, _WAIVER_ATTRIBUTE, dumps(rules.waiver))
    if not rules.measured:
        setattr(report, _KEPT_OUT_ATTRIBUTE, True)
    if is_phased:
        setattr(report, _PHASED_ATTRIBUTE, True)
    if never_ran:
        setattr(report, _NEVER_RAN_ATTRIBUTE, True)


def was_told(report: pytest.TestReport) -> bool:
    """Whether the report of a call has what :func:`tell_rules` puts into it."""
    return hasattr(report, _TOLD_ATTRIBUTE)


def tell_result(
    report: pytest.TestReport,
    result: Result | None,
    raised: BaseException | None,
    details: Details,
    *,
    failed_before: bool,
) -> None:
    """Put into a report what was measured, and what the budget says to it."""
    if isinstance(raised, MembudgetError) and not isinstance(raised, MemoryLimitExceeded):
        setattr(report, _NOT_MEASURABLE_ATTRIBUTE, True)
    if result is None:
        return
    setattr(report, _RESULT_ATTRIBUTE, dumps(result_to_json(result)))
    if not (result.verdict.within or failed_before):
        setattr(report, _OVER_ATTRIBUTE, True)
    if not (report.failed and isinstance(raised, MemoryLimitExceeded)):
        return
    if raised.verdict == result.verdict:
        # The test's own budget: its one line and its section say all there is to say.
        # A block inside the test keeps its traceback, which shows which one it was.
        _say_exceeded(report, raised.measurement, raised.verdict, details)
    setattr(report, _EXCEEDED_ATTRIBUTE, True)


def insist_on_verdict(report: pytest.TestReport, details: Details) -> None:
    """Make the report of a test over its limit a failure, if it is passed or skipped.

    The test called ``pytest.skip()`` afterwards, or something around it took the exception. A
    failure that was expected (``xfail``) stays so.
    """
    if not hasattr(report, _OVER_ATTRIBUTE) or report.outcome not in ("passed", "skipped"):
        return
    if hasattr(report, "wasxfail"):
        report.outcome = "skipped"  # so pytest says that a failure was expected and came
        return
    ended = report.outcome
    report.outcome = "failed"
    result = result_from_json(loads(getattr(report, _RESULT_ATTRIBUTE)))
    _say_exceeded(report, result.measurement, result.verdict, details)
    report.longrepr = f"{report.longrepr}. It {_ENDS[ended]}"
    setattr(report, _EXCEEDED_ATTRIBUTE, True)


_ENDS = {
    "passed": "passed all the same: something around the test caught the exception",
    "skipped": "was skipped after that",
}


def refuse_unmeasured(report: pytest.TestReport, problem: str) -> None:
    """Make the report of a test that passed a failure, because its limit was not enforced."""
    report.outcome = "failed"
    report.longrepr = problem
    setattr(report, _NOT_MEASURABLE_ATTRIBUTE, True)


def _say_exceeded(
    report: pytest.TestReport, measurement: Measurement, verdict: Verdict, details: Details
) -> None:
    report.longrepr = exceeded_line("Test", verdict)
    section = exceeded_section(
        "Test",
        measurement,
        verdict,
        n_frames=details.n_frames,
        n_allocations=details.n_allocations,
    )
    leaked = LEAK_SECTION if verdict.leaks else OBJECT_SECTION
    report.sections.append((SECTION if verdict.excesses else leaked, section))


def set_properties(item: pytest.Item, measurement: Measurement, verdict: Verdict) -> None:
    """Give the test the properties of its measurement, for JUnit XML; those of the last rerun."""
    figures = {
        f"memray_{figure}": getattr(measurement, figure)
        for figure in ("peak_bytes", "total_bytes", "n_allocations", "retained_bytes")
    }
    limits = {f"memray_limit_{limit.figure}": limit.maximum for limit in verdict.budget.limits}
    if verdict.budget.leaks is not None:
        limits["memray_limit_leaks"] = verdict.budget.leaks.maximum
    if verdict.budget.objects is not None:
        limits["memray_leaked_objects"] = sum(one.n_objects for one in verdict.leaked_objects)
    others = [one for one in item.user_properties if not one[0].startswith("memray_")]
    item.user_properties[:] = [*others, *figures.items(), *limits.items()]


def run_of(config: pytest.Config, settings: Settings) -> Run:
    """Return the run; that of a worker of pytest-xdist names captures as the other ones do."""
    workerinput: dict[str, Any] = getattr(config, "workerinput", {})
    return Run(settings, "pytest", capture_prefix=workerinput.get(_WORKER_PREFIX, ""))


class NotMeasuringPlugin:
    """Registered when measuring is asked for and cannot be: says so, and costs nothing."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._is_worker = hasattr(config, "workeroutput")
        self._run = run

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not session.config.pluginmanager.hasplugin("terminalreporter"):
            sys.stderr.write(f"{not_measured_text()}\n")
        # Results of an earlier run must not look like those of this one.
        if not self._is_worker:
            _write_json(self._run)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_line("")
        terminalreporter.write_sep("=", TITLE)
        terminalreporter.write_line(not_measured_text())


class ReportingPlugin:
    """Registered when measuring is on: collects what reports carry, and shows it at the end.

    Args:
        config: pytest's.
        settings: what is shown and kept.
        run: has what is measured in this process.
    """

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._settings = run.settings
        self._workeroutput: dict[str, Any] | None = getattr(config, "workeroutput", None)
        self._run = run
        self._wait_for_pytest_memray: set[str] = set()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._see_skip(report)

    def _see_skip(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        """Take note of what ``pytest.importorskip("pytest_memray")`` skips."""
        if report.skipped and "could not import 'pytest_memray'" in str(report.longrepr):
            self._wait_for_pytest_memray.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        if self._run.captures is not None:
            node.workerinput[_WORKER_PREFIX] = self._run.captures.prefix

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        results = self._run.end()
        problem = None
        if self._workeroutput is not None:
            # What was read only now travels to the reporting process on its own.
            self._workeroutput[_WORKER_RESULTS] = [
                dumps(result_to_json(result))
                for result in results
                if result.measurement.allocations
            ]
        else:
            try:
                _write_json(self._run)
            except pytest.UsageError as error:
                problem = error
        finished = yield
        if problem is not None:
            # Not before: pytest prints the failures of the run meanwhile, and no error may hide
            # them.
            raise problem
        return finished

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        for data in getattr(node, "workeroutput", {}).get(_WORKER_RESULTS, ()):
            self._run.add_result(result_from_json(loads(data)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, str] | None:
        if is_silenced(report):
            return "", "", ""
        if report.failed and getattr(report, _EXCEEDED_ATTRIBUTE, False):
            return "failed", "M", "MEMORY PROBLEMS"
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if is_silenced(report):
            return
        self._see_skip(report)
        name, notes = report.nodeid, self._run.notes
        if hasattr(report, _WAIVER_ATTRIBUTE):
            notes.waivers[name] = loads(getattr(report, _WAIVER_ATTRIBUTE))
        data: str | None = getattr(report, _RESULT_ATTRIBUTE, None)
        if report.when == "call":
            notes.failed.discard(name)
            if report.failed and not hasattr(report, _EXCEEDED_ATTRIBUTE):
                notes.failed.add(name)
        reason = _why_not_measured(report, data is not None)
        if reason is not None:
            notes.unmeasured[name] = reason
        elif data is not None:
            notes.unmeasured.pop(name, None)
        # Measured in another process: a worker of pytest-xdist, or a child of pytest-forked.
        if data is not None and (hasattr(report, "node") or name not in self._run):
            self._run.add_result(result_from_json(loads(data)))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._wait_for_pytest_memray:
            names = ", ".join(sorted(self._wait_for_pytest_memray))
            terminalreporter.write_line(
                f'Skipped by pytest.importorskip("pytest_memray"): {names}. Remove that line: '
                f"pytest-membudget enforces these markers",
                yellow=True,
            )
        if self._settings.hide_memray_summary or not self._settings.memray:
            return
        terminalreporter.write_line("")
        terminalreporter.write_sep("=", TITLE)
        width = terminalreporter.config.get_terminal_writer().fullwidth
        is_terminal = sys.stdout.isatty()
        lines = report_lines(self._run, sys.stdout, width=width if is_terminal else 0)
        write_lines(terminalreporter, lines)


def write_lines(terminalreporter: pytest.TerminalReporter, lines: Iterable[Line]) -> None:
    """Write lines of a report, in colour where pytest uses colours."""
    for line in lines:
        terminalreporter.write_line(line.text, **_MARKUP[line.tells])


def _write_json(run: Run) -> None:
    try:
        write_json(run)
    except InvalidOptionError as error:
        raise pytest.UsageError(str(error)) from error


def _why_not_measured(report: pytest.TestReport, measured: bool) -> Unmeasured | None:
    """Return why a report has no measurement; None if it has one, or if another report tells."""
    if measured or report.when == "teardown":
        return None
    if hasattr(report, _KEPT_OUT_ATTRIBUTE):
        return Unmeasured.KEPT_OUT
    if hasattr(report, _NOT_MEASURABLE_ATTRIBUTE):
        return Unmeasured.NOT_MEASURABLE
    if report.when not in ("setup", "call"):
        return Unmeasured.LOST  # pytest-xdist reports these in no phase
    if report.skipped:
        return Unmeasured.SKIPPED
    if report.failed:  # setUp of a TestCase is in its call
        in_setup = report.when == "setup"
        return Unmeasured.FAILED_IN_SETUP if in_setup else Unmeasured.FAILED_BEFORE
    if hasattr(report, _NEVER_RAN_ATTRIBUTE):
        return Unmeasured.NOTHING_TO_MEASURE
    # A block over several phases tells with the report of its last one.
    is_told = report.when == "setup" or hasattr(report, _PHASED_ATTRIBUTE)
    return None if is_told else Unmeasured.OTHER_PLUGIN
