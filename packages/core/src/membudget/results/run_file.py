"""Run files: the results of one run with its environment, as versioned JSON.

``run-2.schema.json`` beside this module defines format 2; docs/run-file.md explains it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from json import dumps, loads
from pathlib import Path
from typing import Any, Final
from warnings import warn

from ..errors import NotReplacedWarning, RunFileError
from ..host.origins import full_path
from ..host.system import Real, real_functions
from ..host.whole_files import directory_locked, is_a_stream, write_whole
from ..plain_data import coder_of
from ..recording.garbage import CollectorPause
from ..source.files import read_whole
from ..source.sources import Sources
from ..verdict import Result
from .environment import Environment

FORMAT: Final = 2
"""The version of the data; it is increased for incompatible changes."""
SCHEMA: Final = Path(__file__).with_name(f"run-{FORMAT}.schema.json")
"""The JSON Schema of run files."""

_RESULT: Final = coder_of(Result)
_ENVIRONMENT: Final = coder_of(Environment)
_SOURCES: Final = coder_of(Sources)
_PATHS: Final = ("file", "filename", "module", "origin", "capture")
_PLACE: Final = re.compile(r"(.+)(:\d+)")


@dataclass(frozen=True, slots=True)
class RunFile:
    """The results of one run.

    Attributes:
        environment: where and how they were measured.
        results: one for each measured test, in the order in which they ended.
        sources: where the tests are written, for ``membudget fix``; None if it is not known.
    """

    environment: Environment
    results: tuple[Result, ...]
    sources: Sources | None = None


def result_to_data(result: Result) -> dict[str, Any]:
    """Return a result as JSON data; :func:`result_from_data` reads it back.

    The data also has derived values, for readers in other languages.
    """
    data: dict[str, Any] = _RESULT.to_data(result)
    return {**data, "within": result.verdict.within, "blind": result.is_blind}


def result_from_data(data: object, where: str = "result") -> Result:
    """Read back the return value of :func:`result_to_data`.

    Raises:
        RunFileError: the data is not a result.
    """
    return _RESULT.from_data(data, where)


def run_to_text(run: RunFile, *, ends_now: bool = False) -> str:
    """Return the text of a run file; paths below the root are relative to it.

    Args:
        run: the run.
        ends_now: whether it is the run of this process; see :func:`write_run`.

    Example:
        >>> import json
        >>> json.loads(run_to_text(RunFile(Environment(python="3.13.1"), ())))["format"]
        2
    """
    shorten = _shortener(run, from_here=ends_now)
    environment = dumps(_ENVIRONMENT.to_data(run.environment))
    # A line for each result: the encoder is much faster without indentation.
    results = ",\n".join(dumps(shorten(result_to_data(one))) for one in run.results)
    sources = ""
    if run.sources is not None:
        sources = f',\n"sources": {dumps(shorten(_SOURCES.to_data(run.sources)))}'
    return (
        f'{{"format": {FORMAT},\n"environment": {environment},\n'
        f'"results": [\n{results}\n]{sources}}}\n'
    )


def with_short_paths(run: RunFile) -> RunFile:
    """Return the run of this process, which ends now, with the paths that its run file has."""
    shorten = _shortener(run, from_here=True)
    results = (result_from_data(shorten(result_to_data(one))) for one in run.results)
    return replace(run, results=tuple(results))


def _shortener(run: RunFile, *, from_here: bool) -> Callable[[Any], Any]:
    """Return a function that returns data with the paths in it relative to the root of a run."""
    root = run.environment.root
    if not root:
        return lambda data: data
    shorten = relative_to(root, from_here=from_here)
    return lambda data: _mapped_paths(data, shorten)


def _mapped_paths(data: Any, shorten: Callable[[str], str]) -> Any:
    """Return data with the paths in it shortened."""
    if isinstance(data, dict):
        return {
            key: shorten(value)
            if key in _PATHS and isinstance(value, str)
            else _mapped_paths(value, shorten)
            for key, value in data.items()
        }
    return [_mapped_paths(one, shorten) for one in data] if isinstance(data, list) else data


def relative_to(root: str, *, from_here: bool = False) -> Callable[[str], str]:
    """Return a function that makes paths below ``root`` relative, and keeps all other text.

    Args:
        root: the directory.
        from_here: whether places in files, such as ``test_orders.py:12``, are relative to the
            directory in which this process started.
    """
    with real_functions():
        beginnings = tuple(Real.join(one, "") for one in (root, Real.realpath(root)))

    def shorten(text: str) -> str:
        place = _PLACE.fullmatch(text) if from_here else None
        full = full_path(place[1]) + place[2] if place else text
        for beginning in beginnings:
            if full.startswith(beginning):
                return full.removeprefix(beginning).replace(os.sep, "/")
        return full

    return shorten


def write_run(path: str, run: RunFile, *, ends_now: bool = False) -> str:
    """Write a run file atomically: a full disk or a killed process leaves the old file.

    Args:
        path: the path of the file.
        run: the run.
        ends_now: whether it is the run of this process, which ends now. Then a file at ``path``
            that another run has written since this one began is kept; this one is written to
            ``run-2.json`` for ``run.json``, or to the next free number.

    Returns:
        The path that was written.

    Raises:
        OSError: it cannot be written.

    Warns:
        NotReplacedWarning: it was written to another path.

    Example:
        >>> import tempfile
        >>> run = RunFile(Environment.here(), ())
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     written = write_run(f"{directory}/run.json", run)
        ...     read_run(written) == run
        True
    """
    data = run_to_text(run, ends_now=ends_now).encode()
    with real_functions():
        if not ends_now or is_a_stream(path):
            write_whole(path, data)
            return path
        with directory_locked(Real.dirname(Real.realpath(path))):
            written = path
            if _is_of_another_run(path, run.environment):
                written = _free_path(path)
            write_whole(written, data)
    if written != path:
        warn(
            f"{path}: another run has written this file since this run began, so it was not "
            f"replaced. The results of this run are in {written}",
            NotReplacedWarning,
            stacklevel=2,
        )
    return written


def _is_of_another_run(path: str, environment: Environment) -> bool:
    """Whether a file was written since a run began, and not by that run itself."""
    try:
        modified: float = Real.stat(path).st_mtime
        if not environment.started or modified <= environment.started:
            return False
        return read_run(path).environment.started_at != environment.started_at
    except FileNotFoundError:
        return False
    except (OSError, RunFileError):  # it is another kind of file, and must not be lost either
        return True


def _free_path(path: str) -> str:
    start, ending = os.path.splitext(path)
    number = 2
    while True:
        beside = f"{start}-{number}{ending}"
        try:
            Real.lstat(beside)
        except FileNotFoundError:
            return beside
        number += 1


def read_run(path: str) -> RunFile:
    """Read a run file of format 2 or 1; format 1 has no environment.

    Raises:
        OSError: it cannot be read.
        RunFileError: it is not a run file, or has a later format. The message names the wrong place
            in the file, and the value there.
    """
    # Nothing here is garbage, and looking for some would take half of the time.
    collector = CollectorPause()
    collector.begin()
    try:
        return _run_from_data(_loaded(path))
    except RunFileError as error:
        raise RunFileError(f"{path}: {error}") from None
    finally:
        collector.end()


def _loaded(path: str) -> object:
    try:
        data: object = loads(read_whole(path))
    except (ValueError, RecursionError) as error:
        raise RunFileError(f"this is not JSON: {error}") from error
    return data


def _run_from_data(data: object) -> RunFile:
    if not isinstance(data, dict) or "format" not in data:
        raise RunFileError("this is not a run file: it has no 'format'")
    number, results = data["format"], data.get("results")
    if number not in (1, FORMAT):
        raise RunFileError(
            f"it has format {number!r}, but this membudget reads only formats 1 and {FORMAT}: use "
            f"the version of membudget that wrote it"
        )
    if not isinstance(results, list):
        raise RunFileError("results: there is no array of results")
    if number == 1:
        results = [_from_format_1(one, f"results[{index}]") for index, one in enumerate(results)]
    return RunFile(
        _ENVIRONMENT.from_data(data.get("environment", {}), "environment"),
        tuple(result_from_data(one, f"results[{index}]") for index, one in enumerate(results)),
        _SOURCES.from_data(data["sources"], "sources") if "sources" in data else None,
    )


def _from_format_1(data: Any, where: str) -> Any:
    """Convert a result of format 1 to format 2."""
    try:
        budget = data["budget"]
        objects = {"origin": budget["objects_origin"]} if budget["objects"] else None
        return {
            **data,
            "verdict": {
                "budget": {**budget, "objects": objects},
                "excesses": data["excesses"],
                "leaks": data["leaks"],
                "leaked_objects": data["measurement"]["leaked_objects"],
            },
        }
    except KeyError as error:
        raise RunFileError(f"{where}: there is no {error.args[0]!r}") from None
    except TypeError:
        raise RunFileError(f"{where}: this is not a result of format 1") from None
