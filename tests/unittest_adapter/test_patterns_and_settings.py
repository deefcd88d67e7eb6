"""Patterns that match nothing, and lost stacks: what the unittest adapter says of them."""

from __future__ import annotations

from pathlib import Path

from conftest import run_python_in

SUITE = """
import sys
import unittest
import orders
from membudget import limit_memory
from unittest_membudget import MemoryTestCase

class Orders(MemoryTestCase):
    @limit_memory("9 MB", only="orders", ignore=["json"])
    def test_counts(self): orders.load()
    @limit_memory("9 MB", only="orders", ignore=["json"])
    def test_counts_nothing(self): bytearray(1_000_000)
    @limit_memory("9 MB", only="oders")
    def test_misspelt(self): bytearray(1_000_000)
    @limit_memory("9 MB", only="orders")
    def test_profiled(self):
        sys.setprofile(None)
        orders.load()
"""


def test_patterns_and_lost_stacks(tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text("def load(n=1_000_000): return bytearray(n)\n")
    (tmp_path / "test_suite.py").write_text(SUITE)
    for runner in ("unittest_membudget", "unittest"):
        done = run_python_in(tmp_path, "-m", runner, "test_suite")
        assert "FAILED (errors=2)" in done.stderr
        assert "only='oders' matches nothing: no code of this name is loaded" in done.stderr
        assert "the code in this block replaced Python's profile function" in done.stderr
        lines = [line for line in done.stderr.splitlines() if "matched nothing" in line]
        assert lines == (
            [
                "only='orders' matched nothing in 1 of 2 tests: "
                "test_suite.Orders.test_counts_nothing",
                "ignore='json' matched nothing in 2 tests",
            ]
            if runner == "unittest_membudget"
            else []
        )


def test_a_table_for_both_front_ends(tmp_path: Path) -> None:
    """What only pytest has is no mistake; the nearest file without the table is passed over."""
    below = tmp_path / "below"
    below.mkdir()
    (tmp_path / "pyproject.toml").write_text(
        "[tool.membudget]\nmemray_default_limit = '1 MB'\nmemray_enforce_markers = 'always'\n"
    )
    (below / "pyproject.toml").write_text("[project]\nname = 'below'\n")
    (below / "test_it.py").write_text(
        "import unittest\n"
        "class Test(unittest.TestCase):\n"
        "    def test_it(self): bytearray(5_000_000)\n"
    )
    done = run_python_in(below, "-m", "unittest_membudget")
    assert "Test was limited to 1.0MiB but allocated 4.8MiB" in done.stderr
    assert "nothing without" not in done.stderr


def test_settings_without_effect_are_named_once(tmp_path: Path) -> None:
    """All but those that need --memray, which is always on here, and those that pytest has."""
    (tmp_path / "pyproject.toml").write_text(
        "[tool.membudget]\nmemray_bin_prefix = 'p'\nmemray_stable = true\n"
        "memray_enforce_markers = 'always'\n"
    )
    done = run_python_in(tmp_path, "-m", "unittest_membudget")
    said = (
        "membudget: this setting does nothing without memray_bin_path: memray_bin_prefix "
        "(pyproject.toml)"
    )
    assert done.stderr.splitlines().count(said) == 1, done.stderr
    done = run_python_in(tmp_path, "-m", "unittest_membudget", "--memray-bin-prefix=q")
    assert done.returncode == 2
    assert "--memray-bin-prefix does nothing without --memray-bin-path: add" in done.stderr
