"""The rules of a test: the limits and waivers that markers, decorators and classes declare."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, ClassVar

from .budget import Budget, Limit
from .settings import Settings


@dataclass(frozen=True, slots=True)
class TestRules:
    """The limits and waivers that are declared for a test, in one place or in several combined.

    Attributes:
        budget: the limits; None if there are none.
        waiver: why outer limits do not apply; None if they do. May be empty.
        measured: whether the test may be measured at all.
    """

    __test__: ClassVar[bool] = False  # pytest collects classes with names like this one

    budget: Budget | None = None
    waiver: str | None = None
    measured: bool = True

    def combined_with(self, outer: TestRules) -> TestRules:
        """Return these rules combined with ``outer``, which is declared further from the test.

        For each kind of limit, the closest one wins. A waiver excludes all outer limits.

        Raises:
            InvalidLimitError: limits of both would apply, but they count different memory.

        Example:
            >>> from membudget.runs import memory_budget
            >>> method = TestRules(memory_budget("1 MB"))
            >>> cls = TestRules(memory_budget("5 MB", total="9 MB"))
            >>> [limit.maximum for limit in method.combined_with(cls).budget.limits]
            [1048576, 9437184]
        """
        measured = self.measured and outer.measured
        if self.waiver is not None:
            return TestRules(self.budget, self.waiver, measured)
        budget = self.budget or outer.budget
        if self.budget is not None and outer.budget is not None:
            budget = self.budget.combined_with(outer.budget)
        return TestRules(budget, outer.waiver, measured)

    def budget_with(self, settings: Settings, baseline: Limit | None = None) -> Budget:
        """Return the budget that applies to the test in a run.

        Args:
            settings: those of the run: its default limit, unless waived, and its scope for values
                that the test leaves unset.
            baseline: the limit from the baseline, unless waived; None if there is none.

        Raises:
            InvalidLimitError: the default limit would also apply, but counts other memory.
        """
        budget = (self.budget or Budget()).with_scope(settings.scope)
        if self.waiver is not None:
            return budget
        return budget.with_default(settings.default_budget).with_baseline(baseline)

    @property
    def limits_do_not_hold(self) -> bool:
        """Whether limits are waived, or the test is not measured."""
        return self.waiver is not None or not self.measured

    @property
    def is_waived(self) -> bool:
        """Whether the test has no limit because of a waiver."""
        return self.waiver is not None and self.budget is None


def has_nothing_to_measure(method: Any) -> bool:
    """Whether a method of a ``TestCase`` is a generator: unittest calls it, and no line of it runs.

    Without a limit such a test is not measured; with one it is an error, because nothing would
    enforce the limit.
    """
    return inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method)
