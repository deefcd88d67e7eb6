"""Helpers for tests of code that uses membudget: results without a recording."""

from __future__ import annotations

from .budget import Budget, Limit
from .measurement import Allocation, Frame, Measurement
from .verdict import Result, judge


def make_measurement(
    *sizes: int, site: tuple[str, str, int] = ("load", "app.py", 7)
) -> Measurement:
    """Return the measurement of a block that made allocations of ``sizes`` and kept them all.

    Args:
        sizes: the size of each allocation, in bytes.
        site: the function, file and line that made them.

    Example:
        >>> make_measurement(100, 20).peak_bytes
        120
    """
    histogram = [0] * (max((size.bit_length() for size in sizes), default=-1) + 1)
    for size in sizes:
        histogram[size.bit_length()] += 1
    n_bytes = sum(sizes)
    allocations = (Allocation(n_bytes, len(sizes), (Frame(*site),)),) if sizes else ()
    return Measurement(n_bytes, n_bytes, len(sizes), n_bytes, tuple(histogram), allocations)


def make_result(name: str, measurement: Measurement, limit_bytes: int | None = None) -> Result:
    """Return ``measurement`` judged by a limit on the peak, under a name.

    Example:
        >>> make_result("test_load", make_measurement(100), 50).verdict.within
        False
    """
    limits = () if limit_bytes is None else (Limit("peak_bytes", limit_bytes),)
    return Result(name, measurement, judge(measurement, Budget(limits)))
