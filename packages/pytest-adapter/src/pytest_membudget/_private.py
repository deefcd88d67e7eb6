"""The private names of pytest that this plugin uses. pytest 8.4 and 9 have all of them.

If a new version of pytest changes one, adapt this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import _pytest as pytest_itself
import pytest
from _pytest.capture import CaptureIO
from _pytest.logging import LogCaptureHandler
from _pytest.mark.structures import get_unpacked_marks
from _pytest.nodes import Node
from _pytest.runner import runtestprotocol

try:
    from _pytest.subtests import failed_subtests_key
except ImportError:  # pytest 8 has no subtests
    failed_subtests_key = None  # type: ignore[assignment]

__all__ = [
    "CaptureIO",
    "LogCaptureHandler",
    "Node",
    "get_unpacked_marks",
    "pytest_itself",
    "run_again",
    "run_unreported",
]


def run_unreported(item: pytest.Item) -> None:
    """Set up, run and tear down a test, without a trace in later reports of pytest."""
    properties = list(item.user_properties)
    with _failed_subtests_kept(item.config):
        # pytest uses the next item only to find the collectors that both tests share.
        runtestprotocol(item, log=False, nextitem=item.parent)  # type: ignore[arg-type]
    item.user_properties[:] = properties
    item._report_sections.clear()


def run_again(item: pytest.Item, properties: list[tuple[str, object]]) -> None:
    """During the call of a test: tear it down, set it up, and call it again.

    Later reports of pytest have the output and the properties of this run only.

    Args:
        item: the test.
        properties: its properties before it was set up.
    """
    # As above.
    item.ihook.pytest_runtest_teardown(item=item, nextitem=item.parent)
    item._report_sections.clear()
    item.user_properties[:] = properties
    item._initrequest()  # type: ignore[attr-defined]
    item.ihook.pytest_runtest_setup(item=item)
    item.ihook.pytest_runtest_call(item=item)


@contextmanager
def _failed_subtests_kept(config: pytest.Config) -> Iterator[None]:
    counted: Any = {}
    if failed_subtests_key is not None:
        counted = config.stash.get(failed_subtests_key, {})
    before = dict(counted)
    yield
    counted.clear()
    counted.update(before)
