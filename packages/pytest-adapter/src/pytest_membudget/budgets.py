"""Markers in, budgets out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from membudget import Budget, InvalidSizeError, memory_budget

MARKER = "limit_memory"
_WORKER_PROBLEM = "membudget_bad_markers"


class BadMarkerError(ValueError):
    """A marker whose arguments make no budget."""


def budget_of_item(item: pytest.Item) -> Budget:
    """Return the budget of a test: that of its closest marker, or an empty one.

    Raises:
        BadMarkerError: the arguments of the marker make no budget.
    """
    # That of pytest.param() is closest, and comes behind that of the function in iter_markers().
    callspec = getattr(item, "callspec", None)
    own = [mark for mark in getattr(callspec, "marks", ()) if mark.name == MARKER]
    marker = own[0] if own else item.get_closest_marker(MARKER)
    return _parse(marker) if marker else Budget()


def _parse(marker: pytest.Mark) -> Budget:
    arguments = [*map(repr, marker.args), *(f"{k}={v!r}" for k, v in marker.kwargs.items())]
    where = f"@pytest.mark.{MARKER}({', '.join(arguments)})"
    try:
        return _limit_memory(*marker.args, **marker.kwargs, where=where)
    except TypeError as error:
        wrong = str(error).replace("_limit_memory()", f"{MARKER}()")
        raise BadMarkerError(f"{where}: {wrong}") from error
    except InvalidSizeError as error:
        raise BadMarkerError(str(error)) from error


def _limit_memory(limit: str | int, *, current_thread_only: bool = False, where: str) -> Budget:
    """Take what the marker takes."""
    if not isinstance(current_thread_only, bool):
        raise TypeError(f"current_thread_only is True or False, not {current_thread_only!r}")
    return memory_budget(limit, current_thread_only=current_thread_only, where=where)


def _check_markers(items: Iterable[pytest.Item]) -> None:
    """Check the markers of all tests.

    Raises:
        pytest.UsageError: some are wrong; it lists each with its test.
    """
    problems = []
    for item in items:
        try:
            for marker in item.iter_markers(MARKER):
                _parse(marker)
        except BadMarkerError as error:
            problems.append(f"{item.nodeid}: {error}")
    if problems:
        raise pytest.UsageError("\n".join(["bad memory limits:", *problems]))


class MarkerCheck:
    """Makes bad markers one usage error of the run, before any test."""

    def __init__(self, config: pytest.Config) -> None:
        # Of a worker of pytest-xdist: what it leaves to the reporting process.
        self._workeroutput: dict[str, Any] | None = getattr(config, "workeroutput", None)
        self._problem: str | None = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        try:
            _check_markers(items)
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
