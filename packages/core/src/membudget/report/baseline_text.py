"""How a run compares with its baseline, as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..results.baseline import Baseline, Changes
from ..sizes import format_size
from ..tolerance import Tolerance
from .printable import printable
from .run_text import Line, named


def baseline_lines(
    baseline: Baseline,
    changes: Changes,
    written: Changes,
    peaks: Mapping[str, int],
    tolerance: Tolerance,
) -> Iterator[Line]:
    """Yield what differs from a baseline, and what was written into it.

    Args:
        baseline: the baseline, as it was before.
        changes: how the run differs from it.
        written: the changes that were written.
        peaks: the peak of each test that ended.
        tolerance: by how much a peak may differ.
    """

    def sizes(name: str) -> str:
        before = baseline.entries[name].peak_bytes
        return f"{printable(name)} {format_size(before)} -> {format_size(peaks[name])}"

    if changes.better:
        better = named([sizes(name) for name in changes.better])
        yield Line(f"Better than the baseline: {better}{_is_written(written.better)}")
    if written.worse:
        worse = named([sizes(name) for name in written.worse])
        yield Line(f"Worse than the baseline: {worse}{_is_written(written.worse)}", "near")
    drifted = [
        f"{printable(name)} {format_size(entry.first_bytes)} -> {format_size(peaks[name])}"
        for name, entry in baseline.entries.items()
        if name in peaks
        and name not in changes.better
        and not tolerance.covers(
            "peak_bytes", entry.first_bytes, max(entry.first_bytes, peaks[name])
        )
    ]
    if drifted:
        yield Line(f"Grown since they came into the baseline: {named(drifted)}", "near")
    if changes.new:
        yield Line(f"Without a baseline: {named_tests(changes.new)}{_is_written(written.new)}")
    if changes.gone:
        done = ", taken out" if written.gone else ""
        yield Line(f"Gone since the baseline: {named_tests(changes.gone)}{done}")


def named_tests(names: Iterable[str]) -> str:
    """Return the names of some tests in a line; see :func:`named`."""
    return named([printable(name) for name in names])


def _is_written(names: tuple[str, ...]) -> str:
    return ", written" if names else ""
