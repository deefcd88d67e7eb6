"""The code that the examples measure: sums over a CSV export of orders."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable


def export(n_orders: int) -> str:
    """Return a CSV export with ``n_orders`` lines."""
    return "\n".join(
        f"{order},customer {order % 97},{order * 7 % 1000}" for order in range(n_orders)
    )


def total(lines: Iterable[str]) -> int:
    """Add up the amounts, one line at a time."""
    return sum(int(amount) for _, _, amount in csv.reader(lines))


def total_in_memory(text: str) -> int:
    """Add up the amounts, with all rows in memory at once."""
    rows = list(csv.reader(io.StringIO(text)))
    return sum(int(amount) for _, _, amount in rows)
