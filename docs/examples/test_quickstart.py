"""Budgets in pytest: one fails, as expected. Run: pytest --memray test_quickstart.py"""

from __future__ import annotations

import io

import pytest
from membudget import MemoryLimitExceeded, limit_memory, measure_memory
from orders import export, total, total_in_memory


@pytest.fixture(scope="module")
def orders() -> str:
    return export(20_000)


@pytest.mark.limit_memory("4 MB")
def test_total_reads_line_by_line(orders: str) -> None:
    assert total(io.StringIO(orders)) == 9_990_000


@pytest.mark.xfail(raises=MemoryLimitExceeded, strict=True, reason="it holds all rows at once")
@limit_memory("4 MB", stable=True)
def test_total_holds_all_rows(orders: str) -> None:
    assert total_in_memory(orders) == 9_990_000


def test_streaming_needs_less_memory(orders: str) -> None:
    with limit_memory("4 MB"):
        total(io.StringIO(orders))
    with measure_memory() as greedy:
        total_in_memory(orders)
    assert greedy.peak_bytes > 4 * 1024 * 1024


def test_export() -> None:
    assert export(1000).count("\n") == 999
