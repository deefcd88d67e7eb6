"""Reads run files of any size: one result at a time, and of each result only what is needed."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from json import dumps, loads
from typing import Any, Final

from ..budget import Scope
from ..errors import RunFileError
from ..measurement import Allocation, Figure
from ..plain_data import coder_of
from ..recording.garbage import CollectorPause
from ..source.definitions import WrittenTest
from ..source.files import pieces_of
from ..source.sources import Sources
from ..verdict import Result
from .environment import Environment
from .json_stream import JsonStream
from .result_data import FORMAT, result_from_data, result_to_data
from .run_file import RunFile


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a :class:`membudget.Measurement`."""

    peak_bytes: int
    total_bytes: int
    n_allocations: int
    retained_bytes: int


@dataclass(frozen=True, slots=True)
class Limited:
    """The figure of a :class:`membudget.Limit`."""

    figure: Figure


@dataclass(frozen=True, slots=True)
class Limits:
    """The part of a :class:`membudget.Budget` on which it depends what is compared."""

    limits: tuple[Limited, ...] = ()
    scope: Scope = field(default_factory=Scope)


@dataclass(frozen=True, slots=True)
class Judged:
    """The budget of a :class:`membudget.Verdict`."""

    budget: Limits


@dataclass(frozen=True, slots=True)
class ResultFigures:
    """The part of a :class:`membudget.Result` that is needed to compare it, or to merge runs."""

    name: str
    measurement: Figures
    verdict: Judged


@dataclass(frozen=True, slots=True)
class Stacks:
    """The stacks of a :class:`membudget.Measurement`."""

    allocations: tuple[Allocation, ...] = ()
    retained: tuple[Allocation, ...] = ()


@dataclass(frozen=True, slots=True)
class ResultStacks:
    """The part of a :class:`membudget.Result` that shows which stacks grew."""

    measurement: Stacks


_FIGURES: Final = coder_of(ResultFigures)
_STACKS: Final = coder_of(ResultStacks)
_ENVIRONMENT: Final = coder_of(Environment)
_SOURCES: Final = coder_of(Sources)
_WRITTEN_TEST: Final = coder_of(WrittenTest)


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result in a run file.

    Attributes:
        data: its data, in the present format.
        where: the file and the place in it, for errors.
        text: its text in the file, if that has the present format.
    """

    data: Any
    where: str
    text: str

    def result(self) -> Result:
        """Return the whole result.

        Raises:
            RunFileError: the data is not a result.
        """
        return result_from_data(self.data, self.where)

    def figures(self) -> ResultFigures:
        """Return its figures. Raises as :meth:`result`."""
        return _FIGURES.from_data(self.data, self.where)

    def later_stacks(self) -> Callable[[], Stacks]:
        """Return a function that returns its stacks; until then, only its text is kept.

        Call this after :meth:`figures`. The function raises as :meth:`result`.
        """
        measurement = self.data["measurement"]
        if not (measurement.get("allocations") or measurement.get("retained")):
            return Stacks
        return functools.partial(_stacks_in, self.line(), self.where)

    def line(self) -> str:
        """Return its text for another run file. Raises as :meth:`result`."""
        if not self.text:
            return dumps(result_to_data(self.result()))
        return self.text if "\n" not in self.text else dumps(self.data)


def _stacks_in(text: str, where: str) -> Stacks:
    return _STACKS.from_data(loads(text), where).measurement


class RunReader:
    """Reads a run file once, from its start to its end.

    Args:
        path: the path of the file.
        reads_sources: whether to read where the tests are written.

    Attributes:
        path: as given.
        environment: the environment, when :meth:`results` has come to an end.
        sources: where the tests are written, then as well; None if it is not known.
    """

    def __init__(self, path: str, *, reads_sources: bool = True) -> None:
        self.path: Final = path
        self.environment = Environment()
        self.sources: Sources | None = None
        self._reads_sources = reads_sources

    def results(self) -> Iterator[StoredResult]:
        """Yield the results.

        Raises:
            OSError: the file cannot be read.
            RunFileError: it is not a run file, or has a later format.
        """
        with self._errors_name_it():
            yield from self._results(JsonStream(pieces_of(self.path)))

    def read_environment(self) -> Environment:
        """Return the environment; reads no further than to it. Raises as :meth:`results`."""
        with self._errors_name_it():
            stream = JsonStream(pieces_of(self.path))
            for key in stream.members():
                if key == "environment":
                    return _ENVIRONMENT.from_data(stream.value(), key)
        return Environment()

    @contextlib.contextmanager
    def _errors_name_it(self) -> Iterator[None]:
        try:
            yield
        except RunFileError as error:
            raise RunFileError(f"{self.path}: {error}") from None
        except (ValueError, RecursionError) as error:
            raise RunFileError(f"{self.path}: this is not JSON: {error}") from error

    def _results(self, stream: JsonStream) -> Iterator[StoredResult]:
        number: int | None = None
        has_results = False
        unread: list[Any] = []  # results that come before the number of the format
        if not stream.next_is("{"):
            stream.value()
            raise RunFileError("this is not a run file: it has no 'format'")
        for key in stream.members():
            if key == "format":
                number = _checked_format(stream.value())
            elif key == "environment":
                self.environment = _ENVIRONMENT.from_data(stream.value(), key)
            elif key == "results" and stream.next_is("["):
                has_results = True
                if number is None:
                    unread = stream.value()
                else:
                    for index, data in enumerate(stream.items()):
                        yield self._stored(data, index, number, stream.text)
            elif key == "sources":
                if self._reads_sources:
                    self.sources = _read_sources(stream)
                else:
                    _pass_over(stream)
        stream.end()
        if number is None:
            raise RunFileError("this is not a run file: it has no 'format'")
        if not has_results:
            raise RunFileError("results: there is no array of results")
        for index, data in enumerate(unread):
            yield self._stored(data, index, number, "")

    def _stored(self, data: Any, index: int, number: int, text: str) -> StoredResult:
        if number != FORMAT:
            data, text = _from_format_1(data, f"results[{index}]"), ""
        return StoredResult(data, f"{self.path}: results[{index}]", text)


def read_run(path: str) -> RunFile:
    """Read a run file of format 2 or 1; format 1 has no environment.

    Raises:
        OSError: it cannot be read.
        RunFileError: it is not a run file, or has a later format. The message names the wrong place
            in the file, and the value there.
    """
    reader = RunReader(path)
    with no_collections():
        results = tuple(stored.result() for stored in reader.results())
    return RunFile(reader.environment, results, reader.sources)


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """While this lasts, do not look for garbage.

    When many results are read, nothing is garbage, and looking for it would take half of the time.
    """
    collector = CollectorPause()
    collector.begin()
    try:
        yield
    finally:
        collector.end()


def _checked_format(number: object) -> int:
    if number in (1, FORMAT):
        return 1 if number == 1 else FORMAT
    raise RunFileError(
        f"it has format {number!r}, but this membudget reads only formats 1 and {FORMAT}: use the "
        f"version of membudget that wrote it"
    )


def _read_sources(stream: JsonStream) -> Sources:
    if not stream.next_is("{"):
        return _SOURCES.from_data(stream.value(), "sources")
    data: dict[str, Any] = {}
    tests: dict[str, WrittenTest] = {}
    for key in stream.members():
        if key == "tests" and stream.next_is("{"):
            for name in stream.members():
                tests[name] = _WRITTEN_TEST.from_data(stream.value(), f"sources.tests.{name}")
        else:
            data[key] = stream.value()
    return replace(_SOURCES.from_data(data, "sources"), tests=tuple(tests.items()))


def _pass_over(stream: JsonStream) -> None:
    """Skip the sources, of which one part can be large."""
    if stream.next_is("{"):
        for _ in stream.members():
            if stream.next_is("{"):
                for _ in stream.members():
                    pass


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
