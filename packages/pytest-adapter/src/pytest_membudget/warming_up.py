"""Running a test once before it is measured, for stable figures."""

from __future__ import annotations

import warnings

import pytest
from _pytest.runner import runtestprotocol


def warm_up(item: pytest.Item) -> None:
    """Run a test: its function-scoped fixtures are set up and torn down, the others stay.

    What comes of it is for the run that follows to show, so nothing is reported of this one. As
    pytest-rerunfailures does it. Not with ``--pdb``, which would open the debugger twice.
    """
    if item.config.getoption("usepdb"):
        return
    properties = list(item.user_properties)
    with warnings.catch_warnings(record=True):
        # Of the next item, pytest only looks at the collectors that it shares with this one.
        runtestprotocol(item, log=False, nextitem=item.parent)  # type: ignore[arg-type]
    item.user_properties[:] = properties
    item._report_sections.clear()
