"""Forks of the process while other threads measure.

In a child, only the thread that forked goes on. A lock that another thread held stays locked there
forever. So a fork waits until no thread imports the engine or its plugins, or starts or stops a
tracker.

Since Python 3.12, a fork warns when the process has several threads. memray's tracker has one of
its own, which is no reason to: the warning is left out where that is the only one.
"""

from __future__ import annotations

import logging  # noqa: F401 - it registers for forks before we do, see below
import os
import re
import sys
import threading
import warnings
from threading import active_count
from typing import Any, Final
from warnings import filterwarnings

_LONGEST_WAIT_SECONDS: Final = 5.0
_WARNS: Final = sys.version_info >= (3, 12)
_TASKS: Final = "/proc/self/task"
_listdir: Final = os.listdir

not_forking: Final = threading.RLock()
"""Hold it for what a fork has to wait for, and briefly: not while tests or filters run."""


class _Fork(threading.local):
    """What was done before the fork that this thread makes."""

    is_waited_for = False
    tracker_runs = False  # of the whole process


_fork = _Fork()


def tracker_runs(runs: bool) -> None:
    """Take note of whether a tracker of membudget runs, and with it memray's thread."""
    _Fork.tracker_runs = runs


class _ForksWarning:
    """Stands in a filter for the text of Python's warning: matches it once, and is gone.

    Python 3.12 warns before it calls what is registered for after the fork, 3.13 does so later.
    """

    def __init__(self) -> None:
        self._filters: list[Any] = []
        self._entry: object = None

    def leave_out(self) -> None:
        """Leave the warning out of the fork that is about to be made."""
        self.forget()
        # Like no other filter, because Python would take an equal one out.
        filterwarnings("ignore", module="membudget.host.forks", category=DeprecationWarning)
        self._filters = warnings.filters  # type: ignore[assignment]
        self._filters[0] = self._entry = ("ignore", self, DeprecationWarning, None, 0)

    def match(self, text: str) -> bool:
        """Whether it is this warning; called by Python where something warns."""
        is_it = re.match(r"This process \(pid=\d+\) is multi-threaded", text) is not None
        if is_it:
            self.forget()
        return is_it

    def forget(self) -> None:
        """Take the filter out again."""
        # Whoever has copied the filters meanwhile may have put the copy in their place.
        for filters in (self._filters, warnings.filters):
            if self._entry in filters:
                filters.remove(self._entry)  # type: ignore[union-attr]
        self._filters = []


_forks_warning = _ForksWarning()


def _before() -> None:
    # Not forever: a thread that is waited for could wait for a lock of the one that forks.
    _fork.is_waited_for = not_forking.acquire(timeout=_LONGEST_WAIT_SECONDS)
    if _WARNS and _fork.tracker_runs and _memrays_is_the_only_other_thread():
        _forks_warning.leave_out()


def _after() -> None:
    if _fork.is_waited_for:
        _fork.is_waited_for = False
        not_forking.release()


def _after_in_child() -> None:
    _forks_warning.forget()
    _after()


def _memrays_is_the_only_other_thread() -> bool:
    if active_count() > 1:
        return False
    try:
        return len(_listdir(_TASKS)) == 2
    except OSError:  # not Linux: Python counts the threads of Python alone there, or of the system
        return True


# What is registered last comes first. A fork takes logging's lock as well, which a thread that is
# waited for may need to import something.
os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
