"""Results of other processes: each writes what it measured, and the one that reports reads it.

Plain data, one JSON document a line, in a directory that an environment variable names.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from membudget import (
    KeptCaptures,
    LateStacks,
    Measurement,
    Phase,
    Result,
    Settings,
    Verdict,
    find_settings,
    report_json,
)

if TYPE_CHECKING:
    import unittest

VARIABLE: Final = "MEMBUDGET_COLLECT"
"""Environment variable: the directory to which results are written instead of being reported."""

_NUMBER: Final = re.compile(r" \(\d+\)$")


@dataclass
class Notes:
    """What a run of tests knows about them besides their results.

    Attributes:
        waivers: the tests without a limit because of a waiver, with its reason.
        failed: the tests that failed for another reason than their budget.
        unmeasured: for the tests that were started, why they have no measurement if they have none.
        ignored: the classes with a ``memory_limit`` that nothing looks at.
        marked: the tests with limits as markers of pytest's, which do nothing here.
    """

    waivers: dict[str, str] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    unmeasured: dict[str, str] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)
    marked: set[str] = field(default_factory=set)

    def add(self, other: Notes) -> None:
        """Take what another run knows."""
        self.waivers |= other.waivers
        self.failed |= other.failed
        self.unmeasured |= other.unmeasured
        self.ignored |= other.ignored
        self.marked |= other.marked


UNKNOWN: Final = "ended without a measurement"
"""Why a test that was started has no measurement, as long as nothing else is known."""

n_started: Final[Counter[str]] = Counter()
"""How many tests of a name the runs of this process have started, if another one reports."""
_n_themselves: Final[Counter[str]] = Counter()  # the same, of tests that measure themselves


def numbered(name: str, counts: Counter[str]) -> str:
    """Tell tests of one name apart: the second one and those after it are numbered."""
    counts[name] += 1
    return name if counts[name] == 1 else f"{name} ({counts[name]})"


def collects() -> bool:
    """Whether another process reports what this one measures."""
    return VARIABLE in os.environ


def leave(results: Iterable[Result], notes: Notes) -> None:
    """Leave what was measured to the process that reports."""
    path = Path(os.environ[VARIABLE], f"{os.getpid()}.jsonl")
    with path.open("a", encoding="utf-8") as file:
        for result in results:
            file.write(json.dumps({"result": report_json.result_to_json(result)}) + "\n")
        sets = ("failed", "ignored", "marked")
        written = {**asdict(notes), **{name: sorted(getattr(notes, name)) for name in sets}}
        file.write(json.dumps({"notes": written}) + "\n")


def asked_for(test: unittest.TestCase) -> dict[str, Any]:
    """Return how a class measures its test by itself, for the process that reports, if one does.

    As arguments for ``measuring.measured``.
    """
    if not collects():
        return {}
    settings = _settings()
    name = numbered(test.id(), _n_themselves)

    def begins() -> None:
        leave([], Notes(unmeasured={name: UNKNOWN}))

    def listener(
        measurement: Measurement,
        verdict: Verdict,
        late: LateStacks | None,
        phases: Mapping[Phase, Measurement],
    ) -> None:
        leave([Result(name, measurement, verdict, tuple(phases.items()))], Notes())

    keep_capture = ""
    if settings.memray_bin_path:
        captures = KeptCaptures(settings.memray_bin_path, settings.memray_bin_prefix)
        keep_capture = captures.path_of(name)
    return {
        "listener": listener,
        "begins": begins,
        "settings": settings,
        "keep_capture": keep_capture,
    }


@functools.cache
def _settings() -> Settings:
    return find_settings("unittest")


class Collection:
    """What processes left while :meth:`open` lasted.

    Attributes:
        results: what they measured, by name. Tests of one name in several processes are numbered.
        notes: what they know about their tests besides.
    """

    def __init__(self) -> None:
        self.results: dict[str, Result] = {}
        self.notes = Notes()
        self._taken: set[str] = set()  # names

    @contextlib.contextmanager
    def open(self, environment: dict[str, str] | None = None) -> Iterator[None]:
        """Collect from processes that are started meanwhile.

        Args:
            environment: further variables that these processes see.
        """
        with tempfile.TemporaryDirectory(prefix="membudget-") as directory:
            variables = {**(environment or {}), VARIABLE: directory}
            before = {name: os.environ.get(name) for name in variables}
            os.environ.update(variables)
            try:
                yield
            finally:
                for name, value in before.items():
                    if value is None:
                        del os.environ[name]
                    else:
                        os.environ[name] = value
                self._read(directory)

    def _read(self, directory: str) -> None:
        for path in sorted(Path(directory).glob("*.jsonl")):
            names: dict[str, str] = {}  # those of this process, and what they are called here
            for line in path.read_text(encoding="utf-8").splitlines():
                # A process that was killed may have left half a line.
                with contextlib.suppress(json.JSONDecodeError):
                    self._take(json.loads(line), names)

    def _take(self, data: dict[str, Any], names: dict[str, str]) -> None:
        def here(name: str) -> str:
            if name not in names:
                free, number = name, 1
                while free in self._taken:
                    number += 1
                    free = f"{_NUMBER.sub('', name)} ({number})"
                self._taken.add(free)
                names[name] = free
            return names[name]

        if "result" in data:
            result = report_json.result_from_json(data["result"])
            name = here(result.name)
            self.results[name] = replace(result, name=name)
        else:
            notes = data["notes"]
            self.notes.add(
                Notes(
                    {here(name): reason for name, reason in notes["waivers"].items()},
                    {here(name) for name in notes["failed"]},
                    {here(name): reason for name, reason in notes["unmeasured"].items()},
                    set(notes["ignored"]),
                    {here(name) for name in notes["marked"]},
                )
            )
