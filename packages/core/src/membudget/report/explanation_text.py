"""All data of one result as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, get_args

from ..limit_words import KIND_NAMES, limit_uses
from ..measurement import Figure
from ..sizes import format_size
from ..stack_filter import patterns_of
from ..verdict import Result
from .failure_text import (
    LOST_STACKS,
    N_ALLOCATIONS,
    N_FRAMES,
    allocation_lines,
    amount,
    leaks_of,
    no_stacks,
    object_lines,
    unseen_words,
)
from .printable import printable
from .tables import aligned

_HEADINGS: Final = ("", "used", "limit", "")


def explanation_lines(result: Result) -> Iterator[str]:
    """Yield the figures of a test, its limits and where each is written, and its largest stacks."""
    place = f" ({result.file}:{result.line})" if result.file else ""
    yield printable(f"{result.name}{place}{f': {result.outcome}' if result.outcome else ''}")
    yield from aligned([_HEADINGS, *_rows(result)])
    yield from _other_limits(result)
    yield from conditions(result)
    measurement, verdict = result.measurement, result.verdict
    if measurement.unseen:
        yield f"Not counted: {unseen_words(measurement)}"
    if measurement.stacks_problem:
        yield no_stacks(measurement)
    if measurement.lost_stacks:
        yield LOST_STACKS
    for heading, allocations in (
        ("Leaked:", verdict.leaks),
        ("Alive at the peak:", measurement.allocations),
        ("Still alive at the end:", measurement.retained),
    ):
        if allocations:
            yield heading
            yield from allocation_lines(allocations, N_FRAMES, N_ALLOCATIONS)
    if measurement.leaked_objects:
        yield "Objects left behind:"
        yield from object_lines(measurement.leaked_objects, N_FRAMES, N_ALLOCATIONS)


def _rows(result: Result) -> Iterator[tuple[str, str, str, str]]:
    uses = {use.limit.figure: use for use in limit_uses(result)}
    figures: tuple[Figure, ...] = get_args(Figure)
    for figure in figures:
        used = amount(figure, getattr(result.measurement, figure))
        use = uses.get(figure)
        if use is None:
            yield KIND_NAMES[figure], used, "-", ""
            continue
        maximum = amount(figure, use.limit.maximum)
        notes = filter(None, (" ".join(use.words), _written(use.limit.origin)))
        yield KIND_NAMES[figure], used, maximum, ", ".join(notes)


def _written(origin: str) -> str:
    return f"written in {printable(origin)}" if origin else ""


def _other_limits(result: Result) -> Iterator[str]:
    leaks, objects = result.verdict.budget.leaks, result.verdict.budget.objects
    if leaks is not None:
        limit = f"May leak {format_size(leaks.maximum)} per location"
        yield ", ".join(filter(None, (limit, _written(leaks.origin))))
    if objects is not None:
        yield ", ".join(filter(None, ("May leak no objects", _written(objects.origin))))
    yield from (f"It was {line}" for line in leaks_of(result.verdict))


def conditions(result: Result) -> Iterator[str]:
    """Yield lines about the conditions of the measurement."""
    scope = result.verdict.budget.scope
    words = [
        f"{' and '.join(scope.phases)} of the test",
        *patterns_of(scope),
        *(["its own thread alone"] if scope.current_thread_only else []),
        "stable figures" if scope.stable else "default figures",
    ]
    yield printable(f"What counts: {', '.join(words)}")
    if result.phases:
        peaks = (f"{phase} {format_size(used.peak_bytes)}" for phase, used in result.phases)
        yield f"Peak of each phase: {', '.join(peaks)}"
    if result.is_warm is not None:
        yield "Measured warm: it had run before" if result.is_warm else "Measured in its first run"
    if result.worker or result.attempt > 1:
        worker = f" in {printable(result.worker)}" if result.worker else ""
        yield f"Measured in attempt {result.attempt}{worker}"
