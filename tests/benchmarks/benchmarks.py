"""What measuring costs: every mode, beside pytest-memray, pytest-benchmem and memray's tracker.

    uv run --with pytest-memray --with pytest-benchmem python tests/benchmarks/benchmarks.py

Whole processes take turns, so that a busy machine is busy for all of them. The tables show the time
of the fastest round, by the clock. With ``--page``, all figures are kept in docs/performance.json,
and the tables of the documents and the chart are made from that file; ``--redraw`` only makes these
again. Three rounds take 20 minutes on a quiet machine, and ``--rounds 1`` a third of that.
``--quick`` runs small tests, to try the script.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Final

import suites
from commands import by_turns
from figures import (
    LIMIT,
    NO_LIMIT,
    NOT_MEASURED,
    OBJECTS,
    OURS,
    PLAIN,
    STABLE,
    THEIRS,
    Blocks,
    Figures,
    Growth,
    Workload,
    read_figures,
)
from modes import MODES, pytest_with, suite_in, text_of
from performance_page import DATA, all_tables, write_documents

VERSIONS: Final = ("memray", "pytest", "pytest-memray", "pytest-benchmem")
ALL: Final = tuple((mode, tool) for mode, tools in MODES.items() for tool in tools)


class Benchmarks:
    """Each public method measures one part of the figures."""

    def __init__(self, directory: Path, rounds: int, scale: float) -> None:
        self._directory = directory
        self._rounds = rounds
        self._scale = scale

    def _n(self, n: int) -> int:
        return max(20, int(n * self._scale))

    def _workload(
        self,
        workload: Workload,
        work: str,
        sides: Iterable[tuple[str, str]] = ALL,
        *,
        conftest: str = "",
    ) -> Workload:
        """Measure the same tests in some modes, each with some tools."""
        commands = {}
        for mode, tool in sides:
            side = MODES[mode][tool]
            suite = suite_in(
                Path(tempfile.mkdtemp(dir=self._directory)),
                text_of(work, tool, side, workload),
                conftest + side.conftest,
            )
            commands[mode, tool] = pytest_with(tool, side, suite)
        for (mode, tool), seconds in by_turns(commands, self._rounds).items():
            workload.seconds.setdefault(mode, {})[tool] = seconds
        return workload

    def small(self, figures: Figures) -> None:
        """Small tests, in a process that has imported numpy and hypothesis."""
        figures.workloads["small"] = self._workload(
            Workload(self._n(1000), 0), suites.LITTLE, conftest=suites.LIBRARIES
        )

    def many(self, figures: Figures) -> None:
        """Thousands of small tests: whether a test costs more the more there are."""
        sides = ((NOT_MEASURED, PLAIN), (NO_LIMIT, OURS))
        figures.workloads["many"] = self._workload(Workload(self._n(5000), 0), suites.LITTLE, sides)

    def large(self, figures: Figures) -> None:
        """One test with many blocks of memory."""
        figures.workloads["large"] = self._workload(
            Workload(1, self._n(3_000_000)), suites.DROPPED_BLOCKS
        )

    def objects(self, figures: Figures) -> None:
        """One test with millions of small objects, which it keeps or drops."""
        modes = (NOT_MEASURED, LIMIT, OBJECTS, STABLE)
        sides = [(mode, tool) for mode, tool in ALL if mode in modes]
        for name, work in (("kept", suites.KEPT_OBJECTS), ("dropped", suites.DROPPED_OBJECTS)):
            workload = Workload(1, self._n(3_000_000))
            figures.workloads[name] = self._workload(workload, work, sides)

    def fixture(self, figures: Figures) -> None:
        """Light tests, each with a fixture that is long and pure Python."""
        sides = ((NOT_MEASURED, PLAIN), (NO_LIMIT, OURS), (NO_LIMIT, THEIRS))
        figures.workloads["fixture"] = self._workload(
            Workload(4, self._n(4_000_000)), suites.HEAVY_FIXTURE, sides
        )

    def blocks(self, figures: Figures) -> None:
        """A block inside a running recording, and a start of the tracker."""
        figures.blocks.append(Blocks(*self._script(suites.BLOCKS_IN_ONE_RECORDING)))

    def growth(self, figures: Figures) -> None:
        """One block, with more and more records."""
        for n in map(self._n, (10_000, 100_000, 1_000_000, 10_000_000)):
            seconds, memory, disk = self._script(suites.GROWTH, str(n))
            figures.growth.append(Growth(n, seconds, int(memory), int(disk)))

    def _script(self, text: str, *arguments: str) -> list[float]:
        """Run a script, and return the numbers that it prints."""
        command = [sys.executable, "-c", text, *arguments]
        done = subprocess.run(
            command, cwd=self._directory, stdout=subprocess.PIPE, check=True, text=True
        )
        numbers: list[float] = json.loads(done.stdout)
        return numbers


PARTS: Final[dict[str, Callable[[Benchmarks, Figures], None]]] = {
    name: method for name, method in vars(Benchmarks).items() if not name.startswith("_")
}


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def made_with() -> dict[str, str]:
    """Return when and with what the figures were made."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "CPython": platform.python_version(),
        **{name: version(name) for name in VERSIONS},
    }


def measure(parts: Iterable[str], rounds: int, scale: float) -> Figures:
    figures = Figures(made_with(), rounds)
    with tempfile.TemporaryDirectory() as directory:
        # Runs each tool in each mode, which writes compiled files.
        Benchmarks(Path(directory), 1, 0).small(Figures({}, 1))
    for part in parts:
        print(f"measuring: {part}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as directory:
            PARTS[part](Benchmarks(Path(directory), rounds, scale), figures)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none is named"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small tests, to try the script")
    parser.add_argument("--page", action="store_true", help="write the figures to docs/")
    parser.add_argument(
        "--redraw", action="store_true", help="make tables and chart again, without measuring"
    )
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if given.page and given.parts:
        parser.error("--page needs all parts: its figures are those of one run")
    if not given.redraw:
        figures = measure(given.parts or PARTS, given.rounds, 0.02 if given.quick else 1.0)
        print(all_tables(figures))
        if given.page:
            figures.write(DATA)
    if given.page or given.redraw:
        write_documents(read_figures(DATA))


if __name__ == "__main__":
    main()
