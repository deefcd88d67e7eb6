"""Columns of tables."""

from __future__ import annotations

from membudget.report.tables import aligned


def test_numbers_end_in_one_column() -> None:
    rows = [("name", "a", "b", "why"), ("x", "1,000", "5", ""), ("longer", "7", "12.5KiB", "so")]
    assert aligned(rows) == [
        "name        a        b  why",
        "x       1,000        5",
        "longer      7  12.5KiB  so",
    ]


def test_a_long_name_moves_its_own_row_only() -> None:
    long, short = aligned([("x" * 200, "1", "a"), ("y", "1", "b")])
    assert long == "x" * 200 + "  1  a"
    assert short == "y" + " " * 59 + "  1  b"
