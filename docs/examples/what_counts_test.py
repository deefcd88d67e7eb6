"""What counts of a test; all limits hold. Run: pytest --memray what_counts_test.py"""

from __future__ import annotations

import io
import logging
import unittest

import pytest
from membudget import limit_memory
from orders import export, total

log = logging.getLogger(__name__)


@pytest.mark.limit_memory("2 MB", only="orders")
def test_our_own_code() -> None:
    answer = bytearray(5_000_000)  # allocated by the test, not by the module orders
    assert total(io.StringIO(export(1000))) == 499_500
    assert answer


@pytest.mark.limit_memory("2 MB", ignore=["logging", "*/_pytest/*"])
def test_without_logging() -> None:
    log.warning("%s", "x" * 1_000_000)
    assert export(1000)


def test_the_setup_is_paused() -> None:
    with limit_memory("3 MB") as memory:
        with memory.paused():
            text = export(20_000)
        assert total(io.StringIO(text)) == 9_990_000


@pytest.fixture
def orders() -> str:
    return export(1000)


@pytest.mark.limit_memory("4 MB", include="setup,call,teardown")
def test_with_its_fixtures(orders: str) -> None:
    assert orders.startswith("0,")


@limit_memory("4 MB", include="setup,call")
class TotalTest(unittest.TestCase):
    def setUp(self) -> None:
        self.orders = export(1000)

    def test_total(self) -> None:
        self.assertEqual(total(io.StringIO(self.orders)), 499_500)


@pytest.mark.limit_memory("200 KB", stable=True)
def test_the_same_figure_each_time() -> None:
    assert total(io.StringIO(export(1000))) == 499_500
