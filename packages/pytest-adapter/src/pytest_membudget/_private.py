"""What this plugin uses of pytest that is not public. pytest 8.4 and 9 have all of it.

A new version of pytest that changes one of these is mended here.
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
    "run_unreported",
]


def run_unreported(item: pytest.Item) -> None:
    """Run a test, set up and torn down, and leave no trace of it in what pytest reports later."""
    properties = list(item.user_properties)
    with _failed_subtests_kept(item.config):
        # pytest takes only the collectors from the next item, those that both tests share.
        runtestprotocol(item, log=False, nextitem=item.parent)  # type: ignore[arg-type]
    item.user_properties[:] = properties
    item._report_sections.clear()


@contextmanager
def _failed_subtests_kept(config: pytest.Config) -> Iterator[None]:
    counted: Any = {}
    if failed_subtests_key is not None:
        counted = config.stash.get(failed_subtests_key, {})
    before = dict(counted)
    yield
    counted.clear()
    counted.update(before)
