"""The properties of a test in JUnit XML, that of membudget and of other tools."""

from __future__ import annotations

from typing import get_args

from ..measurement import Figure, Measurement
from ..verdict import Verdict


def junit_properties(measurement: Measurement, verdict: Verdict) -> dict[str, int | str]:
    """Return the figures, the limits and the verdict of a test, by the names of JUnit properties.

    Example:
        >>> from membudget.testing import make_measurement, make_result
        >>> result = make_result("test_load", make_measurement(120), 100)
        >>> found = junit_properties(result.measurement, result.verdict)
        >>> found["memray_peak_bytes"], found["memray_limit_peak_bytes"], found["memray_verdict"]
        (120, 100, 'exceeded')
    """
    budget = verdict.budget
    figures: tuple[Figure, ...] = get_args(Figure)
    found: dict[str, int | str] = {
        **{f"memray_{figure}": getattr(measurement, figure) for figure in figures},
        **{f"memray_limit_{limit.figure}": limit.maximum for limit in budget.limits},
    }
    if budget.leaks is not None:
        found["memray_limit_leaks"] = budget.leaks.maximum
    if budget.objects is not None:
        found["memray_leaked_objects"] = sum(one.n_objects for one in verdict.leaked_objects)
    if budget.limits_anything:
        found["memray_verdict"] = "within" if verdict.within else "exceeded"
    return found
