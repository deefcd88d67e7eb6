"""Baselines: the peak of each test in an earlier run, in a file that is committed.

There is one file for each kind of environment, because their figures differ. A file is sorted and
has one test per line, so that its changes are easy to review and merge.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from json import dumps, loads
from typing import Any, Final

from ..budget import Limit
from ..errors import RunFileError
from ..host.origins import shown_path
from ..host.system import Real, real_functions
from ..host.whole_files import write_whole
from ..measurement import Allocation
from ..option_values import UpdateMode
from ..plain_data import coder_of
from ..settings import Settings
from ..sites import absolute, relative, sites_of
from ..sizes import format_size
from ..source.files import read_whole
from ..tolerance import Tolerance
from ..verdict import Result
from .environment import Environment

FORMAT: Final = 1
N_SITES: Final = 8
"""How many lines of code a baseline stores for each test: those with most memory at the peak."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The baseline of one test.

    Attributes:
        peak_bytes: its peak.
        first_bytes: its peak when it was added to the baseline; the difference shows a slow drift.
        sites: the largest allocations at the peak, each with the frame that made it.
    """

    peak_bytes: int
    first_bytes: int
    sites: tuple[Allocation, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """How the results of a run compare with a baseline: names of tests.

    Attributes:
        new: tests without a baseline.
        worse, better: tests whose peak differs by more than the tolerance.
        gone: tests that are in the baseline but no longer in the suite.
    """

    new: tuple[str, ...] = ()
    worse: tuple[str, ...] = ()
    better: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def of(self, modes: Iterable[UpdateMode]) -> Changes:
        """Return only the changes that the given modes write."""
        if "all" in modes:
            return self
        return Changes(**{mode: getattr(self, mode) for mode in modes})


_ENTRY: Final = coder_of(Entry)
_TESTS: Final = "tests"


def file_name(environment: Environment, settings: Settings) -> str:
    """Return the name of the baseline for an environment.

    Example:
        >>> here = Environment("3.13.1", "CPython", "linux", "x86_64")
        >>> file_name(here, Settings(memray_stable=True))
        'cpython-3.13-linux-x86_64-stable.json'
    """
    python = ".".join(environment.python.split(".")[:2])
    parts = [environment.implementation.lower(), python, environment.platform, environment.machine]
    if settings.memray_stable:
        parts.append("stable")
    elif settings.trace_python_allocators:
        parts.append("objects")
    return "-".join(parts) + ".json"


class Baseline:
    """The baseline of one kind of environment.

    Args:
        path: the path of its file.
        entries: the entries, by the name of the test.

    Attributes:
        path, entries: as given.
    """

    def __init__(self, path: str, entries: Mapping[str, Entry]) -> None:
        self.path: Final = path
        self.entries: Final = dict(entries)

    @classmethod
    def read(cls, path: str) -> Baseline:
        """Read a baseline; one without tests if there is no file.

        Raises:
            RunFileError: the file is not a baseline.
            OSError: it cannot be read.
        """
        try:
            data: Any = loads(read_whole(path))
        except FileNotFoundError:
            return cls(path, {})
        except (ValueError, RecursionError) as error:
            raise RunFileError(f"{path}: this is not JSON: {error}") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise RunFileError(
                f"{path}: this is not a baseline of format {FORMAT}: create it again with "
                f"--memray-update-baseline, or use the version of membudget that wrote it"
            )
        tests = data.get(_TESTS)
        if not isinstance(tests, dict):
            raise RunFileError(f"{path}: {_TESTS}: there is no object with tests")
        return cls(
            path,
            {name: _ENTRY.from_data(one, f"{path}: {name}") for name, one in tests.items()},
        )

    def write(self) -> None:
        """Write the file atomically; its directory is created if it does not exist.

        Raises:
            OSError: it cannot be written.
        """
        lines = (
            f"{dumps(name)}: {dumps(_ENTRY.to_data(entry))}"
            for name, entry in sorted(self.entries.items())
        )
        text = f'{{"format": {FORMAT}, "{_TESTS}": {{\n' + ",\n".join(lines) + "\n}}\n"
        with real_functions():
            os.makedirs(Real.dirname(self.path), exist_ok=True)
        write_whole(self.path, text.encode())

    def limit_for(self, name: str, tolerance: Tolerance, root: str = "") -> Limit | None:
        """Return the limit from the baseline for a test; None if it does not have the test.

        Args:
            name: the name of the test.
            tolerance: by how much its peak may be larger.
            root: the directory to which paths in the file are relative.

        Example:
            >>> baseline = Baseline("tests/memory/here.json", {"test_a": Entry(1000, 900)})
            >>> baseline.limit_for("test_a", Tolerance(10)).maximum
            1100
        """
        entry = self.entries.get(name)
        if entry is None:
            return None
        room = tolerance.room("peak_bytes", entry.peak_bytes)
        was = f"{format_size(entry.peak_bytes)}, tolerance {tolerance}"
        origin = f"{shown_path(self.path)} ({was})"
        sites = tuple(absolute(entry.sites, root))
        return Limit("peak_bytes", entry.peak_bytes + room, origin, "baseline", sites)

    def changes(
        self, results: Iterable[Result], tolerance: Tolerance, gone: Iterable[str] = ()
    ) -> Changes:
        """Compare results with the baseline.

        Args:
            results: those of tests that passed, or failed only because of their own limit.
            tolerance: by how much a peak may differ.
            gone: the names of tests that are no longer in the suite.
        """
        found: dict[str, list[str]] = {"new": [], "worse": [], "better": []}
        for result in results:
            entry, peak = self.entries.get(result.name), result.measurement.peak_bytes
            if entry is None:
                found["new"].append(result.name)
            elif not tolerance.covers("peak_bytes", entry.peak_bytes, peak):
                found["worse" if peak > entry.peak_bytes else "better"].append(result.name)
        lists = {name: tuple(sorted(names)) for name, names in found.items()}
        return Changes(**lists, gone=tuple(sorted(self.entries.keys() & set(gone))))

    def updated(self, changes: Changes, results: Iterable[Result], root: str) -> Baseline:
        """Return a baseline with the changes applied.

        Args:
            changes: the changes.
            results: those of the tests.
            root: the directory to which paths in the file are relative.
        """
        names = {*changes.new, *changes.worse, *changes.better}
        entries = {k: entry for k, entry in self.entries.items() if k not in changes.gone}
        for result in results:
            if result.name in names:
                peak, before = result.measurement.peak_bytes, entries.get(result.name)
                first = peak if before is None else before.first_bytes
                sites = sites_of(result.measurement.allocations)[:N_SITES]
                entries[result.name] = Entry(peak, first, tuple(relative(sites, root)))
        return Baseline(self.path, entries)
