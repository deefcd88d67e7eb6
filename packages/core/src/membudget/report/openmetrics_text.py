"""A run as OpenMetrics text: for the metrics reports of GitLab, and for monitoring.

The form: https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from ..measurement import Figure
from ..results.comparing import compared_figures
from .overview import Overview, is_over
from .printable import printable


class _Family(NamedTuple):
    """The metrics of one figure."""

    name: str
    unit: str
    help: str


_FIGURES: Final[dict[Figure, _Family]] = {
    "peak_bytes": _Family("peak_bytes", "bytes", "Largest memory of a test at one time."),
    "total_bytes": _Family("total_bytes", "bytes", "All memory that a test allocated."),
    "n_allocations": _Family("allocations", "", "Number of allocations of a test."),
    "retained_bytes": _Family("retained_bytes", "bytes", "Memory that a test left behind."),
}
_OVER: Final = _Family("over_limit", "", "1 for a test that is over a limit, 0 for other tests.")


def openmetrics_text(overview: Overview) -> str:
    """Return a run as OpenMetrics text: the peak of each test, and what else it limits."""
    return "".join(f"{line}\n" for line in _lines(overview)) + "# EOF\n"


def _lines(overview: Overview) -> Iterator[str]:
    results = sorted(overview.run.results, key=lambda one: one.name)
    for figure, family in _FIGURES.items():
        shown = [one for one in results if figure in compared_figures(one)]
        used = {one.name: getattr(one.measurement, figure) for one in shown}
        yield from _family_lines(family, used)
        limits = {one.name: one.verdict.budget.limit_of(figure) for one in shown}
        maxima = {name: limit.maximum for name, limit in limits.items() if limit is not None}
        what = f"Limit of a test on memray_{family.name}."
        yield from _family_lines(_Family(f"limit_{family.name}", family.unit, what), maxima)
    yield from _family_lines(_OVER, {one.name: int(is_over(one)) for one in results})


def _family_lines(family: _Family, values: dict[str, int]) -> Iterator[str]:
    if not values:
        return
    name = f"memray_{family.name}"
    yield f"# TYPE {name} gauge"
    if family.unit:
        yield f"# UNIT {name} {family.unit}"
    yield f"# HELP {name} {family.help}"
    for test, value in values.items():
        yield f'{name}{{test="{_label(test)}"}} {value}'


def _label(test: str) -> str:
    # GitLab takes the rest of a line after a number sign for a comment, even inside quotes.
    text = printable(test).replace("#", r"\x23")
    return text.replace("\\", "\\\\").replace('"', '\\"')
