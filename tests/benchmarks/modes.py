"""What is compared: each mode of measuring, in the words of each tool that has it.

The same tests run in all of them. Only the plugins that are named are loaded, whatever else is
installed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import suites
from commands import Command
from figures import (
    BENCHMARK,
    BENCHMEM,
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
    TRACKER,
    Workload,
)

_PYTEST: Final = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
_OPTIONS: Final = {
    PLAIN: (),
    BENCHMARK: ("-p", "benchmark"),
    OURS: ("-p", "membudget"),
    THEIRS: ("-p", "memray", "--memray"),
    BENCHMEM: (
        *("-p", "benchmark", "-p", "benchmem", "--benchmark-memory"),
        *("--benchmark-memory-repeats=1", "--benchmark-memory-warmup=0"),
    ),
    TRACKER: ("-p", "bare_tracker"),
}


@dataclass(frozen=True)
class Side:
    """One tool in one mode."""

    marker: str = ""
    """What is written at the tests."""
    options: tuple[str, ...] = ()
    """Besides those that the tool always gets."""
    conftest: str = ""
    switch: str = "on"
    """The variable ``MEMBUDGET``."""


_TRACED: Final = ("--trace-python-allocators",)
_NATIVE: Final = ("--native",)
_KEPT: Final = ("--memray-bin-path=kept",)

_PLAINLY: Final = Side()


def _ours(*options: str, marker: str = suites.LIMIT, conftest: str = "") -> Side:
    return Side(marker, ("--memray", *options), conftest)


def _limited(*options: str) -> Side:
    return Side(suites.LIMIT, options)


# The keys are those of the tables.
MODES: Final[dict[str, dict[str, Side]]] = {
    NOT_MEASURED: {PLAIN: _PLAINLY, BENCHMARK: _PLAINLY},
    NO_LIMIT: {OURS: _ours(marker=""), THEIRS: _PLAINLY, TRACKER: _PLAINLY},
    LIMIT: {OURS: _ours(), THEIRS: _limited(), BENCHMEM: Side(suites.CEILING)},
    OBJECTS: {
        OURS: _ours(*_TRACED),
        THEIRS: _limited(*_TRACED),
        TRACKER: Side(options=_TRACED),
    },
    STABLE: {OURS: _ours("--memray-stable")},
    ONLY: {OURS: _ours(marker=suites.ONLY)},
    HOOK: {OURS: _ours(conftest=suites.HOOK)},
    LEAKS: {OURS: _ours(marker=suites.LEAKS), THEIRS: Side(suites.LEAKS)},
    NATIVE: {
        OURS: _ours(*_NATIVE),
        THEIRS: _limited(*_NATIVE),
        TRACKER: Side(options=_NATIVE),
    },
    CAPTURES: {OURS: _ours(*_KEPT), THEIRS: _limited(*_KEPT)},
    "a limit, `--memray-evidence`": {OURS: _ours("--memray-evidence=kept")},
    "a limit, `--memray-json`": {OURS: _ours("--memray-json=run.json")},
    "a limit, without `--memray`": {OURS: _limited()},
    "a limit, `MEMBUDGET=off`": {OURS: Side(suites.LIMIT, ("--memray",), switch="off")},
}


def suite_in(directory: Path, text: str, conftest: str = "") -> Path:
    """Write a suite of tests into a directory."""
    (directory / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n    limit_memory: a limit\n    limit_leaks: a limit\n"
    )
    (directory / "bare_tracker.py").write_text(suites.BARE_TRACKER)
    (directory / "conftest.py").write_text(conftest)
    (directory / "test_it.py").write_text(text)
    return directory


def text_of(work: str, tool: str, side: Side, workload: Workload) -> str:
    """Return a file with tests that do some work, as a tool wants them written."""
    tests = suites.BENCHMARKS if tool in (BENCHMARK, BENCHMEM) else suites.TESTS
    done = work.format(size=workload.size)
    return done + tests.format(marker=side.marker, n_tests=workload.n_tests)


def pytest_with(tool: str, side: Side, suite: Path) -> Command:
    """Return the command that runs a suite with a tool."""
    return Command(
        (*_PYTEST, "--rootdir=.", *_OPTIONS[tool], *side.options),
        suite,
        {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "MEMBUDGET": side.switch},
    )
