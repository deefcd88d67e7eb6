"""Results of other processes: each writes what it measured, and the one that reports reads it.

Plain data, one JSON document a line, in a directory that an environment variable names.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from membudget import LateAllocations, Measurement, Result, Verdict, report_json

if TYPE_CHECKING:
    import unittest

    from .measuring import Listener

VARIABLE: Final = "MEMBUDGET_COLLECT"
"""Environment variable: the directory to which results are written instead of being reported."""


def write_results(results: Iterable[Result]) -> None:
    """Leave results to the process that reports."""
    path = Path(os.environ[VARIABLE], f"{os.getpid()}.jsonl")
    with path.open("a", encoding="utf-8") as file:
        for result in results:
            file.write(json.dumps(report_json.result_to_json(result)) + "\n")


def listener_for(test: unittest.TestCase) -> Listener | None:
    """Return who leaves the measurement of a test to the process that reports, if there is one."""
    if VARIABLE not in os.environ:
        return None

    def write(measurement: Measurement, verdict: Verdict, late: LateAllocations) -> None:
        write_results([Result(test.id(), measurement, verdict)])

    return write


class Collection:
    """What processes wrote while :meth:`open` lasted; read it with :meth:`results`."""

    def __init__(self) -> None:
        self._results: list[Result] = []

    @contextlib.contextmanager
    def open(self, environment: dict[str, str] | None = None) -> Iterator[None]:
        """Collect the results of processes that are started meanwhile.

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
                self._results = list(_read(directory))

    def results(self) -> list[Result]:
        """Return what was collected."""
        return self._results


def _read(directory: str) -> Iterator[Result]:
    for path in sorted(Path(directory).glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            # A process that was killed may have left half a line.
            with contextlib.suppress(json.JSONDecodeError):
                yield report_json.result_from_json(json.loads(line))
