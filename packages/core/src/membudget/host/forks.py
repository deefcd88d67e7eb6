"""Forks of the process while other threads measure.

In a child, only the thread that forked continues. A lock that another thread held stays locked
there forever. So a fork waits until no thread imports the engine or its plugins, or starts or stops
a tracker.

Since Python 3.12, a fork warns when the process has several threads. memray's tracker starts a
thread, and membudget one that follows the capture. If there are no others, the warning is
suppressed.
"""

from __future__ import annotations

import logging  # noqa: F401 - it must register for forks before this module, see below
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
"""Hold this lock during work that a fork has to wait for, and only briefly: never while tests or
filters run."""


class _Fork(threading.local):
    """The state of the fork that this thread makes."""

    holds_lock = False
    # For the whole process:
    tracker_runs = False
    follower_runs = False


_fork = _Fork()


def tracker_runs(runs: bool) -> None:
    """Remember whether a tracker of membudget, and so memray's thread, is running."""
    _Fork.tracker_runs = runs


def follower_runs(runs: bool) -> None:
    """Remember whether the thread that follows captures is running."""
    _Fork.follower_runs = runs


class _ForkWarningFilter:
    """Suppresses Python's warning about a fork once: the message pattern of a warnings filter.

    Python 3.12 warns before it calls the functions registered for after the fork; 3.13 warns after
    that.
    """

    def __init__(self) -> None:
        self._filters: list[Any] = []
        self._entry: object = None

    def suppress_next(self) -> None:
        """Suppress the warning of the fork that follows."""
        self.forget()
        # Different from every other filter, because Python would remove an equal one.
        filterwarnings("ignore", module="membudget.host.forks", category=DeprecationWarning)
        self._filters = warnings.filters  # type: ignore[assignment]
        self._filters[0] = self._entry = ("ignore", self, DeprecationWarning, None, 0)

    def match(self, text: str) -> bool:
        """Whether a text is that of this warning; Python calls it for each warning."""
        is_it = re.match(r"This process \(pid=\d+\) is multi-threaded", text) is not None
        if is_it:
            self.forget()
        return is_it

    def forget(self) -> None:
        """Remove the filter."""
        # Other code may have replaced the list of filters with a copy in the meantime.
        for filters in (self._filters, warnings.filters):
            if self._entry in filters:
                filters.remove(self._entry)  # type: ignore[union-attr]
        self._filters = []


_fork_warning = _ForkWarningFilter()


def _before() -> None:
    # With a timeout: the thread that holds the lock could wait for a lock of the forking thread.
    _fork.holds_lock = not_forking.acquire(timeout=_LONGEST_WAIT_SECONDS)
    if _WARNS and (n_ours := _fork.tracker_runs + _fork.follower_runs) and _all_are_ours(n_ours):
        _fork_warning.suppress_next()


def _after() -> None:
    if _fork.holds_lock:
        _fork.holds_lock = False
        not_forking.release()


def _after_in_child() -> None:
    _fork_warning.forget()
    _Fork.follower_runs = False
    _after()


def _all_are_ours(n_ours: int) -> bool:
    """Whether there are no other threads than this one and so many of memray and membudget."""
    if active_count() > 1:
        return False
    try:
        return len(_listdir(_TASKS)) == 1 + n_ours
    except OSError:  # not Linux; there Python counts only its own threads, or those of the system
        return True


# Functions registered last run first. A fork also takes logging's lock, which the thread that holds
# our lock may need to import a module; so our lock must be taken first.
os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
