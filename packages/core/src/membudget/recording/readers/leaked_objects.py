"""Objects that a block left behind: which they are, and where they were made."""

from __future__ import annotations

import contextlib
import reprlib
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

from ...budget import ObjectLimit
from ...errors import FilterError
from ...measurement import Frame, LeakedObjects
from ..capture import import_memray
from .stack_trimming import StackTraces

_EXAMPLE_LENGTH: Final = 100
_OWN_MODULES: Final = "membudget."

_EXAMPLES = reprlib.Repr()
_EXAMPLES.maxother = _EXAMPLES.maxstring = _EXAMPLE_LENGTH


def summarized(
    path: str,
    objects: Iterable[object],
    limit: ObjectLimit,
    start_index: int,
    traces_of: Callable[[Any], StackTraces],
) -> tuple[LeakedObjects, ...]:
    """Sum the objects that count up by type and by the stack that made them, most first.

    Args:
        path: the capture, which is written no more.
        objects: the objects that were left behind.
        limit: says which of them count; membudget's own never do.
        start_index: the first record of the block's start mark.
        traces_of: makes stack traces of the block from that record.

    Raises:
        FilterError: the filter of the limit raised something.
    """
    candidates = [each for each in objects if not type(each).__module__.startswith(_OWN_MODULES)]
    made = _stacks(path, candidates, start_index, traces_of) if candidates else {}
    grouped: dict[tuple[str, tuple[Frame, ...]], list[object]] = {}
    for each in candidates:
        stack = made.get(id(each), ())
        if stack is not None and _counts(each, limit):
            grouped.setdefault((_type_name(each), stack), []).append(each)
    summed = [
        LeakedObjects(type_name, len(group), stack, _example(group[0]))
        for (type_name, stack), group in grouped.items()
    ]
    return tuple(sorted(summed, key=lambda one: (-one.n_objects, one.type_name)))


def _counts(each: object, limit: ObjectLimit) -> bool:
    try:
        return limit.filter_fn is None or bool(limit.filter_fn(each))
    except Exception as error:
        raise FilterError(
            f"the filter_fn of limit_leaked_objects raised {type(error).__name__}: {error}, for an "
            f"object of type {_type_name(each)}"
        ) from error


def _stacks(
    path: str, objects: list[object], start_index: int, traces_of: Callable[[Any], StackTraces]
) -> dict[int, tuple[Frame, ...] | None]:
    """Return by address what stack made each of the objects; None for membudget's own."""
    memray = import_memray()
    with contextlib.closing(memray.FileReader(path)) as reader:
        mark = next(islice(reader.get_allocation_records(), start_index, None), None)
        if mark is None:
            return {}
        traces = traces_of(mark)
    # memray's type hints call it get_tracked_objects, which is not there.
    with contextlib.closing(memray.FileReader(path)) as reader:
        events = reader.get_object_lifetime_events(included_objects=objects)
        # An address is given out again: the last event is that of the object that is alive.
        return {
            event.address: None if traces.is_own(event) else traces.of(event)
            for event in events
            if event.is_created
        }


def _type_name(each: object) -> str:
    kind = type(each)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


def _example(each: object) -> str:
    """Show an object, whatever its repr does."""
    text = " ".join(_EXAMPLES.repr(each).split())
    return text if len(text) <= _EXAMPLE_LENGTH else f"{text[:_EXAMPLE_LENGTH]}..."
