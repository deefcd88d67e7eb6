"""The table of all tests."""

from __future__ import annotations

from dataclasses import replace

import pytest
from membudget import Budget, Limit, Result
from membudget.report.table_of_tests import table_of_tests
from membudget.testing import make_measurement, make_result
from membudget.verdict import judge

KB = 1024
LONG = "packages/orders/tests/unit/test_export.py::test_all[a/b/c]"


def results() -> list[Result]:
    several = make_measurement(*[4] * 1234)
    limits = Limit("peak_bytes", 10 * KB), Limit("total_bytes", 4 * KB)
    return [
        Result("tests/test_b.py::test_total", several, judge(several, Budget(limits))),
        replace(make_result("tests/test_a.py::test_free", make_measurement(5)), outcome="failed"),
        make_result(LONG, make_measurement(90 * KB), 80 * KB),
        make_result("tests/test_a.py::test_near", make_measurement(79 * KB), 80 * KB),
        make_result("tests/test_a.py::test_none", make_measurement()),
    ]


def test_numbers_are_in_columns_and_the_largest_peak_is_first() -> None:
    lines = list(table_of_tests(results()))
    assert [line.text for line in lines] == [
        "   peak    limit  used    total  allocs     left  test",
        f"90.0KiB  80.0KiB  112%  90.0KiB       1  90.0KiB  {LONG}  OVER",
        "79.0KiB  80.0KiB   99%  79.0KiB       1  79.0KiB  tests/test_a.py::test_near  NEAR, TIGHT",
        " 4.8KiB  10.0KiB   48%   4.8KiB   1,234   4.8KiB  tests/test_b.py::test_total  "
        "TIGHT, total OVER",
        "   5.0B        -     -     5.0B       1     5.0B  tests/test_a.py::test_free",
        "   0.0B        -     -     0.0B       0     0.0B  tests/test_a.py::test_none",
    ]
    assert [line.tells for line in lines] == ["", "over", "near", "over", "failed", ""]


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (200, LONG),
        (100, ".../unit/test_export.py::test_all[a/b/c]"),
        (80, ".../test_export.py::test_all[a/b/c]"),
        (1, ".../test_export.py::test_all[a/b/c]"),
    ],
)
def test_paths_are_shortened_to_a_terminal(width: int, shown: str) -> None:
    """Only the directories of the file: a parameter of a test stays as it is."""
    lines = [line.text for line in table_of_tests(results(), width=width)]
    assert lines[1].partition("90.0KiB  ")[2].endswith(f"  {shown}  OVER")


def test_there_is_no_table_without_tests() -> None:
    assert not list(table_of_tests([]))
