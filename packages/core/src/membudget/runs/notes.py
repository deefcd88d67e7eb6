"""Notes of a run about its tests, in addition to their results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from ..verdict import Outcome, Result


class Unmeasured(StrEnum):
    """Why a test has no measurement. The last line of a report shows these texts."""

    KEPT_OUT = "no_memray"
    SKIPPED = "skipped"
    NOT_RUN = "not run"
    FAILED_IN_SETUP = "failed in setup"
    FAILED_BEFORE = "failed before it was measured"
    NOT_MEASURABLE = "could not be measured"
    NOTHING_TO_MEASURE = "nothing to measure"
    OTHER_PLUGIN = "run by another plugin"
    LOST = "lost with a crashed worker"
    UNKNOWN = "ended without a measurement"
    """The initial value for a test that has begun."""


@dataclass(slots=True)
class Notes:
    """Notes of a run about its tests, in addition to their results.

    Attributes:
        waivers: the tests without a limit because of a waiver, with its reason.
        failed: the tests that failed for another reason than their own limit.
        unmeasured: why a test has no measurement, if it has none.
        not_enforced: the limits that were not enforced, and why; each completes a sentence.
        outcomes: how tests ended.
        places: the file and the line where a test is written.
    """

    waivers: dict[str, str] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    unmeasured: dict[str, Unmeasured] = field(default_factory=dict)
    not_enforced: set[str] = field(default_factory=set)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)

    def add(self, other: Notes) -> None:
        """Add the notes of another process."""
        self.waivers |= other.waivers
        self.failed |= other.failed
        self.unmeasured |= other.unmeasured
        self.not_enforced |= other.not_enforced
        self.outcomes |= other.outcomes
        self.places |= other.places

    def completed(self, result: Result) -> Result:
        """Return a result completed with the outcome and the place of its test."""
        file, line = self.places.get(result.name, (result.file, result.line))
        outcome = self.outcomes.get(result.name, result.outcome)
        return replace(result, outcome=outcome, file=file, line=line)

    def reasons(self, measured: Container[str]) -> Counter[str]:
        """Count the tests without a measurement by reason.

        Args:
            measured: the names of the measured tests.
        """
        return Counter(
            str(reason) for name, reason in self.unmeasured.items() if name not in measured
        )

    def to_json(self) -> dict[str, Any]:
        """Return the notes as JSON data; :meth:`from_json` reads them."""
        sets = {"failed": sorted(self.failed), "not_enforced": sorted(self.not_enforced)}
        return {**asdict(self), **sets}

    @classmethod
    def from_json(cls, data: dict[str, Any], named: Callable[[str], str]) -> Notes:
        """Read notes from JSON data.

        Args:
            data: the return value of :meth:`to_json`.
            named: returns the name in this process of a test of another process.
        """
        return cls(
            {named(name): reason for name, reason in data["waivers"].items()},
            {named(name) for name in data["failed"]},
            {named(name): Unmeasured(reason) for name, reason in data["unmeasured"].items()},
            set(data["not_enforced"]),
            {named(name): outcome for name, outcome in data["outcomes"].items()},
            {named(name): (file, line) for name, (file, line) in data["places"].items()},
        )
