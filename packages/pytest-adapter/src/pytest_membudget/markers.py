"""The markers of pytest that are about memory, and their order at a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from membudget.runs import KEEPS_OUT, LIMIT_MARKERS, WAIVER, TestRules, rules_of, shown_path

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
BY_HOOKS = pytest.StashKey[frozenset[int]]()
"""The ids of the markers that a test has when the collection ends."""


class PlacedMarker(NamedTuple):
    """A marker, and where it stands; empty for the test itself, which every failure names."""

    mark: pytest.Mark
    origin: str = ""


def rules_outside(item: pytest.Item) -> TestRules | None:
    """Return the rules that another framework's class declares for a test; None without a class."""
    if isinstance(item, pytest.Function) and item.cls is not None:
        return rules_of(item.cls, item.originalname)
    return None


def has_limit_marker(item: pytest.Item) -> bool | None:
    """Whether the closest marker of a test is a limit, not a waiver; None if it has neither."""
    names = (*LIMIT_MARKERS, WAIVER)
    if any(mark.name in names for mark in item.iter_markers()):
        for declared in closest_first(item):
            if isinstance(declared, PlacedMarker) and declared.mark.name in names:
                return declared.mark.name != WAIVER
    return None


def closest_first(item: pytest.Item) -> Iterator[PlacedMarker | TestRules]:
    """Yield the markers of a test, and the rules that another framework's class declares for it."""
    added: list[pytest.Mark] = []
    for node in item.iter_parents():
        if node.own_markers:
            written = written_at(node)
            # pytest stores the markers of a base class before those of the class, and those of
            # pytest.param() after those of the function.
            place = _place_of(node)
            own = (mark for mark in reversed(node.own_markers) if id(mark) in written)
            yield from (PlacedMarker(mark, place) for mark in own)
            added += (mark for mark in node.own_markers if id(mark) not in written)
        if node is item.parent:
            outside = rules_outside(item)
            if outside is not None:
                yield outside
    if added:
        # Markers that fixtures add do not exist yet when the collection ends.
        by_hooks = item.stash.get(BY_HOOKS, frozenset(map(id, added)))
        by_fixtures = (mark for mark in reversed(added) if id(mark) not in by_hooks)
        yield from (PlacedMarker(mark, "a fixture, which added the marker") for mark in by_fixtures)
        others = (mark for mark in added if id(mark) in by_hooks)
        yield from (PlacedMarker(mark, "a hook, which added the marker") for mark in others)


def _place_of(node: Node) -> str:
    """Return where the markers of a class, a module or a package are written."""
    if isinstance(node, pytest.Item):
        return ""
    path = shown_path(str(node.path))
    return f"{path}, class {node.name}" if isinstance(node, pytest.Class) else path


def written_at(node: Node) -> frozenset[int]:
    """Return the ids of the markers in the source of a node, without those added at run time."""
    written = node.stash.get(_WRITTEN, None)
    if written is None:
        marks = [*marks_of_parameters(node), *get_unpacked_marks(getattr(node, "obj", None))]
        written = node.stash[_WRITTEN] = frozenset(map(id, marks))
    return written


def marks_of_parameters(node: Node) -> list[pytest.Mark]:
    """Return the markers of the ``pytest.param()`` that a test was made from."""
    marks = getattr(getattr(node, "callspec", None), "marks", ())
    return [getattr(mark, "mark", mark) for mark in marks]
