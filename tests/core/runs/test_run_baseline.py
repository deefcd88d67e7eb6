"""The baseline of a run: what the report says of it."""

from __future__ import annotations

from pathlib import Path

from membudget.runs import Settings, Tolerance
from membudget.runs.baseline import RunBaseline
from membudget.testing import make_measurement, make_result


def baseline_of(directory: Path, *modes: str) -> RunBaseline:
    settings = Settings(
        memray_baseline=directory,
        memray_tolerance=Tolerance(10),
        memray_update_baseline=modes,  # type: ignore[arg-type]
    )
    return RunBaseline(settings, str(directory))


def test_growth_in_small_steps_is_reported(tmp_path: Path) -> None:
    """Each step is accepted as worse, or is within the tolerance; together they are more."""
    for peak in (1000, 1200):
        baseline_of(tmp_path, "all").finish([make_result("t", make_measurement(peak))], ())
    run = baseline_of(tmp_path)
    run.finish([make_result("t", make_measurement(1210))], ())
    assert [line.text for line in run.lines()] == [
        "Grown since they came into the baseline: t 1000.0B -> 1.2KiB"
    ]


def test_names_of_tests_cannot_control_the_terminal(tmp_path: Path) -> None:
    """A test's parameters can hold anything."""
    name = "test[\x1b[2J]"
    results = [make_result(name, make_measurement(1000))]
    run = baseline_of(tmp_path, "new")
    run.finish(results, ())
    lines = [*run.lines()]
    run = baseline_of(tmp_path)
    run.finish([make_result(name, make_measurement(10))], ())
    lines += run.lines()
    assert len(lines) == 2
    assert "\x1b" not in "".join(line.text for line in lines)
