"""Completes results: where the limits of a test are written that are written at the test itself.

A marker or a decorator of a test does not know its own line. The source file tells it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from ..budget import LeakLimit, Limit
from ..host.origins import origin_at
from ..limit_words import LimitKind
from ..suggestions import LimitNow
from ..verdict import Result
from .definitions import WrittenTest
from .files import ChangeableFiles
from .places import Places
from .sources import Sources
from .text import UnchangeableError

AnyLimit = TypeVar("AnyLimit", Limit, LeakLimit)


def with_origins(results: Iterable[Result], sources: Sources, root: str) -> Iterator[Result]:
    """Yield results whose limits have an ``origin``, as far as the source files tell it.

    They do not if a file has changed since the tests were imported, if it is not below the root, or
    if it is not clear which of several expressions is the limit.

    Args:
        results: the results.
        sources: where their tests are written.
        root: the directory to which relative paths in the sources refer.
    """
    places = Places(ChangeableFiles(root, sources.fingerprints))
    tests = dict(sources.tests)
    for result in results:
        test = tests.get(result.name)
        yield result if test is None else _with_origins(result, test, places)


def _with_origins(result: Result, test: WrittenTest, places: Places) -> Result:
    def located(limit: AnyLimit) -> AnyLimit:
        if limit.origin or (isinstance(limit, Limit) and limit.source != "written"):
            return limit
        kind: LimitKind = limit.figure if isinstance(limit, Limit) else "leaks"
        try:
            place = places.expression_of(test, LimitNow(kind, limit.maximum))
        except UnchangeableError:
            return limit
        if place.limit.maximum is None:  # it cannot be read
            written = place.file.written_at(place.holder).limits
            if [one.kind for one in written if one.kind in (kind, None)] != [kind]:
                return limit  # it may be another one
        return replace(limit, origin=origin_at(place.file.disk.path, place.node.lineno))

    verdict = result.verdict
    budget = replace(
        verdict.budget,
        limits=tuple(map(located, verdict.budget.limits)),
        leaks=verdict.budget.leaks and located(verdict.budget.leaks),
    )
    of_figure = {limit.figure: limit for limit in budget.limits}
    excesses = tuple(
        replace(excess, limit=of_figure.get(excess.limit.figure, excess.limit))
        for excess in verdict.excesses
    )
    return replace(result, verdict=replace(verdict, budget=budget, excesses=excesses))
