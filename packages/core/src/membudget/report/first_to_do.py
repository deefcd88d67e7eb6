"""What to do first after a run: the tests whose limits need work, and those that leave most behind.

The state of a test is what its limits say about it in one word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ..limit_words import KIND_NAMES, LimitKind, LimitUse, limit_uses
from ..sizes import format_size
from ..suggestions import Suggestion, observed_in, suggest
from ..verdict import Result
from .failure_text import amount, leaks_of, unseen_words
from .left_behind_text import WORTH_A_LINE_BYTES
from .overview import Overview, failed_otherwise, is_over

State: TypeAlias = Literal["over", "blind", "tight", "loose", "fits", "free"]
STATES: Final[Mapping[State, str]] = {
    "over": "over",
    "blind": "blind",
    "tight": "tight",
    "loose": "loose",
    "fits": "fits",
    "free": "no limit",
}
"""The states of tests, those that need work first, and their names."""


_WORKS: Final = (
    (
        "over",
        "Over their limit",
        "Use less memory, or raise the limit if the test needs that much",
    ),
    (
        "grew",
        "Grew since the baseline",
        "Find out what is new: it is red in the stacks of a test",
    ),
    ("blind", "Blind", "Make all memory visible to memray: these limits may be exceeded unseen"),
    ("tight", "Tight", "Raise the limit: a later run may exceed it although nothing changed"),
    ("loose", "Loose", "Lower the limit: it does not notice if a test uses several times more"),
    ("left", "Left behind most", "Find out what keeps this memory: it was alive after the test"),
    (
        "free",
        "Without a limit",
        "Choose limits: --memray-suggest lists them, --memray-fix writes them",
    ),
)
"""The name, the title and the advice of each work."""
_HAVE_PROPOSALS: Final = {"over", "tight", "loose", "free"}


def state_of(result: Result) -> State:
    """Return the state of a test: the first of :data:`STATES` that is true.

    A test is tight if one of its limits is ``NEAR`` or ``TIGHT``, see
    :func:`membudget.limit_words.limit_words`.

    Example:
        >>> from membudget.testing import make_measurement, make_result
        >>> [state_of(make_result("test", make_measurement(100), limit)) for limit in (99, None)]
        ['over', 'free']
    """
    if is_over(result):
        return "over"
    if result.is_blind:
        return "blind"
    words = {word for use in limit_uses(result) for word in use.words}
    if words & {"NEAR", "TIGHT"}:
        return "tight"
    if "LOOSE" in words:
        return "loose"
    return "fits" if result.verdict.budget.limits_anything else "free"


def suggestions_of(result: Result) -> dict[LimitKind, Suggestion]:
    """Return the suggested limits of a test, where they differ from the present ones."""
    if result.outcome == "skipped":
        return {}
    observed = observed_in(result, "it failed" if failed_otherwise(result) else "")
    return {one.kind: one for one in suggest([observed]) if one.need != "keep"}


@dataclass(frozen=True, slots=True)
class ToDo:
    """A test that needs work.

    Attributes:
        result: its result.
        facts: what is the matter, such as ``117.2KiB of 100.0KiB``.
        proposal: the limit that is suggested; empty if there is none.
    """

    result: Result
    facts: str
    proposal: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """Tests that need the same work.

    Attributes:
        name: which work: a state, ``grew`` or ``left``.
        title: the same in words.
        advice: what to do.
        n_tests: how many tests need it.
        first: the most urgent of them.
    """

    name: str
    title: str
    advice: str
    n_tests: int
    first: list[ToDo]


def first_to_do(overview: Overview, n_listed: int) -> list[Work]:
    """Return what to do after a run, the most urgent first; nothing that no test needs.

    Args:
        overview: the run.
        n_listed: how many tests are listed for each work.
    """
    tests: dict[str, list[Result]] = {state: [] for state in STATES}
    for result in overview.tests:
        tests[state_of(result)].append(result)
    tests["over"] = overview.over
    tests["tight"].sort(key=lambda one: -tightest(one).share)
    tests["loose"].sort(key=_unused_bytes, reverse=True)
    tests["grew"] = [*_grown(overview)]
    left = [one for one in overview.tests if one.measurement.retained_bytes >= WORTH_A_LINE_BYTES]
    tests["left"] = sorted(left, key=lambda one: -one.measurement.retained_bytes)
    facts: dict[str, Callable[[Result], str]] = {
        "over": over_in_words,
        "grew": lambda one: _growth_in_words(overview, one),
        "blind": lambda one: unseen_words(one.measurement),
        "tight": lambda one: use_in_words(tightest(one)),
        "loose": lambda one: use_in_words(_loosest(one)),
        "left": lambda one: format_size(one.measurement.retained_bytes),
        "free": lambda one: format_size(one.measurement.peak_bytes),
    }
    return [
        Work(
            name,
            title,
            advice,
            len(tests[name]),
            [
                ToDo(one, facts[name](one), _proposal(one) if name in _HAVE_PROPOSALS else "")
                for one in tests[name][:n_listed]
            ],
        )
        for name, title, advice in _WORKS
        if tests[name]
    ]


def tightest(result: Result) -> LimitUse:
    """Return the limit of which a test used most; it must have a limit on a figure."""
    return max(limit_uses(result), key=lambda use: use.share)


def _loosest(result: Result) -> LimitUse:
    return min(limit_uses(result), key=lambda use: use.share)


def _unused_bytes(result: Result) -> int:
    loosest = _loosest(result)
    return loosest.limit.maximum - loosest.used


def use_in_words(use: LimitUse) -> str:
    """Return how much of a limit was used.

    Example:
        >>> from membudget import Limit
        >>> use_in_words(LimitUse(Limit("total_bytes", 2048), 1024, ()))
        '1.0KiB of 2.0KiB total'
    """
    figure = use.limit.figure
    used, maximum = amount(figure, use.used), amount(figure, use.limit.maximum)
    if used == maximum and use.used != use.limit.maximum:
        used, maximum = f"{use.used:,}", f"{use.limit.maximum:,} bytes"
    kind = "" if figure == "peak_bytes" else f" {KIND_NAMES[figure]}"
    return f"{used} of {maximum}{kind}"


def over_in_words(result: Result) -> str:
    """Return which limits a test exceeded."""
    uses = (use_in_words(use) for use in limit_uses(result) if "OVER" in use.words)
    return "; ".join([*uses, *leaks_of(result.verdict)])


def _proposal(result: Result) -> str:
    """Return the suggested limits of a test, as they are written."""
    return ", ".join(
        one.suggested_text if kind == "peak_bytes" else f"{KIND_NAMES[kind]} {one.suggested_text}"
        for kind, one in suggestions_of(result).items()
    )


def _grown(overview: Overview) -> list[Result]:
    """Return the tests that grew, those that grew most first."""
    results = {one.name: one for one in overview.tests}
    changes = [one for one in overview.changes if one.change == "grew"]
    changes.sort(key=lambda one: (one.old or 0) - (one.new or 0))
    return [results[name] for name in dict.fromkeys(one.test for one in changes)]


def _growth_in_words(overview: Overview, result: Result) -> str:
    """Return which figures of a test grew, and by how much."""
    return "; ".join(
        f"{amount(one.figure, one.old or 0)} to {amount(one.figure, one.new or 0)}"
        + ("" if one.figure == "peak_bytes" else f" {KIND_NAMES[one.figure]}")
        for one in overview.changes
        if (one.test, one.change) == (result.name, "grew")
    )
