"""Writes run files, line by line; paths in them say nothing about the machine."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from json import dumps
from typing import Final
from warnings import warn

from ..errors import NotReplacedWarning, RunFileError
from ..host.installed_files import portable_path
from ..host.origins import full_path
from ..host.system import Real, real_functions
from ..host.whole_files import directory_locked, is_a_stream, write_pieces
from ..plain_data import Writers, coder_of
from ..source.definitions import WrittenTest
from ..source.sources import Sources
from ..verdict import Result
from .environment import Environment
from .reading import RunReader
from .result_data import FORMAT, result_from_data, result_to_data
from .run_file import RunFile

_ENVIRONMENT: Final = coder_of(Environment)
_PLACE: Final = re.compile(r"(.+)(:\d+)")
_N_KEPT_PATHS: Final = 1000


def run_lines(run: RunFile, *, ends_now: bool = False) -> Iterator[str]:
    """Yield the text of a run file, piece by piece.

    Args:
        run: the run.
        ends_now: whether it is the run of this process; see :func:`write_run`.

    Example:
        >>> import json
        >>> json.loads("".join(run_lines(RunFile(Environment(python="3.13.1"), ()))))["format"]
        2
    """
    writers = _short_paths(run.environment.root, from_here=ends_now)
    coder = coder_of(Result, writers)
    results = (dumps(result_to_data(one, coder)) for one in run.results)
    yield from file_lines(run.environment, results, run.sources, writers)


def file_lines(
    environment: Environment,
    results: Iterable[str],
    sources: Sources | None = None,
    writers: Writers | None = None,
) -> Iterator[str]:
    """Yield the text of a run file, from the text of its results.

    Args:
        environment, sources: see :class:`RunFile`.
        results: the text of each result, without line breaks.
        writers: what writes fields of the sources, see :func:`membudget.plain_data.coder_of`.
    """
    environment_text = dumps(_ENVIRONMENT.to_data(environment))
    yield f'{{"format": {FORMAT},\n"environment": {environment_text},\n"results": [\n'
    yield from _separated(results)
    yield "\n]"
    if sources is not None:
        tests, coder = coder_of(WrittenTest, writers), coder_of(Sources, writers)
        yield ',\n"sources": {"tests": {\n'
        yield from _separated(
            f"{dumps(name)}: {dumps(tests.to_data(test))}"
            for name, test in dict(sources.tests).items()
        )
        yield "\n}"
        for key, value in coder.to_data(replace(sources, tests=())).items():
            if key != "tests":
                yield f",\n{dumps(key)}: {dumps(value)}"
        yield "}"
    yield "}\n"


def _separated(lines: Iterable[str]) -> Iterator[str]:
    separator = ""
    for line in lines:
        yield f"{separator}{line}"
        separator = ",\n"


def with_short_paths(run: RunFile) -> RunFile:
    """Return the run of this process, which ends now, with the paths that its run file has."""
    coder = coder_of(Result, _short_paths(run.environment.root, from_here=True))
    results = (result_from_data(coder.to_data(one)) for one in run.results)
    return replace(run, results=tuple(results))


def _short_paths(root: str, *, from_here: bool) -> Writers:
    """Return what writes the paths of results and sources.

    A path below the root is relative to it, and one in an installed package to where it is
    installed.
    """
    below_root = relative_to(root, from_here=from_here) if root else _as_it_is

    @lru_cache(maxsize=_N_KEPT_PATHS)  # a run has few files, many times
    def shorten(path: str) -> str:
        return portable_path(below_root(path))

    # An environment of Python can be below the root, but a capture is not installed.
    source_files = dict.fromkeys(("file", "filename", "module", "origin"), shorten)
    return {**source_files, "capture": below_root}


def _as_it_is(path: str) -> str:
    return path


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
        >>> from membudget.results import read_run
        >>> run = RunFile(Environment.here(), ())
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     written = write_run(f"{directory}/run.json", run)
        ...     read_run(written) == run
        True
    """

    def lines() -> Iterator[str]:
        return run_lines(run, ends_now=ends_now)

    with real_functions():
        if not ends_now or is_a_stream(path):
            write_lines(path, lines)
            return path
        with directory_locked(Real.dirname(Real.realpath(path))):
            written = path
            if _is_of_another_run(path, run.environment):
                written = _free_path(path)
            write_lines(written, lines)
    if written != path:
        warn(
            f"{path}: another run has written this file since this run began, so it was not "
            f"replaced. The results of this run are in {written}",
            NotReplacedWarning,
            stacklevel=2,
        )
    return written


def write_lines(path: str, lines: Callable[[], Iterable[str]]) -> None:
    """Write a text file atomically.

    Args:
        path: the path of the file.
        lines: returns the text, piece by piece; it can be called twice.

    Raises:
        OSError: it cannot be written.
    """
    write_pieces(path, lambda: (line.encode(errors="surrogatepass") for line in lines()))


def _is_of_another_run(path: str, environment: Environment) -> bool:
    """Whether a file was written since a run began, and not by that run itself."""
    try:
        modified: float = Real.stat(path).st_mtime
        if not environment.started or modified <= environment.started:
            return False
        return RunReader(path).read_environment().started_at != environment.started_at
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
