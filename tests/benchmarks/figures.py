"""What a run of the benchmarks has measured, as it is kept in docs/performance.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

# The tools.
OURS: Final = "membudget"
THEIRS: Final = "pytest-memray"
BENCHMEM: Final = "pytest-benchmem"
TRACKER: Final = "memray's tracker"
TOOLS: Final = (OURS, THEIRS, BENCHMEM, TRACKER)

# Without a tool.
PLAIN: Final = "pytest"
BENCHMARK: Final = "pytest-benchmark"

# Modes, as the tables call them; modes.py has more of them.
NOT_MEASURED: Final = "not measured"
NO_LIMIT: Final = "no limit"
LIMIT: Final = "a limit"
OBJECTS: Final = "a limit, `--trace-python-allocators`"
STABLE: Final = "a limit, `--memray-stable`"
ONLY: Final = "a limit, `only=`"
HOOK: Final = "a limit, a filter in a hook"
LEAKS: Final = "`limit_leaks`"
NATIVE: Final = "a limit, `--native`"
CAPTURES: Final = "a limit, every capture kept"


@dataclass(frozen=True)
class Workload:
    """The seconds of whole processes that ran the same tests, one number for each round."""

    n_tests: int
    size: int
    """How much each test does: allocations and frees, or calls. 0 for small tests."""
    seconds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """By mode and tool."""

    def whole(self, mode: str, tool: str) -> float:
        """Return the seconds of the process, in the fastest round.

        Other load on the machine only adds time.
        """
        return min(self.seconds[mode][tool])

    def added(self, mode: str, tool: str) -> float:
        """Return the seconds that measuring adds to each test.

        What pytest-benchmark needs is not counted as a cost of measuring.
        """
        without = self.whole(NOT_MEASURED, BENCHMARK if tool == BENCHMEM else PLAIN)
        return (self.whole(mode, tool) - without) / self.n_tests

    def has(self, mode: str, tool: str) -> bool:
        return tool in self.seconds.get(mode, {})


@dataclass(frozen=True)
class Blocks:
    """What one block costs in code, without a test framework."""

    nested_seconds: float
    tracker_seconds: float


@dataclass(frozen=True)
class Growth:
    """What one block costs as its work grows."""

    n_records: int
    seconds: float
    memory_bytes: int
    """How much larger the process became."""
    disk_bytes: int


@dataclass(frozen=True)
class Figures:
    """All that one run of the benchmarks has measured."""

    made_with: dict[str, str]
    """The date, the machine, and the versions."""
    rounds: int
    workloads: dict[str, Workload] = field(default_factory=dict)
    blocks: list[Blocks] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self), indent=1) + "\n")


def read_figures(file: Path) -> Figures:
    data: dict[str, Any] = json.loads(file.read_text())
    return Figures(
        data["made_with"],
        data["rounds"],
        {name: Workload(**one) for name, one in data["workloads"].items()},
        [Blocks(**one) for one in data["blocks"]],
        [Growth(**one) for one in data["growth"]],
    )
