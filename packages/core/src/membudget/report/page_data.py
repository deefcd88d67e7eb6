"""The data of the HTML report: what its JavaScript needs of each test, in little space.

Texts that many tests have in common are stored once, in a list; a test has their numbers. All texts
can be shown as they are: nothing in them moves the cursor, or turns the direction of writing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ..limit_words import KIND_NAMES, LimitKind, limit_uses
from ..measurement import Allocation, Curve
from ..results.capture_names import capture_of
from ..suggestions import Suggestion
from ..verdict import Result
from .explanation_text import conditions
from .failure_text import (
    LOST_STACKS,
    N_ALLOCATIONS,
    N_FRAMES,
    capture_command,
    exceeded_section,
    no_stacks,
    object_lines,
    unseen_words,
)
from .first_to_do import state_of, suggestions_of
from .overview import Overview, is_over
from .printable import printable
from .stack_tree import Node, nodes_of, stack_tree

MOST_CALLS: Final = 1_500
"""How many calls the stacks of a page may have; the tests that are furthest over come first."""
N_EXPLAINED: Final = 60
"""For how many tests, the most urgent ones, a page has sentences, left objects, captures and
curves."""

COLUMNS: Final = (
    "group",
    "name",
    "place",
    "state",
    "outcome",
    "figures",
    "limits",
    "change",
    "notes",
    "objects",
    "trees",
    "capture",
)
"""What is stored of a test, in this order. ``limits`` has for each limit: its kind, what was used
(0 for a figure), its maximum, its words, the suggestion, and where it is written. ``change`` is
the peak in the baseline and how it changed. A place is the number of a file, and a line."""
_PLACE: Final = re.compile(r"(.+):(\d{1,9})")


class PageData:
    """The data of the page of a run.

    Args:
        overview: the run, and what changed in it.

    Attributes:
        order: the results, in the order of the page: the most urgent first.
    """

    def __init__(self, overview: Overview) -> None:
        self._overview: Final = overview
        self._root: Final = overview.run.environment.root
        self._texts: Final[dict[str, int]] = {"": 0}
        self._earlier: Final = {
            one.name: one for one in (overview.baseline.results if overview.baseline else ())
        }
        self._peak_changes: Final = {
            one.test: one.change for one in overview.changes if one.figure == "peak_bytes"
        }
        over = {id(one): number for number, one in enumerate(overview.over)}
        self.order: Final = sorted(
            overview.tests, key=lambda one: (over.get(id(one), len(over)), -_used_part(one))
        )

    def as_json(self) -> dict[str, Any]:
        """Return the data as ``json.dumps`` takes it."""
        trees = self._trees()
        tests = [
            self._test(one, trees.get(id(one), []), explains=number < N_EXPLAINED)
            for number, one in enumerate(self.order)
        ]
        curves = {
            number: [curve.bucket_ms, _digits_of(curve)]
            for number, one in enumerate(self.order[:N_EXPLAINED])
            if id(one) in trees and (curve := one.measurement.curve) and curve.maxima
        }
        return {"columns": COLUMNS, "tests": tests, "curves": curves, "texts": list(self._texts)}

    def _text(self, text: str) -> int:
        """Return the number of a text."""
        return self._texts.setdefault(printable(text), len(self._texts))

    def _place(self, text: str) -> list[int]:
        """Return a place: the number of a file, and a line; 0 if it has no line."""
        place = _PLACE.fullmatch(text)
        return [self._text(text), 0] if place is None else [self._text(place[1]), int(place[2])]

    def _test(self, result: Result, trees: list[Any], *, explains: bool) -> list[Any]:
        group, name = parts_of(result.name)
        measurement = result.measurement
        earlier = self._earlier.get(result.name)
        change = self._peak_changes.get(result.name, "same")
        was = None if earlier is None else earlier.measurement.peak_bytes
        objects = object_lines(measurement.leaked_objects, N_FRAMES, N_ALLOCATIONS)
        notes = [*(_explanation(result) if explains else ()), *conditions(result)]
        if _has_stacks(result) and not trees:
            notes.append(
                "Its stacks are not here, to keep this page small: membudget explain shows them"
            )
        return [
            self._text(group),
            name,
            [self._text(result.file), result.line],
            state_of(result),
            self._text(result.outcome),
            [
                measurement.peak_bytes,
                measurement.total_bytes,
                measurement.n_allocations,
                measurement.retained_bytes,
            ],
            [self._limit(*one) for one in limits_of(result)],
            [was, self._text(change)] if self._overview.baseline is not None else 0,
            [self._text(note) for note in notes],
            [self._text(line.strip("\t")) for line in objects if explains],
            trees,
            self._text(self._command(result) if explains else ""),
        ]

    def _command(self, result: Result) -> str:
        """Return the command that shows the capture of a test; empty if none was kept."""
        path = capture_of(result, self._overview.run.environment)
        return capture_command(path) if path else ""

    def _limit(
        self, kind: str, used: int, maximum: int, words: str, suggested: str, origin: str
    ) -> list[Any]:
        texts = [self._text(words), self._text(suggested)]
        return [self._text(kind), used, maximum, *texts, *self._place(origin)]

    def _trees(self) -> dict[int, list[Any]]:
        """Return the trees of the stacks of tests, as many as there is room for."""
        found: dict[int, list[Any]] = {}
        room = MOST_CALLS
        ranked = [one for one in self.order if is_over(one)]
        ranked += [one for one in self._overview.tests if not is_over(one)]
        for result in filter(_has_stacks, ranked):
            trees = [*self._trees_of(result)]
            room -= sum(1 for tree in trees for _ in nodes_of(tree))
            if room < 0:
                break
            found[id(result)] = [self._tree(tree) for tree in trees]
        return found

    def _trees_of(self, result: Result) -> Iterator[Node]:
        earlier = self._earlier.get(result.name)
        before = None if earlier is None else earlier.measurement
        titles = ("Alive at the peak", "Still alive at the end")
        for title, kept in zip(titles, ("allocations", "retained"), strict=True):
            allocations: tuple[Allocation, ...] = getattr(result.measurement, kept)
            old: tuple[Allocation, ...] = getattr(before, kept, ())
            if allocations:
                yield stack_tree(title, allocations, self._root, old or None)

    def _tree(self, node: Node) -> list[Any]:
        compared = [] if node.old_bytes is None else [node.old_bytes, node.new_bytes]
        if compared and node.new_bytes == node.size_bytes:
            compared.pop()
        return [
            self._text(node.step.label),
            *self._place(node.step.place),
            int(node.step.is_own),
            node.size_bytes,
            node.n_allocations,
            [self._tree(child) for child in node.largest_first],
            *compared,
        ]


def parts_of(name: str) -> tuple[str, str]:
    """Return the name of a test as two texts: its file or class, and what it is called there.

    Example:
        >>> parts_of("tests/test_a.py::TestB::test_c[x::y]"), parts_of("tests.test_a.TestB.test_c")
        (('tests/test_a.py::TestB::', 'test_c[x::y]'), ('tests.test_a.TestB.', 'test_c'))
    """
    name = printable(name)
    function = name.partition("[")[0]
    head, separator, _ = function.rpartition("::" if "::" in function else ".")
    group = head + separator
    return group, name.removeprefix(group)


def limits_of(result: Result) -> Iterator[tuple[str, int, int, str, str, str]]:
    """Yield the limits of a test: kind, used, maximum, words, suggestion, where it is written."""
    suggested: dict[LimitKind, Suggestion] = suggestions_of(result)

    def proposal(kind: LimitKind) -> str:
        return suggested[kind].suggested_text if kind in suggested else ""

    for use in sorted(limit_uses(result), key=lambda one: -one.share):
        figure = use.limit.figure
        words = " ".join(use.words)
        kind = KIND_NAMES[figure]
        yield kind, 0, use.limit.maximum, words, proposal(figure), use.limit.origin
    leaks, objects = result.verdict.budget.leaks, result.verdict.budget.objects
    if leaks is not None:
        largest = max((one.size_bytes for one in result.verdict.leaks), default=0)
        words = "OVER" if largest else ""
        yield KIND_NAMES["leaks"], largest, leaks.maximum, words, proposal("leaks"), leaks.origin
    if objects is not None:
        n_objects = sum(one.n_objects for one in result.verdict.leaked_objects)
        yield "leaked objects", n_objects, 0, "OVER" if n_objects else "", "", objects.origin


def _used_part(result: Result) -> float:
    return max((use.share for use in limit_uses(result)), default=-1.0)


def _has_stacks(result: Result) -> bool:
    return bool(result.measurement.allocations or result.measurement.retained)


def _digits_of(curve: Curve) -> str:
    """Return two hexadecimal digits for each stretch of time: 255 for the peak."""
    largest = max(*curve.maxima, 1)
    return bytes(255 * most // largest for most in curve.maxima).hex()


def _explanation(result: Result) -> Iterator[str]:
    """Yield why a test is over its limits, and what is not in its figures."""
    measurement = result.measurement
    if not result.verdict.within:
        section = exceeded_section("Test", measurement, result.verdict, n_allocations=0)
        yield from section.splitlines()
    elif measurement.unseen:
        yield f"Not counted: {unseen_words(measurement)}"
    if measurement.stacks_problem:
        yield no_stacks(measurement)
    if measurement.lost_stacks:
        yield LOST_STACKS


def count_by_state(results: Iterable[Result]) -> dict[str, int]:
    """Return how many tests are in each state that occurs."""
    counts: dict[str, int] = {}
    for result in results:
        state = state_of(result)
        counts[state] = counts.get(state, 0) + 1
    return counts
