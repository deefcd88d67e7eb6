"""Suggested limits as text."""

from __future__ import annotations

from membudget.report.suggestions_text import table_lines
from membudget.suggestions import LimitNow, Observed, suggest

MB = 1 << 20


def test_columns_are_aligned() -> None:
    """Limits that must be raised come first; numbers are aligned."""
    observed = [
        Observed("test_fits", {"peak_bytes": 9 * MB}, (LimitNow("peak_bytes", 12 * MB),)),
        Observed("test_new", {"peak_bytes": 900}),
        Observed(
            "a/test_long.py::test_loose", {"peak_bytes": 1}, (LimitNow("peak_bytes", 5000 * MB),)
        ),
        Observed("test_over", {"n_allocations": 12345}, (LimitNow("n_allocations", 9),)),
    ]
    lines = list(table_lines(suggest(observed)))
    assert [line.text for line in lines] == [
        "test                                      used  limit now  suggested  why",
        "test_over                   12,345 allocations          9     15_000  "
        "over its limit; used + 20% + 100",
        "test_new                                900.0B          -     1.1 MB  "
        "no limit yet; used + 20% + 1 MB",
        "a/test_long.py::test_loose                1.0B     4.9GiB     1.1 MB  "
        "more room than it needs; used + 20% + 1 MB",
        "1 limit fits as written",
    ]
    assert [line.tells for line in lines] == ["", "over", "", "", ""]


def test_a_long_name_shifts_only_its_own_row() -> None:
    names = ["x" * 200, "test_it"]
    _, long, short = table_lines(suggest(Observed(name, {"peak_bytes": 1}) for name in names))
    assert long.text.startswith("x" * 200 + "  1.0B")
    assert short.text.startswith("test_it" + " " * 53 + "  1.0B")


def test_names_cannot_break_the_terminal() -> None:
    _, row = table_lines(suggest([Observed("test[\x1b[31m\n]", {"peak_bytes": 1})]))
    assert row.text.isprintable()


def test_nothing_is_suggested_without_measurements() -> None:
    (line,) = table_lines([])
    assert line.text == "No test was measured, so no limit can be suggested"
