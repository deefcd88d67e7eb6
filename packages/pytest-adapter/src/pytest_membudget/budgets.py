"""Markers in, budgets out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from membudget import Budget, InvalidSizeError, memory_budget

MARKER = "limit_memory"


class BadMarkerError(ValueError):
    """A marker whose arguments make no budget."""


def budget_of_item(item: pytest.Item) -> Budget:
    """Return the budget of a test: that of its closest marker, or an empty one.

    Raises:
        BadMarkerError: the arguments of the marker make no budget.
    """
    marker = item.get_closest_marker(MARKER)
    return _parse(*marker.args, **marker.kwargs) if marker else Budget()


def _parse(*args: Any, **kwargs: Any) -> Budget:
    written = ", ".join(
        [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
    )
    where = f"@pytest.mark.{MARKER}({written})"
    thread_only = kwargs.pop("current_thread_only", False)
    if len(args) != 1 or kwargs or not isinstance(thread_only, bool):
        raise BadMarkerError(
            f"{where}: write {MARKER}('24 MB') or {MARKER}('24 MB', current_thread_only=True)"
        )
    try:
        return memory_budget(args[0], current_thread_only=thread_only, where=where)
    except InvalidSizeError as error:
        raise BadMarkerError(str(error)) from error


def check_markers(items: Iterable[pytest.Item]) -> None:
    """Check the markers of all tests.

    Raises:
        pytest.UsageError: some are wrong; it lists each with its test.
    """
    problems = []
    for item in items:
        try:
            for marker in item.iter_markers(MARKER):
                _parse(*marker.args, **marker.kwargs)
        except BadMarkerError as error:
            problems.append(f"{item.nodeid}: {error}")
    if problems:
        raise pytest.UsageError("\n".join(["bad memory limits:", *problems]))
