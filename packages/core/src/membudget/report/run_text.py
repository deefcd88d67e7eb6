"""Results as text, in the format of pytest-memray's report.

There are two differences from that format: the total and the number of allocations are those of the
whole test (there, both are taken at the peak), and the peak has its own line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TextIO, TypeAlias

from ..budget import Limit, Scope
from ..limit_words import LimitWord, is_near, limit_uses
from ..measurement import ARENA_BYTES, Allocation, Figure
from ..sites import users_frame
from ..sizes import format_size
from ..stack_filter import patterns_of
from ..verdict import Result, is_blind
from .failure_text import (
    FIGURE_WORDS,
    LOST_STACKS,
    amount,
    leaks_of,
    no_stacks,
    place_of,
    site_of,
    unseen_words,
)
from .printable import printable, without_directories

TITLE: Final = "MEMRAY REPORT"
SUGGESTIONS_TITLE: Final = "SUGGESTED MEMORY LIMITS"
N_FUNCTIONS: Final = 5
"""How many of the biggest allocating functions a report shows for each test."""
N_NAMES: Final = 3
"""How many tests a line below the results names."""
_N_NAMES: Final = 5
"""How many tests one line names."""

_BARS: Final = " ▁▂▃▄▅▆▇█"
_PLAIN_BARS: Final = " .:-=+*%#"
_SYMBOLS: Final = "📦📏⛰🧩📌🕳💧📊🥇❌" + _BARS


Tells: TypeAlias = Literal["", "over", "near", "failed", "waived"]
"""The meaning of a line, which front ends with colors show as a color."""


class Line(NamedTuple):
    """A line of a report, and its meaning."""

    text: str
    tells: Tells = ""


def can_show_symbols(stream: TextIO) -> bool:
    """Whether ``stream`` can show the symbols of a report; otherwise use plain words."""
    try:
        _SYMBOLS.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def report_lines(
    results: Iterable[Result],
    *,
    most_allocations: int,
    symbols: bool = True,
    failed: Collection[str] = (),
    waivers: Mapping[str, str] | None = None,
    width: int = 0,
) -> Iterator[Line]:
    """Yield the lines of a memory report, without its title.

    Args:
        results: the results, in any order.
        most_allocations: how many results to show, those with the largest peaks; 0 shows all.
        symbols: whether to use symbols, see :func:`can_show_symbols`.
        failed: the names of the tests that failed for another reason than their budget.
        waivers: the tests without a limit because of a waiver, with its reason.
        width: how many columns the terminal has, to cut long paths to fit; 0 shows them in full.
    """
    waivers = waivers or {}
    ranked = sorted(results, key=lambda result: -result.measurement.peak_bytes)
    for result in ranked[: most_allocations or None]:
        yield from _result_lines(
            result, symbols, result.name in failed, waivers.get(result.name), width
        )


def summary_lines(
    n_measured: int,
    most_allocations: int,
    *,
    waivers: Mapping[str, str] | None = None,
    unmeasured: Mapping[str, int] | None = None,
    captures: str = "",
    evidence: str = "",
    n_evidence: int = 0,
    patterns: Iterable[str] = (),
) -> Iterator[str]:
    """Yield the lines below the results: waived limits, how many tests were measured, hints.

    Args:
        n_measured: how many tests were measured.
        most_allocations: how many of them were shown at most, see :func:`report_lines`.
        waivers: the tests without a limit because of a waiver, with its reason.
        unmeasured: how many tests have no measurement, by reason.
        captures: where captures were kept, see ``KeptCaptures.pattern``; empty if none were.
        evidence, n_evidence: where captures of tests over a limit are, and how many.
        patterns: the lines of :func:`pattern_lines`.
    """
    for name, reason in sorted((waivers or {}).items()):
        yield printable(f"Limit waived: {name}{f' ({reason})' if reason else ''}")
    yield from map(printable, patterns)
    if captures:
        yield f"Captures for memray flamegraph, stats and tree: {printable(captures)}"
    if n_evidence:
        kept = "Capture of a test" if n_evidence == 1 else f"{n_evidence} captures of tests"
        yield f"{kept} over a limit, for memray flamegraph: {printable(evidence)}"
    line = f"Measured {n_measured} {'test' if n_measured == 1 else 'tests'}"
    if 0 < most_allocations < n_measured:
        line += f", shown {most_allocations}: --most-allocations=0 shows all"
    if unmeasured:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(unmeasured.items()))
        line += f"; {sum(unmeasured.values())} not measured: {reasons}"
    yield line


def pattern_lines(results: Iterable[Result]) -> Iterator[str]:
    """Yield a line for each pattern that matched nothing where it should have.

    That is an ``only`` that left nothing to count in some tests, or any other pattern that matched
    nothing in the whole run: that an ``ignore`` matches nothing in one test is normal.
    """
    results_of: dict[str, list[Result]] = {}
    for result in results:
        for pattern in patterns_of(result.verdict.budget.scope):
            results_of.setdefault(pattern, []).append(result)
    for pattern, having_it in results_of.items():
        unmatched = [one for one in having_it if pattern in one.measurement.unmatched]
        empty = [one.name for one in unmatched if pattern in _empty_only(one)]
        n_tests = "1 test" if len(having_it) == 1 else f"{len(having_it)} tests"
        if empty:
            yield f"{pattern} matched nothing in {len(empty)} of {n_tests}: {named(empty)}"
        elif len(unmatched) == len(having_it):
            yield f"{pattern} matched nothing in {n_tests}"


def _empty_only(result: Result) -> tuple[str, ...]:
    """Return the patterns of ``only`` if none of them matched, so that nothing counted."""
    only = patterns_of(Scope(only=result.verdict.budget.scope.only))
    return only if set(only) <= set(result.measurement.unmatched) else ()


def named(names: Sequence[str]) -> str:
    """Return some names in a line: the first few, and how many more there are.

    Example:
        >>> named(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    more = len(names) - N_NAMES
    return ", ".join(names[:N_NAMES]) + (f" and {more} more" if more > 0 else "")


def _result_lines(
    result: Result, symbols: bool, failed: bool, waiver: str | None, width: int
) -> Iterator[Line]:
    measurement = result.measurement

    def label(symbol: str, text: str) -> str:
        return f"\t {symbol} {text}" if symbols else f"\t {text}"

    yield Line(f"Allocations results for {printable(result.name)}")
    yield Line("")
    if failed:
        yield Line(label("❌", "The test failed"), "failed")
    total = f"Total memory allocated: {format_size(measurement.total_bytes)}"
    yield _judged(result, "total_bytes", label("📦", total))
    count = f"Total allocations: {measurement.n_allocations}"
    yield _judged(result, "n_allocations", label("📏", count))
    peak = f"Peak memory: {format_size(measurement.peak_bytes)}"
    yield _judged(result, "peak_bytes", label("⛰", peak), waiver)
    if result.phases:
        used = (f"{phase} {format_size(each.peak_bytes)}" for phase, each in result.phases)
        yield Line(label("🧩", f"Peak of each phase: {', '.join(used)}"))
    if result.verdict.budget.limit_of("retained_bytes") is not None:
        retained = f"Retained memory: {format_size(measurement.retained_bytes)}"
        yield _judged(result, "retained_bytes", label("📌", retained))
    if measurement.unseen:
        unseen = f"Not counted: {unseen_words(measurement)}"
        blind = is_blind(measurement, result.verdict.budget)
        yield Line(label("🕳", unseen), "near" if blind else "")
    for leaked in leaks_of(result.verdict):
        yield Line(label("💧", f"It was {leaked}"), "over")
    bars = _histogram(measurement.size_histogram, _BARS if symbols else _PLAIN_BARS)
    yield Line(label("📊", f"Histogram of allocation sizes: |{bars}|"))
    if measurement.stacks_problem:
        yield Line(label("🥇", no_stacks(measurement)))
    functions = _by_function(measurement.allocations)
    if functions:
        yield Line(label("🥇", "Biggest allocating functions:"))
    if measurement.lost_stacks:
        yield Line(f"\t\t{LOST_STACKS}")
    for place, size_bytes in functions[:N_FUNCTIONS]:
        size = format_size(size_bytes)
        around = len(f"\t\t-  -> {size}".expandtabs())
        function, colon, path = place.partition(":")
        path = without_directories(path, width - around - len(function + colon)) if width else path
        yield Line(f"\t\t- {function}{colon}{path} -> {size}")
    yield Line("")
    yield Line("")


def _judged(result: Result, figure: Figure, text: str, waiver: str | None = None) -> Line:
    """Add the limit of a figure to its line, and whether it is exceeded."""
    limit = result.verdict.budget.limit_of(figure)
    if limit is None:
        return Line(text) if waiver is None else Line(f"{text} (limit waived)", "waived")
    measured = getattr(result.measurement, figure)
    text += _of_limit(limit, measured)
    if measured > limit.maximum:
        return Line(f"{text} OVER", "over")
    return Line(f"{text} NEAR", "near") if is_near(limit, measured) else Line(text)


def _of_limit(limit: Limit, measured: int) -> str:
    of_limit = f"the {format_size(limit.maximum)} limit"
    if limit.figure == "n_allocations":
        of_limit = f"the limit of {limit.maximum:,}"
    if not limit.maximum:
        return f" (of {of_limit})"
    percent = 100 * measured / limit.maximum
    # Never show "100%" for a figure that is a little over or under the limit.
    if percent != 100 and round(percent) == 100:
        return f" ({'just over' if percent > 100 else 'just under'} {of_limit})"
    return f" ({percent:.0f}% of {of_limit})"


def margin_lines(results: Iterable[Result]) -> Iterator[Line]:
    """Yield a line for every limit of every result: used and allowed, the tightest first.

    It ends with the words from :func:`membudget.limit_words.limit_words`.
    """
    uses = [(use, result) for result in results for use in limit_uses(result)]
    if uses:
        yield Line("Margins, tightest first:")
    for use, result in sorted(uses, key=lambda one: (-one[0].share, one[1].name)):
        figure = use.limit.figure
        amounts = f"{amount(figure, use.used)} of {amount(figure, use.limit.maximum)}"
        what = FIGURE_WORDS[figure].exactly or "allocations"
        arenas = _arenas_of(result, figure)
        line = f"{use.percent:>7}  {printable(result.name)}: {amounts} {what}{arenas}"
        yield Line(" ".join([line, *use.words]), tells_of(use.words))


def tells_of(words: Iterable[LimitWord]) -> Tells:
    """Return the meaning of a line about a limit to which the words apply."""
    if "OVER" in words:
        return "over"
    return "near" if not {"NEAR", "TIGHT", "BLIND"}.isdisjoint(words) else ""


def _arenas_of(result: Result, figure: Figure) -> str:
    """Return how much of a figure is arenas; if stacks were not read, that it may include some."""
    measurement = result.measurement
    if figure == "n_allocations" or result.verdict.budget.scope.stable:
        return ""
    if figure == "peak_bytes" and measurement.allocations:
        arena_bytes = sum(one.arena_bytes for one in measurement.allocations)
        return f" ({format_size(arena_bytes)} of it arenas)" if arena_bytes else ""
    histogram = measurement.size_histogram
    index = ARENA_BYTES.bit_length()
    return " (arenas may be in it)" if len(histogram) > index and histogram[index] else ""


def what_figures_mean(results: Iterable[Result], *, counts_objects: bool) -> Iterator[Line]:
    """Yield notes about the limits of a run: which ones are blind, and the effect of arenas.

    Args:
        results: the results of the run.
        counts_objects: whether the run counted Python's objects instead of arenas.
    """
    results = list(results)
    blind = [
        one.name
        for one in results
        if one.verdict.within and is_blind(one.measurement, one.verdict.budget)
    ]
    if blind:
        limits = "Limits of 1 test" if len(blind) == 1 else f"Limits of {len(blind)} tests"
        yield Line(
            f"{limits} could not be checked in full, see 'Not counted': {_names(blind)}", "near"
        )
    stable = [one for one in results if one.verdict.budget.scope.stable]
    warm = [one.name for one in stable if one.is_warm]
    if len(warm) == len(stable) > _N_NAMES:
        yield Line("All stable tests were measured in a second run, when caches were filled")
    elif warm:
        yield Line(f"Measured in a second run, when caches were filled: {_names(warm)}")
    if counts_objects:
        return
    if any(one.verdict.budget.limits and not one.verdict.budget.scope.stable for one in results):
        yield Line(
            "Small Python objects count only when Python takes a new arena (1 MB) for them: those "
            "that fit into arenas of earlier tests count as 0 bytes. Set memray_stable = true to "
            "count every object"
        )


def _names(tests: list[str]) -> str:
    shown = ", ".join(map(printable, tests[:_N_NAMES]))
    return f"{shown}, ..." if len(tests) > _N_NAMES else shown


def _by_function(allocations: Iterable[Allocation]) -> list[tuple[str, int]]:
    """Sum allocations by the innermost line of the user's code, largest first."""
    sizes: dict[str, int] = {}
    for allocation in allocations:
        frame = users_frame(allocation.stack)
        place = site_of(allocation) if frame is None else place_of(frame)
        sizes[place] = sizes.get(place, 0) + allocation.size_bytes
    return sorted(sizes.items(), key=lambda item: -item[1])


def _histogram(counts: tuple[int, ...], bars: str) -> str:
    """Draw one bar for each power of two from the smallest size that occurs to the largest."""
    used = [index for index, count in enumerate(counts) if count]
    if not used:
        return ""
    drawn = counts[used[0] : used[-1] + 1]
    most = max(drawn)
    highest = len(bars) - 1
    # A size that occurs is never drawn as an empty bar.
    return "".join(bars[-(-count * highest // most)] for count in drawn)
