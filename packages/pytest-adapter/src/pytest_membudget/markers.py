"""Turns the markers of a test into its rules, and checks all markers of a run."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from membudget import InvalidLimitError
from membudget.runs import (
    KEEPS_OUT,
    LIMIT_MARKERS,
    LIMIT_WITHOUT_MEASURING,
    MARKERS,
    WAIVER,
    Budget,
    Run,
    TestRules,
    budget_of,
    check_one_place,
    marker_rules,
    rules_of,
    shown_path,
    written_marker,
)

from ._private import Node, get_unpacked_marks

DESCRIPTIONS = (
    "limit_memory(limit, *, total, allocations, retained, current_thread_only=False, only, ignore, "
    "include, stable): with --memray, fail the test when its peak memory is larger than limit, "
    "such as '24 MB'; when it allocates more than total, or more often than allocations; or when "
    "more than retained is still alive. only='mypkg.*' and ignore='logging' select whose memory "
    "counts, include='setup,call,teardown' selects phases, and stable=True makes figures repeat",
    "limit_leaks(location_limit, *, filter_fn=None, current_thread_only=False): with --memray, "
    "fail the test when one call stack leaves more than location_limit, such as '1 KB', behind",
    "limit_leaked_objects(*, filter_fn=None): with --memray, fail the test when an object that was "
    "made in it is still alive after it (CPython 3.13.3 and later)",
    f"{WAIVER}(reason=''): limits of the class, the module or --memray-default-limit do not apply",
    f"{KEEPS_OUT}: do not measure the test, because it uses memray itself",
)
_WRITTEN = pytest.StashKey[frozenset[int]]()
_BY_HOOKS = pytest.StashKey[frozenset[int]]()
_WORKER_PROBLEM = "membudget_bad_markers"


class _Placed(NamedTuple):
    """A marker, and where it stands; empty for the test itself, which every failure names."""

    mark: pytest.Mark
    origin: str = ""


class BadMarkerError(ValueError):
    """Raised for a marker with invalid arguments."""


class ItemRules(NamedTuple):
    """The rules of a test, and the budget that follows from them in a run."""

    rules: TestRules
    budget: Budget


class _Known(NamedTuple):
    """The rules of a test, and the declarations that they were made from."""

    markers: list[pytest.Mark]
    own: Budget | None
    outside: TestRules | None
    made: ItemRules


_KNOWN = pytest.StashKey[_Known]()


def rules_of_item(item: pytest.Item, run: Run) -> ItemRules:
    """Return the rules of a test; they are computed again only if its markers have changed.

    Raises:
        BadMarkerError: the arguments of a marker are wrong, or limits contradict each other.
    """
    markers = [mark for node in item.iter_parents() for mark in node.own_markers]
    function = getattr(item, "obj", None) if isinstance(item, pytest.Function) else None
    own = None if function is None else budget_of(function)[0]
    outside = _rules_outside(item)
    known = item.stash.get(_KNOWN, None)
    if (
        known is not None
        and known.outside == outside
        and known.own is own
        and len(known.markers) == len(markers)
        and all(map(operator.is_, known.markers, markers))
    ):
        return known.made
    try:
        rules = TestRules(own).combined_with(marked(item))
        made = ItemRules(rules, run.budget_of(item.nodeid, rules))
    except InvalidLimitError as error:
        raise BadMarkerError(str(error)) from error
    item.stash[_KNOWN] = _Known(markers, own, outside, made)
    return made


def _rules_outside(item: pytest.Item) -> TestRules | None:
    """Return the rules that another framework's class declares for a test; None without a class."""
    if isinstance(item, pytest.Function) and item.cls is not None:
        return rules_of(item.cls, item.originalname)
    return None


def marked(item: pytest.Item) -> TestRules:
    """Return the rules that the markers of a test declare: for each kind, the closest one wins.

    The order, closest first: ``pytest.param()``, the function, its class and base classes
    (including the decorators and attributes of a ``TestCase``), the module, the packages; then
    markers added by fixtures, the last one first; then markers added by hooks, in pytest's order.
    So a conftest.py can set defaults, but cannot override a limit in the source.

    Raises:
        BadMarkerError: the arguments of a marker are wrong, or markers contradict each other.
    """
    is_kept_out = item.get_closest_marker(KEEPS_OUT) is not None
    rules = TestRules(measured=not is_kept_out)
    for declared in _closest_first(item):
        if isinstance(declared, _Placed):
            where = _written(declared.mark)
            outer = _rules_in(declared)
            if is_kept_out and outer.budget is not None:
                raise BadMarkerError(f"{where}: {LIMIT_WITHOUT_MEASURING}")
        else:
            where, outer = item.nodeid, declared
        try:
            rules = rules.combined_with(outer)
        except InvalidLimitError as error:
            raise BadMarkerError(f"{where}: {error}") from error
        if rules.waiver is not None:
            break
    return rules


def _rules_in(placed: _Placed) -> TestRules:
    """Return the rules that one marker declares; empty rules for a marker not about memory."""
    mark, origin = placed
    return _parse(mark, origin) if mark.name in MARKERS else TestRules()


def has_limit_marker(item: pytest.Item) -> bool | None:
    """Whether the closest marker of a test is a limit, not a waiver; None if it has neither."""
    names = (*LIMIT_MARKERS, WAIVER)
    if any(mark.name in names for mark in item.iter_markers()):
        for declared in _closest_first(item):
            if isinstance(declared, _Placed) and declared.mark.name in names:
                return declared.mark.name != WAIVER
    return None


def _closest_first(item: pytest.Item) -> Iterator[_Placed | TestRules]:
    """Yield the markers of a test, and the rules that another framework's class declares for it."""
    added: list[pytest.Mark] = []
    for node in item.iter_parents():
        if node.own_markers:
            written = _written_at(node)
            # pytest stores the markers of a base class before those of the class, and those of
            # pytest.param() after those of the function.
            place = _place_of(node)
            own = (mark for mark in reversed(node.own_markers) if id(mark) in written)
            yield from (_Placed(mark, place) for mark in own)
            added += (mark for mark in node.own_markers if id(mark) not in written)
        if node is item.parent:
            outside = _rules_outside(item)
            if outside is not None:
                yield outside
    if added:
        # Markers that fixtures add do not exist yet when the collection ends.
        by_hooks = item.stash.get(_BY_HOOKS, frozenset(map(id, added)))
        by_fixtures = (mark for mark in reversed(added) if id(mark) not in by_hooks)
        yield from (_Placed(mark, "a fixture, which added the marker") for mark in by_fixtures)
        others = (mark for mark in added if id(mark) in by_hooks)
        yield from (_Placed(mark, "a hook, which added the marker") for mark in others)


def _place_of(node: Node) -> str:
    """Return where the markers of a class, a module or a package are written."""
    if isinstance(node, pytest.Item):
        return ""
    path = shown_path(str(node.path))
    return f"{path}, class {node.name}" if isinstance(node, pytest.Class) else path


def _written_at(node: Node) -> frozenset[int]:
    """Return the ids of the markers in the source of a node, without those added at run time."""
    written = node.stash.get(_WRITTEN, None)
    if written is None:
        marks = [*_parameter_marks(node), *get_unpacked_marks(getattr(node, "obj", None))]
        written = node.stash[_WRITTEN] = frozenset(map(id, marks))
    return written


def _check_ambiguity(item: pytest.Item) -> None:
    """Refuse two markers of one kind in the same place: neither of them is closer."""
    parameters = {id(mark) for mark in _parameter_marks(item)}
    places: list[list[pytest.Mark]] = [_parameter_marks(item)]
    for node in item.iter_parents():
        # A class keeps the markers of its bases among its own.
        if not isinstance(node, pytest.Class):
            ids = _written_at(node) - parameters
            places.append([mark for mark in node.own_markers if id(mark) in ids])
    for cls in getattr(getattr(item, "cls", None), "__mro__", ()):
        places.append(get_unpacked_marks(cls, consider_mro=False))
    for place in places:
        try:
            check_one_place([mark.name for mark in place if mark.name in MARKERS])
        except InvalidLimitError as error:
            raise BadMarkerError(str(error)) from error


def _parameter_marks(node: Node) -> list[pytest.Mark]:
    marks = getattr(getattr(node, "callspec", None), "marks", ())
    return [getattr(mark, "mark", mark) for mark in marks]


def _written(mark: pytest.Mark) -> str:
    return written_marker(mark.name, mark.args, mark.kwargs)


def _parse(mark: pytest.Mark, origin: str = "") -> TestRules:
    try:
        return marker_rules(mark.name, mark.args, mark.kwargs, origin=origin)
    except InvalidLimitError as error:
        raise BadMarkerError(str(error)) from error


def _check_markers(items: Iterable[pytest.Item], run: Run) -> None:
    """Check the markers of all tests.

    Raises:
        pytest.UsageError: some are wrong; the message lists each of them with its test.
    """
    problems = []
    right: dict[int, pytest.Mark] = {}  # a marker of a class or a module belongs to many tests
    for item in items:
        try:
            for mark in item.iter_markers():
                if mark.name in MARKERS and id(mark) not in right:
                    _parse(mark)
                    right[id(mark)] = mark
            _check_ambiguity(item)
            rules_of_item(item, run)
        except BadMarkerError as error:
            problems.append(f"{item.nodeid}: {error}")
    if problems:
        raise pytest.UsageError("\n".join(["bad memory limits:", *problems]))


class MarkerCheck:
    """Reports all bad markers as one usage error, before any test runs."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._run = run
        # In a worker of pytest-xdist: data for the reporting process.
        self._workeroutput: dict[str, Any] | None = getattr(config, "workeroutput", None)
        self._problem: str | None = None
        self._deselected: list[pytest.Item] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._deselected += items

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Check the markers after every hook has added its own."""
        for item in session.items:
            marks = (mark for node in item.iter_parents() for mark in node.own_markers)
            item.stash[_BY_HOOKS] = frozenset(map(id, marks))
        try:
            _check_markers([*session.items, *self._deselected], self._run)
        except pytest.UsageError as error:
            if self._workeroutput is None:
                raise
            # A worker cannot raise it: pytest-xdist would treat that as a crash.
            self._workeroutput[_WORKER_PROBLEM] = str(error)
            session.items.clear()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._problem = self._problem or getattr(node, "workeroutput", {}).get(_WORKER_PROBLEM)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        if self._problem is not None:
            raise pytest.UsageError(self._problem)
