"""Orders as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator

Order = dict[str, str]


def export(n_orders: int) -> str:
    """Return orders as CSV."""
    return "id,customer,amount\n" + "".join(
        f"{number},customer-{number % 500},{number % 100}.00\n" for number in range(n_orders)
    )


def read(text: str) -> Iterator[Order]:
    """Yield one order after the other."""
    yield from csv.DictReader(io.StringIO(text))


def total(orders: Iterable[Order]) -> float:
    """Return what all orders cost."""
    return sum(float(order["amount"]) for order in orders)


def by_customer(orders: Iterable[Order]) -> dict[str, list[Order]]:
    """Return the orders of each customer."""
    found: dict[str, list[Order]] = {}
    for order in orders:
        found.setdefault(order["customer"], []).append(order)
    return found


def as_json(orders: Iterable[Order]) -> str:
    """Return orders as JSON."""
    return json.dumps(list(orders), indent=1)


def from_json(text: str) -> list[Order]:
    """Return the orders of a JSON document."""
    orders: list[Order] = json.loads(text)
    return orders
