"""Objects that a block leaked, and the stacks that made them."""

from __future__ import annotations

import contextlib
import reprlib
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from ...measurement import Frame, LeakedObjects, type_name
from ..capture import import_memray
from ..request import BlockRequest
from .found_stacks import frames_of
from .stack_trimming import StackTraces, is_own

_EXAMPLE_LENGTH: Final = 100
_OWN_MODULES: Final = "membudget."

_EXAMPLES = reprlib.Repr()
_EXAMPLES.maxother = _EXAMPLES.maxstring = _EXAMPLE_LENGTH


def summarized(
    path: str,
    objects: Iterable[object],
    counts: Callable[[object], bool],
    start_index: int,
    request: BlockRequest,
) -> tuple[LeakedObjects, ...]:
    """Group the objects that count by type and by the stack that made them, largest group first.

    Args:
        path: the complete capture.
        objects: the objects that are still alive.
        counts: returns whether an object counts; membudget's own objects never do.
        start_index: the first record of the block's start mark.
        request: the block.
    """
    candidates = [each for each in objects if not type(each).__module__.startswith(_OWN_MODULES)]
    made = _stacks(path, candidates, start_index, request) if candidates else {}
    grouped: dict[tuple[str, tuple[Frame, ...]], list[object]] = {}
    for each in candidates:
        stack = made.get(id(each), ())
        if stack is not None and counts(each):
            grouped.setdefault((type_name(each), stack), []).append(each)
    summed = [
        LeakedObjects(name, len(group), stack, _example(group[0]))
        for (name, stack), group in grouped.items()
    ]
    return tuple(sorted(summed, key=lambda one: (-one.n_objects, one.type_name)))


def _stacks(
    path: str, objects: list[object], start_index: int, request: BlockRequest
) -> dict[int, tuple[Frame, ...] | None]:
    """Return, by address, the stack that made each of the objects; None for membudget's own."""
    memray = import_memray()
    with contextlib.closing(memray.FileReader(path)) as reader:
        mark = next(islice(reader.get_allocation_records(), start_index, None), None)
        if mark is None:
            return {}
        traces = StackTraces(request, frames_of(mark))
    # memray's type hints name it get_tracked_objects, which does not exist.
    with contextlib.closing(memray.FileReader(path)) as reader:
        events = reader.get_object_lifetime_events(included_objects=objects)
        # Addresses are reused: the last event belongs to the object that is alive.
        return {
            event.address: _inside(traces, frames_of(event)) for event in events if event.is_created
        }


def _inside(traces: StackTraces, frames: list[Frame]) -> tuple[Frame, ...] | None:
    return None if frames and is_own(frames[0]) else traces.inside(frames)


def _example(each: object) -> str:
    """Return a line that shows an object, even if its repr raises."""
    text = " ".join(_EXAMPLES.repr(each).split())
    return text if len(text) <= _EXAMPLE_LENGTH else f"{text[:_EXAMPLE_LENGTH]}..."
