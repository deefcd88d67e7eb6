"""Turns the markers of a test into its rules."""

from __future__ import annotations

import operator
from typing import NamedTuple

import pytest
from membudget import InvalidLimitError
from membudget.runs import (
    KEEPS_OUT,
    LIMIT_WITHOUT_MEASURING,
    MARKERS,
    Budget,
    Run,
    TestRules,
    budget_of,
    marker_rules,
    written_marker,
)

from .markers import PlacedMarker, closest_first, rules_outside


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
    outside = rules_outside(item)
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
    for declared in closest_first(item):
        if isinstance(declared, PlacedMarker):
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


def _rules_in(placed: PlacedMarker) -> TestRules:
    """Return the rules that one marker declares; empty rules for a marker not about memory."""
    mark, origin = placed
    return parse_marker(mark, origin) if mark.name in MARKERS else TestRules()


def _written(mark: pytest.Mark) -> str:
    return written_marker(mark.name, mark.args, mark.kwargs)


def parse_marker(mark: pytest.Mark, origin: str = "") -> TestRules:
    """Return the rules that a marker about memory declares.

    Raises:
        BadMarkerError: its arguments are wrong.
    """
    try:
        return marker_rules(mark.name, mark.args, mark.kwargs, origin=origin)
    except InvalidLimitError as error:
        raise BadMarkerError(str(error)) from error
