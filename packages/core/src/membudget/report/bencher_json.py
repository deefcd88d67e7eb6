"""A run in the Bencher Metric Format, for bencher.dev.

The form: https://bencher.dev/docs/reference/bencher-metric-format/
"""

from __future__ import annotations

from json import dumps
from typing import Final

from ..results.comparing import compared_figures
from .overview import Overview
from .printable import printable

_LONGEST_NAME: Final = 1024


def bencher_json(overview: Overview) -> str:
    """Return a run as JSON: the peak of each test, and what else it limits, such as peak-bytes."""
    data = {
        printable(one.name)[:_LONGEST_NAME]: {
            figure.replace("_", "-"): {"value": getattr(one.measurement, figure)}
            for figure in compared_figures(one)
        }
        for one in overview.run.results
    }
    return dumps(data, indent=1) + "\n"
