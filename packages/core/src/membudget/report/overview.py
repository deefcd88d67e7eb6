"""What a report shows of a run: every form of report (text, Markdown, JUnit, ...) is made of this.

It has the tests by the size of their peak, those that are over their limits, and what changed since
an earlier run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..limit_words import KIND_NAMES, limit_uses
from ..results.comparable import differences
from ..results.comparing import CHANGES, compare_runs
from ..results.run_file import RunFile
from ..tolerance import DEFAULT_TOLERANCE, Tolerance
from ..verdict import Result
from .comparison_text import change_counts
from .failure_text import counted


class Overview:
    """What a report shows of a run.

    Args:
        run: the run.
        baseline: an earlier run, to show what changed; None to compare with nothing.
        tolerance: how much figures may differ from the earlier run and still count as the same.

    Attributes:
        run, baseline, tolerance: as given.
        tests: the results, with the largest peak first.
        over: those of tests that are over a limit, furthest over it first.
        compared: the figures of both runs, see :func:`membudget.results.compare_runs`.
        changes: those of them that changed, figures that grew first.
        differences: why the two runs cannot be compared; empty if they can.

    Example:
        >>> from membudget.results import Environment
        >>> from membudget.testing import make_measurement, make_result
        >>> result = make_result("test_load", make_measurement(120), 100)
        >>> Overview(RunFile(Environment(), (result,))).headline
        '1 of 1 test is over its memory limit'
    """

    def __init__(
        self,
        run: RunFile,
        baseline: RunFile | None = None,
        tolerance: Tolerance = DEFAULT_TOLERANCE,
    ) -> None:
        self.run: Final = run
        self.baseline: Final = baseline
        self.tolerance: Final = tolerance
        self.tests: Final = largest_first(run.results)
        self.over: Final = sorted(filter(is_over, self.tests), key=_share, reverse=True)
        self.compared: Final = [] if baseline is None else compare_runs(baseline, run, tolerance)
        self.changes: Final = [
            one for change in CHANGES for one in self.compared if one.change == change
        ]
        environments = [] if baseline is None else [baseline.environment, run.environment]
        self.differences: Final = differences(environments)

    @property
    def headline(self) -> str:
        """The most important facts in a line."""
        parts = [self._limits_in_words()]
        if self.baseline is not None:
            parts.append(change_counts(self.changes) or "no figure changed")
        return "; ".join(parts)

    def _limits_in_words(self) -> str:
        n_tests, n_over = len(self.tests), len(self.over)
        if n_over:
            over = "is over its memory limit" if n_over == 1 else "are over their memory limits"
            return f"{n_over:,} of {counted(n_tests, 'test')} {over}"
        n_limited = sum(one.verdict.budget.limits_anything for one in self.tests)
        if not n_limited:
            return f"{counted(n_tests, 'test')} measured, none with a memory limit"
        measured = f"{counted(n_tests, 'test')}, {n_limited:,} with a limit"
        return f"No test is over its memory limit ({measured})"


def largest_first(results: Iterable[Result]) -> list[Result]:
    """Return results by their peak, those with the same peak by their name."""
    return sorted(results, key=lambda one: (-one.measurement.peak_bytes, one.name))


def is_over(result: Result) -> bool:
    """Whether a test is over a limit, unless its failure is expected."""
    return not result.verdict.within and result.outcome != "skipped"


def failed_otherwise(result: Result) -> bool:
    """Whether a test failed for another reason than its limits, so that it may have ended early."""
    return result.verdict.within and result.outcome in ("failed", "error")


def words_in_text(result: Result) -> str:
    """Return the words about the limits of a test as text; those about the peak have no name.

    Example:
        >>> from membudget.testing import make_measurement, make_result
        >>> words_in_text(make_result("test_load", make_measurement(120), 100))
        'OVER'
    """
    words = [
        word if use.limit.figure == "peak_bytes" else f"{KIND_NAMES[use.limit.figure]} {word}"
        for use in limit_uses(result)
        for word in use.words
    ]
    if result.verdict.leaks or result.verdict.leaked_objects:
        words.append("leaks OVER")
    return ", ".join(words)


def _share(result: Result) -> float:
    """Return how far a test is over its limits, to sort by it."""
    shares = [use.share for use in limit_uses(result)]
    leaks = result.verdict.budget.leaks
    if result.verdict.leaks and leaks is not None:
        shares.append(result.verdict.leaks[0].size_bytes / max(leaks.maximum, 1))
    return max(shares, default=0.0)
