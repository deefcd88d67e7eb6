"""A run for the GitHub action "Continuous Benchmark", as what it calls customSmallerIsBetter.

The form: https://github.com/benchmark-action/github-action-benchmark
"""

from __future__ import annotations

from json import dumps

from ..results.comparing import compared_figures
from .failure_text import amount, with_figure
from .overview import Overview
from .printable import printable


def benchmark_action_json(overview: Overview) -> str:
    """Return a run as JSON: the peak of each test, and what else it limits."""
    data = []
    for result in overview.run.results:
        for figure in compared_figures(result):
            limit = result.verdict.budget.limit_of(figure)
            entry = {
                "name": printable(with_figure(result.name, figure)),
                "unit": "allocations" if figure == "n_allocations" else "bytes",
                "value": getattr(result.measurement, figure),
            }
            if limit is not None:
                entry["extra"] = f"limit {amount(figure, limit.maximum)}"
            data.append(entry)
    return dumps(data, indent=1) + "\n"
