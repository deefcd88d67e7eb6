"""Figures of the benchmarks -> the tables of the documents, and the chart."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from chart import chart
from documents import REPOSITORY, table, with_measured
from figures import (
    CAPTURES,
    HOOK,
    LEAKS,
    LIMIT,
    NATIVE,
    NO_LIMIT,
    NOT_MEASURED,
    OBJECTS,
    ONLY,
    OURS,
    PLAIN,
    STABLE,
    THEIRS,
    TOOLS,
    TRACKER,
    Figures,
    Workload,
)

DATA: Final = REPOSITORY / "docs/performance.json"
CHART: Final = REPOSITORY / "docs/pictures/performance.svg"
PICTURE: Final = "![The time that measuring adds to a test](pictures/performance.svg)"
NAMES: Final = {
    "large": "one large test",
    "fixture": "tests with heavy fixtures",
    "kept": "small objects that are kept",
    "dropped": "small objects that are dropped",
}


def number(value: float, unit: str) -> str:
    return f"{value:.{1 if abs(value) >= 1 else 2}f} {unit}"


def added_table(workload: Workload, *, scale: float, unit: str) -> str:
    """Return what each tool adds to a test in each mode, and how it compares with pytest-memray."""
    tools = [tool for tool in TOOLS if any(workload.has(mode, tool) for mode in workload.seconds)]
    rows = []
    for mode in workload.seconds:
        if mode == NOT_MEASURED:
            continue
        cells = [
            number(workload.added(mode, tool) * scale, unit) if workload.has(mode, tool) else ""
            for tool in tools
        ]
        rows.append([mode, *cells, f"{added_ratio(workload, mode):.2f}"])
    return table(["mode", *tools, "ratio"], rows)


def added_ratio(workload: Workload, mode: str) -> float:
    """Return what we add, of what pytest-memray adds: in the same mode, or else with a limit."""
    other = mode if workload.has(mode, THEIRS) else LIMIT
    return workload.added(mode, OURS) / workload.added(other, THEIRS)


def wholes(workload: Workload) -> str:
    """Return the time of the process with each tool, in the order in which they were measured."""
    return ", ".join(
        f"{tool} {workload.whole(mode, tool):.2f} s"
        for mode, tools in workload.seconds.items()
        for tool in tools
    )


ADDED_TO_A_SMALL_TEST: Final = {
    NO_LIMIT: 0.05,
    LIMIT: 0.06,
    OBJECTS: 0.08,
    ONLY: 0.08,
    HOOK: 0.08,
    STABLE: 0.2,
    LEAKS: 0.15,
    NATIVE: 0.2,
    CAPTURES: 0.3,
}
"""The largest ratio to reach, of pytest-memray in the same mode or with a limit."""

WHOLE_TIME: Final = (
    ("large", NO_LIMIT, 1.0),
    ("fixture", NO_LIMIT, 1.0),
    ("kept", OBJECTS, 0.8),
    ("dropped", OBJECTS, 0.9),
)
"""The largest ratio to reach, of pytest-memray."""

OF_THE_TRACKER: Final = 1.5
"""The largest ratio to reach of what memray's tracker adds, with two cores."""

NESTED_MICROSECONDS: Final = 30


def goals(figures: Figures) -> Iterator[tuple[str, float, float]]:
    """Yield what is to be reached, what was measured, and the largest value allowed."""
    workloads = figures.workloads
    if "small" in workloads:
        for mode, most in ADDED_TO_A_SMALL_TEST.items():
            ratio = added_ratio(workloads["small"], mode)
            yield f"added to a small test, of that of pytest-memray: {mode}", ratio, most
    for name, mode, most in WHOLE_TIME:
        if name in workloads:
            ratio = workloads[name].whole(mode, OURS) / workloads[name].whole(mode, THEIRS)
            yield f"whole time, of that with pytest-memray: {NAMES[name]}", ratio, most
    for name, mode in (("large", NO_LIMIT), ("kept", OBJECTS), ("dropped", OBJECTS)):
        if name in workloads:
            ratio = workloads[name].added(mode, OURS) / workloads[name].added(mode, TRACKER)
            yield f"added, of that of memray's tracker: {NAMES[name]}", ratio, OF_THE_TRACKER
    for blocks in figures.blocks:
        microseconds = blocks.nested_seconds * 1e6
        yield "a block inside another one, in microseconds", microseconds, NESTED_MICROSECONDS


def sections(figures: Figures) -> Iterator[str]:
    """Yield the page's parts, those that were measured."""
    made_with = dict(figures.made_with)
    date, cores = made_with.pop("date"), made_with.pop("cores")
    system, processor = made_with.pop("system"), made_with.pop("processor")
    versions = ", ".join(f"{name} {version}" for name, version in made_with.items())
    yield (
        f"Measured on {date} with {versions}, on {system} with {cores} cores ({processor}). Each "
        f"figure is the time of the fastest of {figures.rounds} rounds, in which all commands of a "
        "table take turns."
    )
    for name, section in (
        ("small", small_tests),
        ("large", large_test),
    ):
        if name in figures.workloads:
            yield section(figures.workloads[name])
    if "kept" in figures.workloads:
        yield "## Millions of small objects"
    for name in ("kept", "dropped"):
        if name in figures.workloads:
            yield small_objects(figures.workloads[name], name)
    if "fixture" in figures.workloads:
        yield (
            "## Tests with heavy fixtures\n\nFour tests, each with a fixture that takes long, "
            f"whole time: {wholes(figures.workloads['fixture'])}."
        )
    if figures.blocks or figures.growth or "many" in figures.workloads:
        yield "## As the work grows"
    if "many" in figures.workloads:
        many = figures.workloads["many"]
        added = number(many.added(NO_LIMIT, OURS) * 1e3, "ms")
        yield f"{many.n_tests:,} small tests without a limit: {added} added to each."
    if figures.growth:
        yield table(
            ["records in one block", "time a record", "more memory", "disk a record"],
            (
                [
                    f"{one.n_records:,}",
                    f"{one.seconds / one.n_records * 1e6:.2f} us",
                    f"{one.memory_bytes / 2**20:.1f} MiB",
                    f"{one.disk_bytes / one.n_records:.1f} bytes",
                ]
                for one in figures.growth
            ),
        )
    for blocks in figures.blocks:
        yield (
            f"A block inside another one takes {blocks.nested_seconds * 1e6:.0f} us; a start and "
            f"stop of memray's tracker takes {blocks.tracker_seconds * 1e3:.1f} ms."
        )
    if found := list(goals(figures)):
        yield "## Goals"
        yield table(
            ["goal", "measured", "at most", "reached"],
            (
                [name, f"{value:.3g}", f"{most:g}", "yes" if value <= most else "no"]
                for name, value, most in found
            ),
        )


def small_tests(workload: Workload) -> str:
    return (
        f"## Small tests\n\n{workload.n_tests:,} small tests, in a process that has imported numpy "
        "and hypothesis. The table shows the time that is added to each test. The ratio compares "
        f"membudget with the same mode of pytest-memray, or with its limit where it has no such "
        f"mode.\n\n{added_table(workload, scale=1e3, unit='ms')}"
    )


def large_test(workload: Workload) -> str:
    plain = workload.whole(NOT_MEASURED, PLAIN)
    return (
        f"## One large test\n\nOne test that makes and frees {workload.size // 2:,} blocks of 600 "
        f"bytes. Without measuring, the process takes {plain:.2f} s. The table shows what is "
        f"added.\n\n{added_table(workload, scale=1, unit='s')}"
    )


def small_objects(workload: Workload, name: str) -> str:
    plain = workload.whole(NOT_MEASURED, PLAIN)
    return (
        f"{workload.size:,} records of {NAMES[name]}. Without measuring, the process takes "
        f"{plain:.2f} s. Added to that:\n\n{added_table(workload, scale=1, unit='s')}"
    )


def all_tables(figures: Figures) -> str:
    return "\n\n".join(sections(figures)) + "\n"


def stable_costs(figures: Figures) -> str:
    """Return the table of docs/stable.md, and what it shows."""
    small, kept = figures.workloads["small"], figures.workloads["kept"]
    rows = (
        ("`--memray`", LIMIT, OURS),
        ("`--memray --trace-python-allocators`", OBJECTS, OURS),
        ("`--memray --memray-stable`", STABLE, OURS),
        ("pytest-memray, `--trace-python-allocators`", OBJECTS, THEIRS),
    )
    costs = table(
        ["", "a small test", f"{kept.size:,} records"],
        (
            [
                name,
                number(small.added(mode, tool) * 1e3, "ms"),
                number(kept.added(mode, tool), "s"),
            ]
            for name, mode, tool in rows
        ),
    )
    return (
        f"The table shows what is added to each of {small.n_tests:,} small tests in a process that "
        "has imported numpy and hypothesis, and to one test that makes objects and keeps them, "
        f"within its limit ([performance](performance.md)):\n\n{costs}"
    )


def small_test_sentence(figures: Figures) -> str:
    """Return the sentence of the README."""
    small = figures.workloads["small"]
    ours, theirs = (number(small.added(NO_LIMIT, tool) * 1e3, "ms") for tool in (OURS, THEIRS))
    return textwrap.fill(
        f"`pytest --memray` adds {ours} to a small test; pytest-memray adds {theirs} "
        "([performance](docs/performance.md) has the machine, the versions and every mode).",
        120,
    )


def documents(figures: Figures) -> Iterator[tuple[Path, str]]:
    """Yield each file that has measured figures, and what it is to hold."""
    for path, name, text in (
        ("docs/performance.md", "figures", f"{PICTURE}\n\n{all_tables(figures).strip()}"),
        ("docs/stable.md", "cost", stable_costs(figures)),
        ("README.md", "small test", small_test_sentence(figures)),
    ):
        file = REPOSITORY / path
        yield file, with_measured(file.read_text(), name, text)
    yield CHART, chart(figures)


def write_documents(figures: Figures) -> None:
    for file, text in documents(figures):
        file.write_text(text)
