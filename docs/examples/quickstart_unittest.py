"""Budgets in unittest; they all hold. Run: python -m unittest_membudget quickstart_unittest"""

from __future__ import annotations

import io
import unittest

from membudget import limit_memory
from orders import export, total, total_in_memory
from unittest_membudget import MemoryTestCase, MemoryTestMixin, no_memory_limit


class LegacyTestCase(unittest.TestCase):
    """Stands for your existing base class."""


@limit_memory("4 MB")
class TotalTest(unittest.TestCase):
    def setUp(self) -> None:
        self.orders = export(20_000)

    def test_reads_line_by_line(self) -> None:
        self.assertEqual(total(io.StringIO(self.orders)), 9_990_000)

    @limit_memory("20 MB")
    def test_in_memory(self) -> None:
        self.assertEqual(total_in_memory(self.orders), 9_990_000)


class ExportTest(MemoryTestCase):
    memory_limit = "4 MB"

    def test_export(self) -> None:
        with self.assertMemoryLimit("2 MB") as memory:
            text = export(1000)
        self.assertEqual(text.count("\n"), 999)
        self.assertLess(memory.retained_bytes, 2 * 1024 * 1024)

    @no_memory_limit("the whole year, once")
    def test_year(self) -> None:
        self.assertMemoryLimit("100 MB", export, 30_000)


class LegacyTest(MemoryTestMixin, LegacyTestCase):
    memory_limit = "4 MB"

    def test_export(self) -> None:
        self.assertTrue(export(1000).startswith("0,"))


if __name__ == "__main__":
    unittest.main()
