"""Checks the arguments of ``limit_memory``, ``limit_leaks``, ... and makes budgets of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias, cast

from .availability import platform_is_supported
from .budget import Budget, LeakLimit, Limit, ObjectLimit, Scope, parse_phases
from .errors import InvalidLimitError, UnsupportedLimitError
from .measurement import Figure, Stack
from .sizes import parse_size
from .stack_filter import check_patterns

Patterns: TypeAlias = str | Iterable[str] | None
OLDEST_PYTHON_WITH_OBJECTS: Final = (3, 13, 3)
"""From memray's documentation of ``Tracker(track_object_lifetimes=True)``."""


def object_budget(
    *,
    filter_fn: Callable[[object], object] | None = None,
    where: str = "limit_leaked_objects",
    origin: str = "",
) -> Budget:
    """Return the budget that the arguments of ``limit_leaked_objects`` stand for.

    Args:
        filter_fn: see :class:`limit_leaked_objects`.
        where: what the limit was written with; the error message starts with it.
        origin: where the limit was written, see :class:`Limit`.

    Raises:
        InvalidLimitError: for a filter that is not callable, or if objects cannot be tracked here.
    """
    _check_filter(filter_fn, where)
    if platform_is_supported() and sys.version_info < OLDEST_PYTHON_WITH_OBJECTS:
        wanted = ".".join(map(str, OLDEST_PYTHON_WITH_OBJECTS))
        version = ".".join(map(str, sys.version_info[:3]))
        raise UnsupportedLimitError(
            f"{where}: leaked objects cannot be found with CPython {version}: use CPython {wanted} "
            f"or later"
        )
    from .recording.readers.scanner import scanner_problem

    problem = scanner_problem() if platform_is_supported() else None
    if problem is not None:
        raise UnsupportedLimitError(
            f"{where}: leaked objects can be found only by the reader in C, but {problem}"
        )
    return Budget(objects=ObjectLimit(filter_fn, origin))


def leak_budget(
    location_limit: str | int,
    *,
    filter_fn: Callable[[Stack], object] | None = None,
    current_thread_only: bool = False,
    where: str = "limit_leaks",
    origin: str = "",
) -> Budget:
    """Return the budget that the arguments of ``limit_leaks`` stand for.

    Args:
        location_limit, filter_fn, current_thread_only: see :class:`limit_leaks`.
        where: what the limit was written with; the error message starts with it.
        origin: where the limit was written, see :class:`Limit`.

    Raises:
        InvalidLimitError: for an invalid size, or a filter that is not callable.
    """
    _check_filter(filter_fn, where)
    leaks = LeakLimit(parse_size(location_limit, where=where), filter_fn, origin)
    return Budget((), _scope(where, current_thread_only=current_thread_only), leaks)


def memory_budget(
    limit: str | int | None = None,
    *,
    total: str | int | None = None,
    allocations: int | None = None,
    retained: str | int | None = None,
    current_thread_only: bool = False,
    only: Patterns = None,
    ignore: Patterns = None,
    include: str | None = None,
    stable: bool | None = None,
    where: str = "limit_memory",
    origin: str = "",
) -> Budget:
    """Return the budget that the arguments of ``limit_memory`` stand for.

    Args:
        limit, total, allocations, retained, current_thread_only, only, ignore, include, stable:
            see :class:`limit_memory`.
        where: what the limit was written with; the error message starts with it.
        origin: where the limit was written, see :class:`Limit`.

    Raises:
        InvalidLimitError: for an invalid size, count, pattern or phase, or if no limit is given.
    """
    limits: list[Limit] = []
    for name, figure, size in (
        ("", "peak_bytes", limit),
        (", total", "total_bytes", total),
        (", retained", "retained_bytes", retained),
    ):
        if size is not None:
            maximum = parse_size(size, where=f"{where}{name}")
            limits.append(Limit(cast(Figure, figure), maximum, origin))
    if allocations is not None:
        if not isinstance(allocations, int) or isinstance(allocations, bool) or allocations < 0:
            raise InvalidLimitError(
                f"{where}, allocations: {allocations!r} is not a count: use an int of 0 or more"
            )
        limits.append(Limit("n_allocations", int(allocations), origin))
    if not limits:
        raise InvalidLimitError(
            f"{where}: no limit is given: add a size for the peak, or total=, allocations= or "
            f"retained="
        )
    scope = _scope(
        where,
        current_thread_only=current_thread_only,
        only=only,
        ignore=ignore,
        include=include,
        stable=stable,
    )
    return Budget(tuple(limits), scope)


def _check_filter(filter_fn: object, where: str) -> None:
    if filter_fn is not None and not callable(filter_fn):
        raise InvalidLimitError(
            f"{where}, filter_fn: {filter_fn!r} is not callable: use a function that returns "
            f"whether to count its argument"
        )


def _scope(
    where: str,
    *,
    current_thread_only: bool,
    only: Patterns = None,
    ignore: Patterns = None,
    include: str | None = None,
    stable: bool | None = None,
) -> Scope:
    for name, switch in (("current_thread_only", current_thread_only), ("stable", stable)):
        if not isinstance(switch, bool | None) or (switch is None and name != "stable"):
            raise InvalidLimitError(f"{where}, {name}: {switch!r} is not True or False")
    return Scope(
        current_thread_only,
        () if only is None else check_patterns(only, where=f"{where}, only"),
        () if ignore is None else check_patterns(ignore, where=f"{where}, ignore"),
        () if include is None else parse_phases(include, where=f"{where}, include"),
        stable,
    )
