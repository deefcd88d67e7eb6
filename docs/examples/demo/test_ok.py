"""The demo of the usage text: the second test is over its limit."""

from __future__ import annotations

import pytest


def test_track() -> None:
    queue = []
    for value in range(1):
        queue.append(value)
    assert [1] * 5_000


@pytest.mark.limit_memory("100 KB")
def test_memory_exceed() -> None:
    found = [[i] * 1_000 for i in range(15)]
    assert found
