"""Markers such as ``limit_memory("24 MB")``: their arguments become rules, and some contradict."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from .budget import Budget
from .budget_arguments import leak_budget, memory_budget, object_budget
from .errors import InvalidLimitError
from .rules import TestRules

LIMIT_MARKERS: Final[Mapping[str, Callable[..., Budget]]] = {
    "limit_memory": memory_budget,
    "limit_leaks": leak_budget,
    "limit_leaked_objects": object_budget,
}
WAIVER: Final = "no_memory_limit"
KEEPS_OUT: Final = "no_memray"
MARKERS: Final = (*LIMIT_MARKERS, WAIVER, KEEPS_OUT)
LIMIT_WITHOUT_MEASURING: Final = (
    f"this limit cannot be enforced, because {KEEPS_OUT} keeps the test from being measured. "
    f"Remove one of the two, or also mark the test {WAIVER}"
)


def _no_memory_limit(reason: str = "", *, where: str) -> str:
    if not isinstance(reason, str):
        raise InvalidLimitError(f"{where}: reason must be a string, not {reason!r}")
    return reason


def _no_memray(*, where: str) -> None:
    """Take no arguments."""


_TAKES: Final[Mapping[str, Callable[..., Any]]] = {
    **LIMIT_MARKERS,
    WAIVER: _no_memory_limit,
    KEEPS_OUT: _no_memray,
}


@functools.cache
def arguments_of(name: str) -> inspect.Signature:
    """Return the arguments that a marker accepts, without the internal where= and origin=.

    Example:
        >>> list(arguments_of("limit_leaks").parameters)
        ['location_limit', 'filter_fn', 'current_thread_only']
    """
    signature = inspect.signature(_TAKES[name])
    own = [one for one in signature.parameters.values() if one.name not in ("where", "origin")]
    return signature.replace(parameters=own)


def marker_rules(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, where: str = "", origin: str = ""
) -> TestRules:
    """Return the rules that a marker declares.

    Args:
        name: one of ``MARKERS``.
        args, kwargs: its arguments.
        where: what the marker was written with; the error message starts with it.
        origin: where the limit was written, see :class:`membudget.Limit`.

    Raises:
        InvalidLimitError: the arguments are wrong.
    """
    where = where or written_marker(name, args, kwargs)
    try:
        arguments_of(name).bind(*args, **kwargs)
        if name in LIMIT_MARKERS:
            return TestRules(LIMIT_MARKERS[name](*args, **kwargs, where=where, origin=origin))
        if name == WAIVER:
            return TestRules(waiver=_no_memory_limit(*args, **kwargs, where=where))
        return TestRules(measured=False)
    except TypeError as error:
        raise InvalidLimitError(f"{where}: {error}") from error


def written_marker(name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> str:
    """Return a marker as it is written in the source.

    Example:
        >>> written_marker("limit_memory", ["24 MB"], {"stable": True})
        "@pytest.mark.limit_memory('24 MB', stable=True)"
    """
    arguments = [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
    return f"@pytest.mark.{name}({', '.join(arguments)})"


def check_one_place(names: Sequence[str]) -> None:
    """Refuse two markers of one kind in the same place.

    Args:
        names: the names of all markers about memory there.

    Raises:
        InvalidLimitError: neither of two markers is closer.
    """
    kinds = ["limit_memory" if name == WAIVER else name for name in names if name != KEEPS_OUT]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise InvalidLimitError(
                f"two {kind} or {WAIVER} markers in the same place, and neither is closer: "
                f"keep one of them, with all limits"
            )
