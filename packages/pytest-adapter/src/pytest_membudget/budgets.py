"""Markers in, budgets out."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pytest
from membudget import (
    Budget,
    InvalidLimitError,
    Marks,
    Settings,
    budget_of,
    leak_budget,
    marks_of,
    memory_budget,
    object_budget,
)

LIMIT = "limit_memory"
LEAKS = "limit_leaks"
OBJECTS = "limit_leaked_objects"
WAIVER = "no_memory_limit"
KEEPS_OUT = "no_memray"
MARKERS = (
    f"{LIMIT}(limit, *, total, allocations, retained, current_thread_only=False, only, ignore, "
    f"include, stable): with --memray, fail the test when its peak memory is larger than limit, "
    f"such as '24 MB'; when it allocates more than total, or more often than allocations; or when "
    f"more than retained is still alive. only='mypkg.*' and ignore='logging' say whose memory "
    f"counts, include='setup,call,teardown' when, and stable=True that figures are to repeat",
    f"{LEAKS}(location_limit, *, filter_fn=None, current_thread_only=False): with --memray, fail "
    f"the test when one call stack leaves more than location_limit, such as '1 KB', behind",
    f"{OBJECTS}(*, filter_fn=None): with --memray, fail the test when an object that was made in "
    f"it is still alive behind it (CPython 3.13.3 and later)",
    f"{WAIVER}(reason=''): limits of the class, the module or --memray-default-limit do not count",
    f"{KEEPS_OUT}: do not measure the test, because it uses memray itself",
)
T = TypeVar("T")
_WORKER_PROBLEM = "membudget_bad_markers"


class BadMarkerError(ValueError):
    """A marker whose arguments make no budget."""


def marked(item: pytest.Item) -> Marks:
    """Return what the markers of a test say; the closest limit or waiver wins, kind by kind.

    Where they leave something open, it is what is written at a test of another framework.

    Raises:
        BadMarkerError: the arguments of a marker are wrong, or markers contradict one another.
    """
    measured = item.get_closest_marker(KEEPS_OUT) is None
    budget: Budget | None = None
    for mark in _closest_first(item):
        if mark.name in _LIMITS:
            if not measured:
                raise BadMarkerError(
                    f"{_written(mark)}: {KEEPS_OUT} keeps this test unmeasured; mark it "
                    f"{WAIVER} as well if that is meant"
                )
            budget = _inside(budget, _parse(mark, _LIMITS[mark.name]), _written(mark))
        if mark.name == WAIVER:
            return Marks(budget, _parse(mark, _no_memory_limit), measured)
    cls, name = getattr(item, "cls", None), getattr(item, "originalname", None)
    written = Marks() if cls is None or name is None else marks_of(cls, name)
    if written.budget is not None:
        budget = _inside(budget, written.budget, f"{cls.__qualname__ if cls else ''}.{name}")
    return Marks(budget, written.waiver, written.measured and measured)


def _closest_first(item: pytest.Item) -> Iterator[pytest.Mark]:
    """Yield the markers of a test: of pytest.param(), the function, its class and its bases, ..."""
    for node in reversed(item.listchain()):
        # pytest keeps those of a base class before those of the class, and those of pytest.param()
        # behind those of the function.
        yield from reversed(node.own_markers)


def _check_ambiguity(item: pytest.Item) -> None:
    """Refuse two markers of one kind in one place: nobody could say which one is closer."""
    own = [mark for mark in item.own_markers if mark not in _parameter_marks(item)]
    places: list[Iterable[pytest.Mark]] = [own, _parameter_marks(item)]
    # A class keeps the markers of its bases among its own.
    inner = (pytest.Item, pytest.Class)
    places += [node.own_markers for node in item.listchain() if not isinstance(node, inner)]
    for cls in getattr(getattr(item, "cls", None), "__mro__", ()):
        marks = vars(cls).get("pytestmark", ())
        places.append(marks if isinstance(marks, (list, tuple)) else (marks,))
    for place in places:
        kinds = [
            "limit_memory" if mark.name == WAIVER else mark.name
            for mark in (getattr(mark, "mark", mark) for mark in place)
            if mark.name in (LIMIT, LEAKS, OBJECTS, WAIVER)
        ]
        for kind in set(kinds):
            if kinds.count(kind) > 1:
                raise BadMarkerError(
                    f"two markers {kind} or {WAIVER} in one place: write one, with all its limits"
                )


def _parameter_marks(item: pytest.Item) -> list[pytest.Mark]:
    return list(getattr(getattr(item, "callspec", None), "marks", ()))


def _inside(closest: Budget | None, outer: Budget, where: str) -> Budget:
    try:
        return outer if closest is None else closest.within(outer)
    except InvalidLimitError as error:
        raise BadMarkerError(f"{where}: {error}") from error


def _written(mark: pytest.Mark) -> str:
    arguments = [*map(repr, mark.args), *(f"{k}={v!r}" for k, v in mark.kwargs.items())]
    return f"@pytest.mark.{mark.name}({', '.join(arguments)})"


@functools.cache
def _signature(take: Callable[..., object]) -> inspect.Signature:
    """Return the arguments of a marker: where it is written is none of them."""
    signature = inspect.signature(take)
    own = [one for one in signature.parameters.values() if one.name not in ("where", "origin")]
    return signature.replace(parameters=own)


def _parse(mark: pytest.Mark, take: Callable[..., T]) -> T:
    try:
        _signature(take).bind(*mark.args, **mark.kwargs)
        return take(*mark.args, **mark.kwargs, where=_written(mark))
    except TypeError as error:
        raise BadMarkerError(f"{_written(mark)}: {error}") from error
    except InvalidLimitError as error:
        raise BadMarkerError(str(error)) from error


_LIMITS: dict[str, Callable[..., Budget]] = {
    LIMIT: memory_budget,
    LEAKS: leak_budget,
    OBJECTS: object_budget,
}


def _no_memory_limit(reason: str = "", *, where: str) -> str:
    """Take what no_memory_limit takes."""
    if not isinstance(reason, str):
        raise BadMarkerError(f"{where}: reason is a text, not {reason!r}")
    return reason


def _no_memray(*, where: str) -> None:
    """Take what no_memray takes: nothing."""


_MARKERS: dict[str, Callable[..., object]] = {
    **_LIMITS,
    WAIVER: _no_memory_limit,
    KEEPS_OUT: _no_memray,
}


def budget_for(
    item: pytest.Item, settings: Settings
) -> tuple[Callable[..., object] | None, Marks, Budget]:
    """Return what is called for a test, without a budget of its own; its marks; and what holds.

    Raises:
        BadMarkerError: the arguments of a marker are wrong, or limits contradict one another.
    """
    function = getattr(item, "obj", None) if isinstance(item, pytest.Function) else None
    own, function = budget_of(function) if function is not None else (None, None)
    marks = marked(item)
    try:
        budget = (own or Budget()).within(marks.budget or Budget()).in_scope(settings.scope)
        if marks.waiver is None:
            budget = budget.or_default(settings.default_budget)
    except InvalidLimitError as error:
        raise BadMarkerError(str(error)) from error
    return function, marks, budget


def _check_markers(items: Iterable[pytest.Item], settings: Settings) -> None:
    """Check the markers of all tests.

    Raises:
        pytest.UsageError: some are wrong; it lists each with its test.
    """
    problems = []
    for item in items:
        try:
            for mark in item.iter_markers():
                if mark.name in _MARKERS:
                    _parse(mark, _MARKERS[mark.name])
            _check_ambiguity(item)
            budget_for(item, settings)
        except BadMarkerError as error:
            problems.append(f"{item.nodeid}: {error}")
    if problems:
        raise pytest.UsageError("\n".join(["bad memory limits:", *problems]))


class MarkerCheck:
    """Makes bad markers one usage error of the run, before any test."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._settings = settings
        # Of a worker of pytest-xdist: what it leaves to the reporting process.
        self._workeroutput: dict[str, Any] | None = getattr(config, "workeroutput", None)
        self._problem: str | None = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        try:
            _check_markers(items, self._settings)
        except pytest.UsageError as error:
            if self._workeroutput is None:
                raise
            # A worker cannot raise it: pytest-xdist would take that for a crash.
            self._workeroutput[_WORKER_PROBLEM] = str(error)
            items.clear()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._problem = self._problem or getattr(node, "workeroutput", {}).get(_WORKER_PROBLEM)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        if self._problem is not None:
            raise pytest.UsageError(self._problem)
