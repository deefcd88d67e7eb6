"""Limits on leaks; they all hold. Run: pytest --memray test_leaks.py"""

from __future__ import annotations

import io
import sys

from membudget import limit_leaked_objects, limit_leaks
from orders import export, total


class Order:
    def __init__(self, line: str) -> None:
        self.line = line


@limit_leaks("20 KB")
def test_export_does_not_leak() -> None:
    export(1000)


@limit_leaks("1 KB", filter_fn=lambda stack: "csv" not in stack.frames[0].filename)
def test_total_does_not_leak() -> None:
    assert total(io.StringIO(export(1000))) == 499_500


if sys.version_info >= (3, 13, 3):

    @limit_leaked_objects(filter_fn=lambda each: isinstance(each, Order))
    def test_orders_are_released() -> None:
        assert len([Order(line) for line in export(100).splitlines()]) == 100
