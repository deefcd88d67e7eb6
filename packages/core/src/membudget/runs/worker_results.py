"""Results of other processes: each writes a file, and the reporting process reads it.

A file has one JSON document per line. An environment variable names the directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ..results.result_data import result_from_json, result_to_json
from ..verdict import Result
from .notes import Notes

VARIABLE: Final = "MEMBUDGET_COLLECT"
"""Environment variable: the directory to which results are written instead of being reported."""

_NUMBER: Final = re.compile(r" \(\d+\)$")


class TestNames:
    """Makes test names unique: the second test of a name and later ones get a number.

    Example:
        >>> names = TestNames()
        >>> names.new("test_load"), names.new("test_load")
        ('test_load', 'test_load (2)')
    """

    __test__ = False  # pytest collects classes with names like this one

    def __init__(self) -> None:
        self._n_seen: Counter[str] = Counter()

    def new(self, name: str) -> str:
        """Return a unique name for another test called ``name``."""
        self._n_seen[name] += 1
        return name if self._n_seen[name] == 1 else f"{name} ({self._n_seen[name]})"


def another_process_reports() -> bool:
    """Whether another process reports the results of this one."""
    return VARIABLE in os.environ


def leave(results: Iterable[Result] = (), notes: Notes | None = None) -> None:
    """Write results and notes for the reporting process.

    Can be called repeatedly, because a process may be killed; later notes replace earlier ones.
    """
    path = Path(os.environ[VARIABLE], f"{os.getpid()}.jsonl")
    documents: list[dict[str, Any]] = [{"result": result_to_json(result)} for result in results]
    if notes is not None:
        documents.append({"notes": notes.to_json()})
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(document)}\n" for document in documents)


class Collection:
    """Collects results and notes of other processes while :meth:`open` lasts.

    Attributes:
        results: their results, by name. Tests of one name in several processes get numbers.
        notes: their notes.
        n_processes: how many processes wrote a file.
    """

    def __init__(self) -> None:
        self.results: dict[str, Result] = {}
        self.notes = Notes()
        self.n_processes = 0
        self._taken: set[str] = set()  # names

    @contextlib.contextmanager
    def open(self, environment: dict[str, str]) -> Iterator[None]:
        """Collect from processes that start while this lasts.

        Args:
            environment: further variables for these processes, see ``Run.environment``.
        """
        with tempfile.TemporaryDirectory(prefix="membudget-") as directory:
            variables = {**environment, VARIABLE: directory}
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
            self.n_processes += 1
            names: dict[str, str] = {}  # from the names of that process to the names here
            for line in path.read_text(encoding="utf-8").splitlines():
                # A killed process may have written half a line.
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
            result = result_from_json(data["result"])
            name = here(result.name)
            self.results[name] = replace(result, name=name)
        else:
            self.notes.add(Notes.from_json(data["notes"], here))
