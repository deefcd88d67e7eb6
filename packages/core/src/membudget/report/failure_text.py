"""The text of a failure: what an exceeded budget says, for every front end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from shlex import quote
from typing import Final, NamedTuple

from ..budget import Budget
from ..host.origins import shown_path
from ..limit_words import KIND_NAMES
from ..measurement import ARENA_BYTES, Allocation, Figure, Frame, LeakedObjects, Measurement, Unseen
from ..settings import DEFAULTS
from ..sites import key_of, library_of, sites_of
from ..sizes import format_size
from ..verdict import Excess, Verdict
from .printable import printable

_OF_ADAPTERS: Final = ("/pytest_membudget/", "/unittest_membudget/")
N_ALLOCATIONS: Final = 10
"""How many allocations a failure lists."""
N_NEW: Final = 3
"""How many functions that have more memory than in the baseline a failure names."""
N_FRAMES: Final = DEFAULTS.stacks
"""How many frames of each stack trace it shows."""
_N_LIBRARIES: Final = 3
_IMPORT_SYSTEM: Final = "<frozen importlib"
_NOISE: Final = 1000
"""A failure lists no allocation that is smaller than the peak divided by this."""


LOST_STACKS: Final = (
    "Stack traces are incomplete: the code replaced Python's profile function, which memray needs"
)


class _Words(NamedTuple):
    """The words for a limit on a figure: "limited to 5{of} but {did} 6{what}"."""

    of: str
    did: str
    what: str
    exactly: str


FIGURE_WORDS: Final[dict[Figure, _Words]] = {
    "peak_bytes": _Words("", "allocated", "", "at the peak"),
    "total_bytes": _Words(" in total", "allocated", " in total", "in total"),
    "n_allocations": _Words("", "made", "", ""),
    "retained_bytes": _Words(" retained", "retained", "", "retained"),
}


def exceeded_line(subject: str, verdict: Verdict) -> str:
    """Return one line that says which limits were exceeded.

    Args:
        subject: what was limited: ``"Test"``, ``"Block"``, ``"load()"``.
        verdict: a verdict with at least one exceeded limit.
    """
    parts = [*map(_exceeded, verdict.excesses), *leaks_of(verdict)]
    return f"{printable(subject)} was {'; '.join(parts)}"


def unseen_words(measurement: Measurement) -> str:
    """Return which memory the figures do not count, as the end of a sentence."""
    return "; ".join(map(_unseen, measurement.unseen))


def _unseen(unseen: Unseen) -> str:
    if not unseen.library and unseen.size_bytes is not None:
        grown = format_size(unseen.size_bytes)
        return f"the process grew by {grown} more than the figures explain"
    if unseen.size_bytes is None:
        return f"{unseen.library} is loaded, and memray does not see memory from its allocator"
    taken = format_size(unseen.size_bytes)
    return f"{unseen.library} took {taken} from its own allocator, which memray does not see"


def arena_words(arena_bytes: int) -> str:
    """Return an explanation of arenas, for a figure that includes some."""
    n_arenas = arena_bytes // ARENA_BYTES
    is_arenas = "is an arena" if n_arenas == 1 else f"is {n_arenas} arenas"
    return (
        f"{format_size(arena_bytes)} of it {is_arenas}, in which Python keeps small objects: the "
        f"line that needed a new arena is blamed. stable=True counts the objects instead"
    )


def leaks_of(verdict: Verdict) -> Iterator[str]:
    """Yield what was leaked, as the end of a line; nothing if there are no leaks."""
    limit = verdict.budget.leaks
    if verdict.leaks and limit is not None:
        n_leaks = len(verdict.leaks)
        locations = "1 location" if n_leaks == 1 else f"{n_leaks} locations"
        largest = format_size(verdict.leaks[0].size_bytes)
        more = f"more: {largest}" if n_leaks == 1 else f"more, the largest {largest}"
        yield (
            f"allowed to leak {format_size(limit.maximum)} per location but {locations} "
            f"leaked {more}"
        )
    if verdict.leaked_objects:
        n_objects = sum(one.n_objects for one in verdict.leaked_objects)
        yield f"allowed to leak no objects but leaked {n_objects:,}"


def _exceeded(excess: Excess) -> str:
    words = FIGURE_WORDS[excess.limit.figure]
    limit, measured = _limit_and_measured(excess)
    return f"limited to {limit}{words.of} but {words.did} {measured}{words.what}"


def exceeded_section(
    subject: str,
    measurement: Measurement,
    verdict: Verdict,
    *,
    n_frames: int = N_FRAMES,
    n_allocations: int | None = N_ALLOCATIONS,
    capture: str = "",
) -> str:
    """Return the details below :func:`exceeded_line`: exact bytes and the biggest allocations.

    Args:
        subject: what was limited.
        measurement, verdict: the measurement and the verdict of the block.
        n_frames: how many frames of each stack trace to show, innermost first.
        n_allocations: how many allocations to list; None for all, 0 for no list.
        capture: the path of the capture of the block; empty if none was kept.
    """
    first = (_using(subject, excess) for excess in verdict.excesses)
    leaked = (f"{printable(subject)} was {line}" for line in leaks_of(verdict))
    details = _details(measurement, verdict, n_frames, n_allocations, capture)
    return "\n".join([*first, *leaked, *details])


def _using(subject: str, excess: Excess) -> str:
    words = FIGURE_WORDS[excess.limit.figure]
    limit, measured = _limit_and_measured(excess)
    return f"{printable(subject)} is using {measured}{words.what} out of limit of {limit}{words.of}"


def exceeded_message(
    subject: str,
    measurement: Measurement,
    verdict: Verdict,
    *,
    n_frames: int = N_FRAMES,
    capture: str = "",
) -> str:
    """Return the whole message of an exceeded budget, for an exception; see the two above."""
    details = _details(measurement, verdict, n_frames, N_ALLOCATIONS, capture)
    return "\n".join([exceeded_line(subject, verdict), *details])


def _limit_and_measured(excess: Excess) -> tuple[str, str]:
    """Return the limit and what was measured as text; in bytes if they would look the same."""
    figure = excess.limit.figure
    limit, measured = _shown(figure, excess.limit.maximum), _shown(figure, excess.measured)
    if limit == measured:
        return _exact(figure, excess.limit.maximum), _exact(figure, excess.measured)
    return limit, measured


def _shown(figure: Figure, value: int) -> str:
    return _exact(figure, value) if figure == "n_allocations" else format_size(value)


def amount(figure: Figure, value: int) -> str:
    """Return the value of a figure, as a size or a plain number."""
    return f"{value:,}" if figure == "n_allocations" else format_size(value)


def limits_of(budget: Budget) -> Iterator[str]:
    """Yield the limits of a budget, in a few words each.

    Example:
        >>> from membudget import Limit
        >>> list(limits_of(Budget((Limit("peak_bytes", 1024), Limit("n_allocations", 5000)))))
        ['peak 1.0KiB', '5,000 allocations']
    """
    for limit in budget.limits:
        words = limit.figure.removesuffix("_bytes")
        value = amount(limit.figure, limit.maximum)
        yield f"{value} allocations" if words == "n_allocations" else f"{words} {value}"
    if budget.leaks is not None:
        yield f"leaks {format_size(budget.leaks.maximum)}"
    if budget.objects is not None:
        yield "no leaked objects"


def _exact(figure: Figure, value: int) -> str:
    return counted(value, "allocation" if figure == "n_allocations" else "byte")


def counted(n: int, what: str) -> str:
    """Return a number and what it counts.

    Example:
        >>> counted(1, "byte"), counted(1300, "byte")
        ('1 byte', '1,300 bytes')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _details(
    measurement: Measurement,
    verdict: Verdict,
    n_frames: int,
    n_allocations: int | None,
    capture: str,
) -> Iterator[str]:
    figures = [excess.limit.figure for excess in verdict.excesses]
    for excess in verdict.excesses:
        yield _exactly(excess)
    yield from origin_lines(verdict)
    yield from _new_since_baseline(measurement, verdict)
    if capture or verdict.capture:
        yield capture_line(capture or verdict.capture)
    yield from _others(measurement, verdict)
    yield from _imports(measurement, verdict)
    listed = measurement.retained if figures == ["retained_bytes"] else measurement.allocations
    arena_bytes = sum(one.arena_bytes for one in listed) if figures else 0
    if arena_bytes:
        yield arena_words(arena_bytes)
    if measurement.unseen:
        yield f"Not counted: {unseen_words(measurement)}"
    if n_allocations == 0:
        return
    if measurement.stacks_problem:
        yield no_stacks(measurement)
        return
    if verdict.leaks:
        yield "List of leaked allocations: "
        yield from allocation_lines(verdict.leaks, n_frames, n_allocations)
    if verdict.leaked_objects:
        yield "List of leaked objects: "
        yield from object_lines(verdict.leaked_objects, n_frames, n_allocations)
    if figures not in ([], ["retained_bytes"]):
        # There are no lists for the total and the count: what was alive at the peak explains most.
        yield "List of allocations: " if "peak_bytes" in figures else "Alive at the peak: "
        yield from allocation_lines(measurement.allocations, n_frames, n_allocations)
    if "retained_bytes" in figures:
        yield "Still alive at the end: "
        yield from allocation_lines(measurement.retained, n_frames, n_allocations)
    if measurement.lost_stacks:
        yield LOST_STACKS


def with_figure(test: str, figure: Figure) -> str:
    """Return the name of a test, and which figure of it is meant, unless it is the peak.

    Example:
        >>> with_figure("test_load", "peak_bytes"), with_figure("test_load", "total_bytes")
        ('test_load', 'test_load (total)')
    """
    return test if figure == "peak_bytes" else f"{test} ({KIND_NAMES[figure]})"


def capture_command(path: str) -> str:
    """Return the command that shows a capture."""
    return f"memray flamegraph {quote(path)}"


def capture_line(path: str) -> str:
    """Return a line with a command that shows a capture.

    Example:
        >>> capture_line("kept/test a.bin")
        "Its capture: memray flamegraph 'kept/test a.bin'"
    """
    return f"Its capture: {printable(capture_command(shown_path(path)))}"


def origin_lines(verdict: Verdict) -> Iterator[str]:
    """Yield a line that says where the exceeded limits are written, if that is known."""
    budget = verdict.budget
    origins = [excess.limit.origin for excess in verdict.excesses]
    if verdict.leaks and budget.leaks is not None:
        origins.append(budget.leaks.origin)
    if verdict.leaked_objects and budget.objects is not None:
        origins.append(budget.objects.origin)
    known = dict.fromkeys(filter(None, origins))
    if known:
        yield f"The limit is written in {' and in '.join(map(printable, known))}"


def _new_since_baseline(measurement: Measurement, verdict: Verdict) -> Iterator[str]:
    """Yield a line with the functions that have more memory than in the baseline."""
    baseline = [one for excess in verdict.excesses for one in excess.limit.baseline]
    if not (baseline and measurement.allocations):
        return
    before = {key_of(one.stack[0]): one.size_bytes for one in baseline if one.stack}
    grown = []
    for one in sites_of(measurement.allocations):
        more = one.size_bytes - (before.get(key_of(one.stack[0]), 0) if one.stack else 0)
        if one.stack and more * 100 >= measurement.peak_bytes:
            frame = one.stack[0]
            place = printable(f"{frame.function} ({shown_path(frame.filename)}:{frame.lineno})")
            grown.append((more, f"{place} +{format_size(more)}"))
    grown.sort(key=lambda one: -one[0])
    if grown:
        yield f"New since the baseline: {', '.join(text for _, text in grown[:N_NEW])}"


def blamed_allocations(measurement: Measurement, verdict: Verdict) -> tuple[Allocation, ...]:
    """Return the allocations that explain best why limits were exceeded, largest first."""
    figures = [excess.limit.figure for excess in verdict.excesses]
    if figures in ([], ["retained_bytes"]):
        return verdict.leaks or measurement.retained
    return measurement.allocations


def _others(measurement: Measurement, verdict: Verdict) -> Iterator[str]:
    """Yield how much other threads and tasks allocated, if that is more than a hundredth."""
    alive = blamed_allocations(measurement, verdict)
    least = sum(one.size_bytes for one in alive) / 100
    in_threads = sum(one.other_threads_bytes for one in alive)
    in_tasks = sum(one.other_tasks_bytes for one in alive)
    if in_threads > least:
        yield (
            f"Other threads allocated {format_size(in_threads)} of it: current_thread_only=True "
            f"counts only the thread of the block"
        )
    if in_tasks > least:
        yield (
            f"Other tasks or callbacks of the event loop allocated {format_size(in_tasks)} of it: "
            f"they count as well, so run the block while no other task runs"
        )


def _imports(measurement: Measurement, verdict: Verdict) -> Iterator[str]:
    """Yield how much comes from imports, if that is more than a hundredth."""
    alive = blamed_allocations(measurement, verdict)
    imported = sum(
        one.size_bytes
        for one in alive
        if any(frame.filename.startswith(_IMPORT_SYSTEM) for frame in one.stack)
    )
    if imported * 100 > sum(one.size_bytes for one in alive):
        yield (
            f"{format_size(imported)} of it comes from imports, which run only once in a process: "
            f"import these modules earlier"
        )


def _exactly(excess: Excess) -> str:
    figure, maximum = excess.limit.figure, excess.limit.maximum
    percent = f" ({100 * excess.over / maximum:.1f}%)" if maximum else ""
    exactly = f"{_exact(figure, excess.measured)} {FIGURE_WORDS[figure].exactly}".rstrip()
    return (
        f"Exactly {exactly}, {_exact(figure, excess.over)}{percent} over the limit of "
        f"{_exact(figure, maximum)}"
    )


def allocation_lines(
    allocations: tuple[Allocation, ...], n_frames: int, n_allocations: int | None
) -> Iterator[str]:
    """Yield the largest of some allocations with their stacks, and the sum of the others.

    Args:
        allocations: largest first.
        n_frames: how many frames of each stack to show, see :func:`caller_lines`.
        n_allocations: how many allocations to list; None for all.
    """
    shown = allocations[:n_allocations]
    if n_allocations is not None:
        all_bytes = sum(allocation.size_bytes for allocation in allocations)
        shown = tuple(one for one in shown if one.size_bytes * _NOISE >= all_bytes)
    for allocation in shown:
        yield f"\t- {site_of(allocation)} -> {format_size(allocation.size_bytes)}"
        yield from caller_lines(allocation.stack, n_frames)
    if len(allocations) > len(shown):
        rest = allocations[len(shown) :]
        n_bytes = sum(allocation.size_bytes for allocation in rest)
        yield f"\t- and {len(rest)} more -> {format_size(n_bytes)}"


def caller_lines(stack: tuple[Frame, ...], n_frames: int) -> Iterator[str]:
    """Yield the callers of the innermost frame; several frames of libraries in a row are one line.

    A stack that is only in libraries is shown as it is.

    Args:
        stack: innermost frame first.
        n_frames: how many frames to show, with the innermost one.
    """
    folds = not all(map(library_of, stack))
    left = n_frames - 1
    for in_library, group in groupby(stack[1:], key=lambda frame: bool(library_of(frame))):
        frames = list(group)
        if left <= 0:
            return
        if in_library and folds and len(frames) > 1:
            libraries = list(dict.fromkeys(map(library_of, frames)))
            names = ", ".join(libraries[:_N_LIBRARIES])
            more = ", ..." if len(libraries) > _N_LIBRARIES else ""
            yield f"\t    ... {len(frames)} frames in {printable(names)}{more}"
            continue
        for frame in frames[:left]:
            yield f"\t    called by {place_of(frame)}"
        left -= len(frames)


def object_lines(
    objects: tuple[LeakedObjects, ...], n_frames: int, n_allocations: int | None
) -> Iterator[str]:
    """Yield some of the objects that were left behind; see :func:`allocation_lines`."""
    shown = objects[:n_allocations]
    for one in shown:
        kind, example = printable(one.type_name), printable(one.example)
        yield f"\t- {one.n_objects:,} {kind}, such as {example}"
        if one.stack:
            yield f"\t    made by {place_of(one.stack[0])}"
            yield from caller_lines(one.stack, n_frames)
    if len(objects) > len(shown):
        n_objects = sum(one.n_objects for one in objects[len(shown) :])
        yield f"\t- and {n_objects:,} more"


def site_of(allocation: Allocation) -> str:
    """Return where memory was allocated: function, file and line."""
    return place_of(allocation.stack[0]) if allocation.stack else "<outside of Python code>"


def no_stacks(measurement: Measurement) -> str:
    """Return a line that says why there are no stack traces of a measurement."""
    return f"The stack traces could not be read: {printable(measurement.stacks_problem)}"


def place_of(frame: Frame) -> str:
    """Return where a frame is: function, file and line.

    The code of an adapter is named by what it does. Calling a test allocates a little before the
    first frame of the test begins: its arguments, for example.
    """
    if any(part in frame.filename for part in _OF_ADAPTERS):
        return "<the call of the test>"
    return printable(f"{frame.function}:{frame.filename}:{frame.lineno}")
