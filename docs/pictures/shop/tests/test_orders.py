"""Budgets of orders: some fit, some do not."""

from __future__ import annotations

import pytest
from shop.orders import as_json, by_customer, export, from_json, read, total

TEXT = export(20_000)
JSON = as_json(read(export(2_000)))


@pytest.mark.limit_memory("4 MB")
def test_total_reads_one_order_after_the_other() -> None:
    assert total(read(TEXT)) > 0


@pytest.mark.limit_memory("4 MB")
def test_orders_are_grouped_by_customer() -> None:
    assert len(by_customer(read(TEXT))) == 500


@pytest.mark.limit_memory("2 MB")
def test_orders_are_written_as_json() -> None:
    assert as_json(read(export(5_000)))


@pytest.mark.limit_memory("900 KB")
def test_orders_are_read_from_json() -> None:
    assert len(from_json(JSON)) == 2_000


@pytest.mark.limit_memory("64 MB")
def test_orders_are_exported() -> None:
    assert export(5_000).count("\n") == 5_001


@pytest.mark.limit_memory("2 MB", allocations=3_000)
def test_small_files_need_few_allocations() -> None:
    assert total(read(export(100))) > 0


@pytest.mark.parametrize("n_orders", [1, 100])
def test_reading(n_orders: int) -> None:
    assert len(list(read(export(n_orders)))) == n_orders
