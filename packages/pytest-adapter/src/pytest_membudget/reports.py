"""Adds memory data and failure texts to pytest's reports."""

from __future__ import annotations

from collections.abc import Callable
from json import dumps, loads
from os import getpid
from typing import NamedTuple

import pytest
from membudget import Measurement, MembudgetError, MemoryLimitExceeded, Result, Verdict
from membudget.runs import (
    N_ALLOCATIONS,
    Outcome,
    Run,
    TestRules,
    Unmeasured,
    exceeded_line,
    exceeded_section,
    junit_properties,
    result_from_json,
    result_to_json,
)

from .report_data import add_data, data_of

SECTION = "memray-max-memory"
LEAK_SECTION = "memray-leaked-memory"
OBJECT_SECTION = "memray-tracked-objects"
_N_WITH_Q = 2
"""How many allocations a failure lists with ``-q``."""


class Details(NamedTuple):
    """How much detail a failure shows; see ``exceeded_section``."""

    n_frames: int
    n_allocations: int | None
    capture_of: Callable[[str], str]
    """Returns the path of the capture of a test."""
    reporting_process: int
    """The number of the process that reports; 0 for another one than that which made this."""

    @classmethod
    def of(cls, config: pytest.Config, run: Run) -> Details:
        """Return the detail that ``--stacks`` and ``-q``, ``-v`` or ``verbosity_memray`` set."""
        verbosity = config.get_verbosity("memray")
        process = 0 if run.is_worker else getpid()
        if verbosity < 0:
            return cls(1, _N_WITH_Q, run.path_of, process)
        n_allocations = None if verbosity > 1 else N_ALLOCATIONS
        return cls(run.settings.stacks, n_allocations, run.path_of, process)

    def text_of(self, result: Result) -> str:
        """Return the result for a report.

        The process that reports has its own results already. A forked child may send its reports.
        """
        if result.verdict.within and getpid() == self.reporting_process:
            return ""
        return dumps(result_to_json(result))


def add_rules(
    report: pytest.TestReport, rules: TestRules, *, is_phased: bool, never_ran: bool
) -> None:
    """Add the rules of a test to the report of its call, and how it was measured."""
    add_data(
        report,
        rules_known=True,
        kept_out=not rules.measured,
        is_phased=is_phased,
        never_ran=never_ran,
    )
    if rules.is_waived:
        add_data(report, waiver=dumps(rules.waiver))


def add_result(
    report: pytest.TestReport,
    result: Result | None,
    raised: BaseException | None,
    details: Details,
    *,
    failed_before: bool,
) -> None:
    """Add the result to a report, and whether it is over the limit."""
    if isinstance(raised, MembudgetError) and not isinstance(raised, MemoryLimitExceeded):
        add_data(report, not_measurable=True)
    if result is None:
        return
    is_over = not (result.verdict.within or failed_before)
    add_data(report, result=details.text_of(result), is_over=is_over)
    is_expected = report.skipped and hasattr(report, "wasxfail")
    if not ((report.failed or is_expected) and isinstance(raised, MemoryLimitExceeded)):
        return
    if raised.verdict == result.verdict:
        # For the test's own budget, the line and the section are complete without a traceback.
        # A block inside the test keeps its traceback, which shows which block it was.
        _show_exceeded(report, raised.measurement, raised.verdict, details)
    add_data(report, exceeded=report.failed)


def insist_on_verdict(report: pytest.TestReport, details: Details) -> None:
    """Make the report of a test over its limit a failure, if it is passed or skipped.

    This happens if the test called ``pytest.skip()`` afterwards, or if something around it caught
    the exception. An expected failure (``xfail``) stays one.
    """
    data = data_of(report)
    if not data.get("is_over") or report.outcome not in ("passed", "skipped"):
        return
    if hasattr(report, "wasxfail"):
        report.outcome = "skipped"  # how pytest reports a test that failed as expected
        return
    ended = report.outcome
    report.outcome = "failed"
    result = result_from_json(loads(data["result"]))
    _show_exceeded(report, result.measurement, result.verdict, details)
    report.longrepr = f"{report.longrepr}. It {_ENDS[ended]}"
    add_data(report, exceeded=True)


_ENDS = {
    "passed": "passed anyway: something around the test caught the exception",
    "skipped": "was skipped afterwards",
}


def refuse_unmeasured(report: pytest.TestReport, problem: str) -> None:
    """Make a passed test a failure, because its limit was not enforced."""
    report.outcome = "failed"
    report.longrepr = problem
    add_data(report, not_measurable=True)


def _show_exceeded(
    report: pytest.TestReport, measurement: Measurement, verdict: Verdict, details: Details
) -> None:
    report.longrepr = exceeded_line("Test", verdict)
    section = exceeded_section(
        "Test",
        measurement,
        verdict,
        n_frames=details.n_frames,
        n_allocations=details.n_allocations,
        capture=details.capture_of(report.nodeid),
    )
    leaked = LEAK_SECTION if verdict.leaks else OBJECT_SECTION
    report.sections.append((SECTION if verdict.excesses else leaked, section))


def set_properties(item: pytest.Item, measurement: Measurement, verdict: Verdict) -> None:
    """Set the properties of a test for JUnit XML; the last rerun wins."""
    others = [one for one in item.user_properties if not one[0].startswith("memray_")]
    item.user_properties[:] = [*others, *junit_properties(measurement, verdict).items()]


def outcome_of(report: pytest.TestReport) -> Outcome | None:
    """Return how a test ended, according to one of its reports; None if that leaves it open."""
    if report.failed:
        return "failed" if report.when == "call" else "error"
    if report.skipped:
        return "skipped"
    return "passed" if report.when == "call" else None


def why_unmeasured(report: pytest.TestReport) -> Unmeasured | None:
    """Return why a report has no result; None if it has one, or if another report decides."""
    data = data_of(report)
    if "result" in data or report.when == "teardown":
        return None
    if data.get("kept_out"):
        return Unmeasured.KEPT_OUT
    if data.get("not_measurable"):
        return Unmeasured.NOT_MEASURABLE
    if report.when not in ("setup", "call"):
        return Unmeasured.LOST  # pytest-xdist reports these in no phase
    if report.skipped:
        return Unmeasured.SKIPPED
    if report.failed:  # setUp of a TestCase is in its call
        in_setup = report.when == "setup"
        return Unmeasured.FAILED_IN_SETUP if in_setup else Unmeasured.FAILED_BEFORE
    if data.get("never_ran"):
        return Unmeasured.NOTHING_TO_MEASURE
    # The result of a block over several phases is in the report of the last phase.
    comes_later = report.when == "setup" or data.get("is_phased")
    return None if comes_later else Unmeasured.OTHER_PLUGIN
