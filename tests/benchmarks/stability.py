"""Whether the same work gives the same figures: ten workloads, ten times each, in shuffled order.

    uv run --with pytest-memray python tests/benchmarks/stability.py

Runs them under pytest three ways, each one after the other and once with two processes: as it is,
with ``--memray-stable``, and with pytest-memray. The table shows the smallest and the largest peak
of each workload, and how far they are apart. ``--page`` writes it into ``docs/stable.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import memray
from documents import REPOSITORY, table, with_measured
from stability_workloads import WORKLOADS

HERE = Path(__file__).parent
SUITE = """
import os
import random
import pytest
from stability_workloads import WORKLOADS

RUNS = [(work.__name__, n) for work in WORKLOADS for n in range({repetitions})]
random.Random(os.environ["ORDER"]).shuffle(RUNS)
BY_NAME = {{work.__name__: work for work in WORKLOADS}}

@pytest.mark.parametrize("name, n", RUNS, ids=[f"{{name}}-{{n}}" for name, n in RUNS])
def test(name, n):
    BY_NAME[name]()
"""
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly")
OURS = (*PYTEST, "-p", "no:memray", "--memray")
MODES = {
    "default": (*OURS, "--memray-json=m.json"),
    "stable": (*OURS, "--memray-stable", "--memray-json=m.json"),
    "pytest-memray": (*PYTEST, "-p", "no:membudget", "--memray", "--memray-bin-path=kept"),
}
ORDERS: list[tuple[str, ...]] = [(), ("-n", "2")]


def peaks_of(directory: Path) -> Iterator[tuple[str, int]]:
    """Yield the name of a workload and its peak, for each test of a run."""
    results = directory / "m.json"
    if results.exists():
        for one in json.loads(results.read_text())["results"]:
            yield workload_of(one["name"]), one["measurement"]["peak_bytes"]
    for capture in directory.glob("kept/*.bin"):
        yield workload_of(capture.name), memray.FileReader(capture).metadata.peak_memory


def workload_of(test: str) -> str:
    return next(work.__name__ for work in WORKLOADS if re.search(rf"{work.__name__}-\d", test))


def run(mode: str, repetitions: int) -> dict[str, list[int]]:
    """Run the suite in every order, and return the peaks of each workload."""
    peaks: dict[str, list[int]] = {work.__name__: [] for work in WORKLOADS}
    for order, options in enumerate(ORDERS):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            (directory / "test_it.py").write_text(SUITE.format(repetitions=repetitions))
            done = subprocess.run(
                [*MODES[mode], *options],
                cwd=directory,
                env={**os.environ, "PYTHONPATH": str(HERE), "ORDER": f"{mode} {order}"},
                capture_output=True,
                encoding="utf-8",
            )
            if done.returncode:
                raise SystemExit(done.stdout + done.stderr)
            for workload, peak in peaks_of(directory):
                peaks[workload].append(peak)
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--page", action="store_true", help="write the table into docs/stable.md")
    parser.add_argument("modes", nargs="*", default=list(MODES))
    given = parser.parse_args()
    if given.page and given.modes != list(MODES):
        parser.error("--page needs all modes")
    measured = {mode: run(mode, given.repetitions) for mode in given.modes}
    rows = []
    for work in WORKLOADS:
        cells = []
        for mode in given.modes:
            peaks = measured[mode][work.__name__]
            assert len(peaks) == given.repetitions * len(ORDERS), (mode, work, peaks)
            apart = 100 * (max(peaks) - min(peaks)) / min(peaks)
            cells.append(f"{min(peaks):,} to {max(peaks):,}: {apart:.3f}%")
        rows.append([work.__name__.removeprefix("work_"), *cells])
    measured_table = table(["workload", *given.modes], rows)
    print(measured_table)
    if given.page:
        versions = f"CPython {platform.python_version()}, memray {version('memray')}"
        text = (
            f"{len(WORKLOADS)} kinds of work were measured {2 * given.repetitions} times each: "
            f"{given.repetitions} times in shuffled order in one process, and {given.repetitions} "
            "times with pytest-xdist in two. The table shows the smallest and the largest peak in "
            f"bytes, and the difference between them ({versions}).\n\n{measured_table}"
        )
        page = REPOSITORY / "docs/stable.md"
        page.write_text(with_measured(page.read_text(), "repeat", text))


if __name__ == "__main__":
    main()
