"""What measuring costs, side by side with pytest-memray and with plain pytest, in one run.

    uv run --with pytest-memray python tests/benchmarks/benchmarks.py

Whole processes, interleaved, so that a busy machine is busy for all of them; the table shows
medians of the user and system time, and ratios of them. ``--quick`` runs small ones, to try the
script; names of benchmarks run only those. ``modes`` compares 16 commands, so it has only one round
by default.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import suites

ROUNDS = 5
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
PLAIN = (*PYTEST, "-p", "no:memray", "-p", "no:membudget")
OURS = (*PYTEST, "-p", "no:memray", "--memray")
OURS_WITHOUT_FLAG = (*PYTEST, "-p", "no:memray")
THEIRS = (*PYTEST, "-p", "no:membudget", "--memray")


@dataclass(frozen=True)
class Command:
    """One side of a comparison."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str]


def command(name: str, *arguments: str, **environment: str) -> Command:
    return Command(name, arguments, environment)


def cpu_seconds(command: Command, directory: Path) -> float:
    """Run a command and return the user and system time of it and its children."""
    process = subprocess.Popen(
        command.arguments,
        cwd=directory,
        env={**os.environ, **command.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    errors = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command.arguments)} failed:\n{errors}")
    return usage.ru_utime + usage.ru_stime


def interleaved(commands: Sequence[Command], directory: Path, rounds: int) -> dict[str, float]:
    """Run the commands by turns; return the median seconds of each."""
    for each in {each.arguments[: len(OURS)]: each for each in commands}.values():
        # Write the compiled files of each program.
        cpu_seconds(replace(each, arguments=(*each.arguments, "--collect-only")), directory)
    seconds: dict[str, list[float]] = {each.name: [] for each in commands}
    for _ in range(rounds):
        for each in commands:
            seconds[each.name].append(cpu_seconds(each, directory))
    return {name: statistics.median(values) for name, values in seconds.items()}


def row(name: str, figures: dict[str, float], ratio: float, goal: float | None) -> None:
    shown = ", ".join(f"{side} {value:.2f} s" for side, value in figures.items())
    reached = "" if goal is None else f" | {goal:g} | {'yes' if ratio <= goal else 'no'}"
    print(f"| {name} | {shown} | {ratio:.3f}{reached or ' | | '} |", flush=True)


class Benchmarks:
    """Each method is one benchmark; its first line says what it compares."""

    def __init__(self, directory: Path, rounds: int | None, scale: float) -> None:
        self._directory = directory
        self._rounds = rounds or ROUNDS
        self._rounds_of_modes = rounds or 1
        self._scale = scale

    def _n(self, n: int) -> int:
        return max(20, int(n * self._scale))

    def _suite(self, name: str, text: str) -> Path:
        directory = self._directory / name
        directory.mkdir()
        (directory / "pytest.ini").write_text("[pytest]\nmarkers = limit_memory(limit): a limit\n")
        (directory / "test_it.py").write_text(text)
        return directory

    def _against_theirs(
        self, name: str, text: str, *options: str, added: bool, goal: float | None
    ) -> None:
        directory = self._suite(name, text)
        figures = interleaved(
            [
                command("plain", *PLAIN),
                command("membudget", *OURS, *options),
                command("pytest-memray", *THEIRS, *options),
            ],
            directory,
            self._rounds,
        )
        plain = figures["plain"] if added else 0.0
        ratio = (figures["membudget"] - plain) / (figures["pytest-memray"] - plain)
        row(f"{name}: {'time added' if added else 'whole time'}", figures, ratio, goal)

    def small_tests(self) -> None:
        """1000 small tests without limits."""
        text = suites.SMALL_TESTS.format(n_tests=self._n(1000))
        self._against_theirs("1000 small tests", text, added=True, goal=0.1)

    def limited_tests(self) -> None:
        """1000 small tests with limits."""
        text = suites.LIMITED_TESTS.format(n_tests=self._n(1000))
        self._against_theirs("1000 small tests with a limit", text, added=True, goal=0.1)

    def kept_objects(self) -> None:
        """One test with 3 million records of objects that it keeps, python allocators traced."""
        text = suites.KEPT_OBJECTS.format(n_records=self._n(3_000_000))
        self._against_theirs(
            "3 million records, objects are kept",
            text,
            "--trace-python-allocators",
            added=False,
            goal=0.5,
        )

    def many_objects(self) -> None:
        """One test with 3 million records of objects that it drops, python allocators traced."""
        text = suites.MANY_OBJECTS.format(n_records=self._n(3_000_000))
        self._against_theirs(
            "3 million records, objects are dropped",
            text.replace("bytes(600)", "bytes(100)"),
            "--trace-python-allocators",
            added=False,
            goal=0.5,
        )

    def many_allocations(self) -> None:
        """One test with 600 thousand records."""
        text = suites.MANY_OBJECTS.format(n_records=self._n(600_000))
        self._against_theirs("600 thousand records", text, added=False, goal=1.1)

    def heavy_fixture(self) -> None:
        """Four light tests with a fixture of a second of pure Python each."""
        text = suites.HEAVY_FIXTURE.format(n_calls=self._n(8_000_000))
        self._against_theirs("heavy fixture", text, added=True, goal=1.0)

    def nested_blocks(self) -> None:
        """A limit_memory block inside a running recording, against a restart of the tracker."""
        script = self._directory / "nested.py"
        script.write_text(suites.BLOCKS_IN_ONE_RECORDING)
        output = subprocess.run(
            [sys.executable, script], capture_output=True, check=True, text=True
        ).stdout
        restart, each = map(float, output.split())
        name = f"a nested block {each * 1e6:.1f} us, a tracker {restart * 1e3:.1f} ms"
        row(name, {}, each / restart, 0.01)

    def switched_off(self) -> None:
        """1000 tests with markers: without --memray, and with MEMBUDGET=off."""
        text = suites.LIMITED_TESTS.format(n_tests=self._n(1000))
        directory = self._suite("switched off", text)
        figures = interleaved(
            [
                command("plain", *PLAIN),
                command("without --memray", *OURS_WITHOUT_FLAG),
                command("MEMBUDGET=off", *OURS, MEMBUDGET="off"),
            ],
            directory,
            self._rounds,
        )
        for side in ("without --memray", "MEMBUDGET=off"):
            row(f"{side}: whole time", figures, figures[side] / figures["plain"], None)

    def modes(self) -> None:
        """300 small tests in every mode, beside the same mode of pytest-memray, or its default."""
        n_tests = self._n(300)
        suites_of = {
            "plain": suites.SMALL_TESTS,
            "limited": suites.LIMITED_TESTS,
            "leaks": suites.LEAK_TESTS,
            "only": suites.ONLY_TESTS,
            "hook": suites.LIMITED_TESTS,
        }
        paths = {}
        for name, text in suites_of.items():
            directory = self._suite(name, text.format(n_tests=n_tests))
            hook = suites.HOOK if name == "hook" else ""
            (directory / "conftest.py").write_text(suites.LIBRARIES + hook)
            paths[name] = str(directory)
        keep = "--memray-bin-path=kept"
        modes = {
            "no limit": ("plain", ()),
            "a limit": ("limited", ()),
            "objects counted": ("limited", ("--trace-python-allocators",)),
            "only=": ("only", ()),
            "a hook": ("hook", ()),
            "stable": ("limited", ("--memray-stable",)),
            "limit_leaks": ("leaks", ()),
            "--native": ("limited", ("--native",)),
            "kept captures": ("limited", (keep,)),
        }
        only_ours = ("only=", "a hook", "stable")
        theirs = {mode: how for mode, how in modes.items() if mode not in only_ours}
        figures = interleaved(
            [
                command("plain", *PLAIN, paths["plain"]),
                *(command(mode, *OURS, *how, paths[of]) for mode, (of, how) in modes.items()),
                *(
                    command(f"theirs, {mode}", *THEIRS, *how, paths[of])
                    for mode, (of, how) in theirs.items()
                ),
            ],
            self._directory,
            self._rounds_of_modes,
        )
        for mode in modes:
            other = f"theirs, {mode}" if mode in theirs else "theirs, a limit"
            added, of_theirs = (
                (figures[side] - figures["plain"]) / n_tests * 1e3 for side in (mode, other)
            )
            print(
                f"| {mode} | {added:.1f} ms | {of_theirs:.1f} ms | {added / of_theirs:.2f} |",
                flush=True,
            )

    def stable_objects(self) -> None:
        """One test with half a million records of objects that it keeps, stable or not."""
        text = suites.KEPT_OBJECTS.format(n_records=self._n(500_000))
        directory = self._suite("stable objects", text)
        figures = interleaved(
            [
                command("plain", *PLAIN),
                command("membudget", *OURS),
                command("traced", *OURS, "--trace-python-allocators"),
                command("stable", *OURS, "--memray-stable"),
                command("pytest-memray", *THEIRS, "--trace-python-allocators"),
            ],
            directory,
            self._rounds,
        )
        ratio = figures["stable"] / figures["pytest-memray"]
        row("half a million records of kept objects: whole time", figures, ratio, None)

    def growth(self) -> None:
        """Cost as work grows: records in one block, tests in one run."""
        script = self._directory / "growth.py"
        script.write_text(suites.GROWTH)
        for n_records in (10_000, 100_000, 1_000_000, 10_000_000):
            n = self._n(n_records)
            done = subprocess.run(
                [sys.executable, script, str(n)], capture_output=True, check=True, text=True
            )
            seconds, memory, disk = json.loads(done.stdout)
            print(
                f"| {n:,} records | {seconds / n * 1e6:.2f} us a record, "
                f"{memory / 2**20:.1f} MiB more memory | {disk / n:.1f} bytes on disk each | | |",
                flush=True,
            )
        for n_tests in (100, 1000, 10_000):
            n = self._n(n_tests)
            directory = self._suite(f"{n} tests", suites.SMALL_TESTS.format(n_tests=n))
            figures = interleaved(
                [command("plain", *PLAIN), command("membudget", *OURS)], directory, rounds=1
            )
            added = figures["membudget"] - figures["plain"]
            name = f"{n:,} tests: {added / n * 1e3:.2f} ms added a test"
            row(name, figures, figures["membudget"] / figures["plain"], None)


def main() -> None:
    benchmarks: dict[str, Callable[[Benchmarks], None]] = {
        name: method for name, method in vars(Benchmarks).items() if not name.startswith("_")
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(benchmarks))
    parser.add_argument("--rounds", type=int, help=f"default: {ROUNDS}, and 1 for modes")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    unknown = set(given.names) - set(benchmarks)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    print(
        f"CPython {platform.python_version()}, memray {version('memray')}, "
        f"pytest-memray {version('pytest-memray')}, pytest {version('pytest')}, "
        f"{os.cpu_count()} cores, median of {given.rounds or ROUNDS} rounds "
        f"(modes: {given.rounds or 1})\n"
    )
    print("| benchmark | user + system time | ratio | at most | reached |")
    print("| --- | --- | --- | --- | --- |")
    for name in given.names or benchmarks:
        with tempfile.TemporaryDirectory() as directory:
            scale = 0.02 if given.quick else 1.0
            benchmarks[name](Benchmarks(Path(directory), given.rounds, scale))


if __name__ == "__main__":
    main()
