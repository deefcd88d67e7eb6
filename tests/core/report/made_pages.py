"""Runs of many tests, for pages: some are over their limits, tight, loose, blind or without one."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hostile_names import HOSTILE
from membudget import (
    Allocation,
    Budget,
    Curve,
    Frame,
    LeakedObjects,
    LeakLimit,
    Limit,
    Measurement,
    ObjectLimit,
    Result,
    Scope,
    Unseen,
)
from membudget.results import Environment, RunFile
from membudget.verdict import judge

MB: Final = 1 << 20
ENVIRONMENT: Final = Environment(
    python="3.13.1",
    memray="1.20.0",
    settings=(("memray_bin_path", "/captures"), ("memray_bin_prefix", "run1")),
    root="/w/shop",
    branch="main",
    started_at="2026-11-29T10:19:54+00:00",
    duration_seconds=12.5,
)
_LIBRARY: Final = "/venv/lib/python3.13/site-packages/pandas/io.py"
# What the limit of a test is, as a part of what it used; None for no limit.
_PARTS: Final = (None, 0.5, 1.01, 40, 1.5, 1.5, None, 1.5, 1.5, 0.8)


def run_of(n_tests: int, *, factor: int = 1) -> RunFile:
    """Return a run of so many tests, in which each peak is multiplied by ``factor``."""
    return RunFile(ENVIRONMENT, tuple(_test(number, factor) for number in range(n_tests)))


def _test(number: int, factor: int) -> Result:
    file = f"tests/integration/orders/test_export_{number % 40}.py"
    name = f"test_export_streams_every_order_of_a_customer[{number}-utf-8]"
    peak = (number + 1) * 97_531
    part = _PARTS[number % len(_PARTS)]
    peak *= factor
    limits = () if part is None else (Limit("peak_bytes", int(peak / factor * part), f"{file}:9"),)
    seen = () if number % 30 != 4 else (Unseen("pyarrow", 900 * MB),)
    measurement = Measurement(peak, 3 * peak, number * 7, peak // 5, unseen=seen)
    verdict = judge(measurement, Budget(limits, Scope(stable=True)))
    if not verdict.within:
        rising = tuple(peak * (one + 1) // 90 for one in range(90))
        curve = Curve(20, (*rising, *(peak // 3 + one for one in range(30))))
        measurement = replace(measurement, allocations=_stacks(file, name, peak), curve=curve)
    outcome = "passed" if verdict.within else "failed"
    full_name = f"{file}::TestExport::{name}"
    return Result(full_name, measurement, verdict, outcome=outcome, file=file, line=number + 1)  # type: ignore[arg-type]


def _stacks(file: str, test: str, peak: int) -> tuple[Allocation, ...]:
    outer = Frame(test, file, 12)
    library = tuple(Frame(f"read_{depth}", _LIBRARY, 30 + depth) for depth in range(9))
    own = Frame("load", "shop/orders.py", 5)
    large, small = peak * 3 // 4, peak - peak * 3 // 4
    return (
        Allocation(large, 40, (*library, own, outer)),
        Allocation(small, 2, (Frame("keep", "shop/orders.py", 70), outer)),
    )


def hostile_run() -> RunFile:
    """Return a run in which every text is hostile."""
    results = []
    for text in HOSTILE:
        stack = (Frame(text, f"{text}.py", 3), Frame(text, text, 1))
        allocations = (Allocation(9000, 2, stack), Allocation(500, 1, ()))
        measurement = Measurement(
            *(9500, 9500, 3, 9500, (), allocations, allocations),
            leaked_objects=(LeakedObjects(text, 2, stack, text),),
            stacks_problem=text,
            unseen=(Unseen(text, 7),),
        )
        budget = Budget(
            (Limit("peak_bytes", 100, text), Limit("n_allocations", 0, text)),
            Scope(only=(text,)),
            LeakLimit(10, origin=text),
            ObjectLimit(origin=text),
        )
        verdict = judge(measurement, budget)
        results.append(Result(text, measurement, verdict, file=text, line=3, worker=text))
    environment = replace(
        ENVIRONMENT,
        root=f"/{HOSTILE[0]}",
        branch=HOSTILE[9],
        python=HOSTILE[11],
        memray=HOSTILE[25],
    )
    return RunFile(environment, tuple(results))
