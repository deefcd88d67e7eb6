"""Checks all markers of a run, before any test runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from membudget import InvalidLimitError
from membudget.runs import MARKERS, Run, check_one_place

from ._private import get_unpacked_marks
from .item_rules import BadMarkerError, parse_marker, rules_of_item
from .markers import BY_HOOKS, marks_of_parameters, written_at

_WORKER_PROBLEM = "membudget_bad_markers"


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
                    parse_marker(mark)
                    right[id(mark)] = mark
            _check_ambiguity(item)
            rules_of_item(item, run)
        except BadMarkerError as error:
            problems.append(f"{item.nodeid}: {error}")
    if problems:
        raise pytest.UsageError("\n".join(["bad memory limits:", *problems]))


def _check_ambiguity(item: pytest.Item) -> None:
    """Refuse two markers of one kind in the same place: neither of them is closer."""
    parameters = {id(mark) for mark in marks_of_parameters(item)}
    places: list[list[pytest.Mark]] = [marks_of_parameters(item)]
    for node in item.iter_parents():
        # A class keeps the markers of its bases among its own.
        if not isinstance(node, pytest.Class):
            ids = written_at(node) - parameters
            places.append([mark for mark in node.own_markers if id(mark) in ids])
    for cls in getattr(getattr(item, "cls", None), "__mro__", ()):
        places.append(get_unpacked_marks(cls, consider_mro=False))
    for place in places:
        try:
            check_one_place([mark.name for mark in place if mark.name in MARKERS])
        except InvalidLimitError as error:
            raise BadMarkerError(str(error)) from error


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
            item.stash[BY_HOOKS] = frozenset(map(id, marks))
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
