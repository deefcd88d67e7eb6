"""What pytest's reports carry and say about memory."""

from __future__ import annotations

from json import dumps, loads
from typing import NamedTuple, TypedDict, Unpack

import pytest
from membudget import Measurement, MembudgetError, MemoryLimitExceeded, Result, Verdict
from membudget.runs import (
    N_ALLOCATIONS,
    Outcome,
    Settings,
    TestRules,
    Unmeasured,
    exceeded_line,
    exceeded_section,
    result_from_json,
    result_to_json,
)

SECTION = "memray-max-memory"
LEAK_SECTION = "memray-leaked-memory"
OBJECT_SECTION = "memray-tracked-objects"
_ATTRIBUTE = "membudget"


class Carried(TypedDict, total=False):
    """What a report carries to the reporting process.

    JSON text where there may be more than plain ASCII: pytest-xdist sends no names that are not
    UTF-8, and no subclasses of int and str.
    """

    rules_known: bool
    """Whether the rules of the test are in here, as far as they are of interest."""
    waiver: str
    """Why the test has no limit, as JSON."""
    kept_out: bool
    """Whether the test may not be measured."""
    is_phased: bool
    """Whether more than its call is measured."""
    never_ran: bool
    """Whether the test returned work that nothing ran."""
    result: str
    """What was measured, as JSON."""
    is_over: bool
    """Whether that is over the limit of the test."""
    exceeded: bool
    """Whether the report is a failure for that reason, or for the limit of a block in the test."""
    not_measurable: bool
    """Whether something kept the test from being measured."""
    warms_up: bool
    """Whether the report is of a run before the measured one."""
    is_limited: bool
    """Whether the test has a limit, in a run that enforces none."""


def carried(report: pytest.TestReport | pytest.CollectReport) -> Carried:
    """Return what a report carries."""
    found: Carried = vars(report).get(_ATTRIBUTE, {})
    return found


def carry(report: pytest.TestReport, **more: Unpack[Carried]) -> None:
    """Let a report carry more."""
    vars(report).setdefault(_ATTRIBUTE, {}).update(more)


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
    carry(
        report,
        rules_known=True,
        kept_out=not rules.measured,
        is_phased=is_phased,
        never_ran=never_ran,
    )
    if rules.is_waived:
        carry(report, waiver=dumps(rules.waiver))


def tell_result(
    report: pytest.TestReport,
    result: Result | None,
    raised: BaseException | None,
    details: Details,
    *,
    failed_before: bool,
) -> None:
    """Put into a report what was measured, and whether it is over the limit."""
    if isinstance(raised, MembudgetError) and not isinstance(raised, MemoryLimitExceeded):
        carry(report, not_measurable=True)
    if result is None:
        return
    carry(report, result=dumps(result_to_json(result)))
    carry(report, is_over=not (result.verdict.within or failed_before))
    if not (report.failed and isinstance(raised, MemoryLimitExceeded)):
        return
    if raised.verdict == result.verdict:
        # The test's own budget: its one line and its section say all there is to say.
        # A block inside the test keeps its traceback, which shows which one it was.
        _say_exceeded(report, raised.measurement, raised.verdict, details)
    carry(report, exceeded=True)


def insist_on_verdict(report: pytest.TestReport, details: Details) -> None:
    """Make the report of a test over its limit a failure, if it is passed or skipped.

    The test called ``pytest.skip()`` afterwards, or something around it took the exception. A
    failure that was expected (``xfail``) stays so.
    """
    told = carried(report)
    if not told.get("is_over") or report.outcome not in ("passed", "skipped"):
        return
    if hasattr(report, "wasxfail"):
        report.outcome = "skipped"  # so pytest says that a failure was expected and came
        return
    ended = report.outcome
    report.outcome = "failed"
    result = result_from_json(loads(told["result"]))
    _say_exceeded(report, result.measurement, result.verdict, details)
    report.longrepr = f"{report.longrepr}. It {_ENDS[ended]}"
    carry(report, exceeded=True)


_ENDS = {
    "passed": "passed all the same: something around the test caught the exception",
    "skipped": "was skipped after that",
}


def refuse_unmeasured(report: pytest.TestReport, problem: str) -> None:
    """Make the report of a test that passed a failure, because its limit was not enforced."""
    report.outcome = "failed"
    report.longrepr = problem
    carry(report, not_measurable=True)


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


def outcome_of(report: pytest.TestReport) -> Outcome | None:
    """Return how a test ended, as far as one of its reports tells; None if it changes nothing."""
    if report.failed:
        return "failed" if report.when == "call" else "error"
    if report.skipped:
        return "skipped"
    return "passed" if report.when == "call" else None


def why_unmeasured(report: pytest.TestReport) -> Unmeasured | None:
    """Return why a report has no measurement; None if it has one, or if another report tells."""
    told = carried(report)
    if "result" in told or report.when == "teardown":
        return None
    if told.get("kept_out"):
        return Unmeasured.KEPT_OUT
    if told.get("not_measurable"):
        return Unmeasured.NOT_MEASURABLE
    if report.when not in ("setup", "call"):
        return Unmeasured.LOST  # pytest-xdist reports these in no phase
    if report.skipped:
        return Unmeasured.SKIPPED
    if report.failed:  # setUp of a TestCase is in its call
        in_setup = report.when == "setup"
        return Unmeasured.FAILED_IN_SETUP if in_setup else Unmeasured.FAILED_BEFORE
    if told.get("never_ran"):
        return Unmeasured.NOTHING_TO_MEASURE
    # A block over several phases tells with the report of its last one.
    is_told = report.when == "setup" or told.get("is_phased")
    return None if is_told else Unmeasured.OTHER_PLUGIN
