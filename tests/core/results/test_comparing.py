"""What changed between two runs."""

from __future__ import annotations

import pytest
from membudget import Allocation, Figure, Frame, InvalidOptionError, Measurement, Result
from membudget.budget import Budget, Limit, Scope
from membudget.results import (
    Environment,
    FigureChange,
    RunFile,
    StackChange,
    Tolerance,
    compare_runs,
    parse_tolerance,
)
from membudget.verdict import judge

LOAD = (Frame("load", "app.py", 7), Frame("main", "app.py", 20))
MOVED = (Frame("load", "app.py", 9), Frame("main", "app.py", 31))
ALL_COUNTS, EXACT = Scope(), Tolerance()
OTHER = (Frame("load", "other.py", 7), Frame("main", "app.py", 20))


def result(
    name: str,
    peak: int,
    *stacks: Allocation,
    limits: tuple[Figure, ...] = (),
    scope: Scope = ALL_COUNTS,
    n_allocations: int = 1,
) -> Result:
    measurement = Measurement(peak, 5 * peak, n_allocations, 0, allocations=stacks)
    budget = Budget(tuple(Limit(figure, 10**9) for figure in limits), scope)
    return Result(name, measurement, judge(measurement, budget))


def compared(
    old: list[Result], new: list[Result], tolerance: Tolerance = EXACT
) -> list[FigureChange]:
    before, after = (RunFile(Environment(), tuple(results)) for results in (old, new))
    return compare_runs(before, after, tolerance)


def words(changes: list[FigureChange]) -> list[tuple[object, ...]]:
    return [(one.test, one.figure, one.old, one.new, one.change) for one in changes]


def test_each_test_has_a_word() -> None:
    old = [
        result(name, peak) for name, peak in (("gone", 1), ("same", 2), ("less", 9), ("more", 4))
    ]
    new = [result(name, peak) for name, peak in (("more", 5), ("new", 7), ("less", 8), ("same", 2))]
    assert words(compared(old, new)) == [
        ("more", "peak_bytes", 4, 5, "grew"),
        ("new", "peak_bytes", None, 7, "new"),
        ("less", "peak_bytes", 9, 8, "shrank"),
        ("same", "peak_bytes", 2, 2, "same"),
        ("gone", "peak_bytes", 1, None, "gone"),
    ]


def test_figures_with_a_limit_are_compared() -> None:
    """A test with a limit on its allocations fails when these grow, so the user wants to know."""
    limited: tuple[Figure, ...] = ("n_allocations", "peak_bytes", "total_bytes")
    old, new = result("t", 4, n_allocations=8), result("t", 4, n_allocations=9, limits=limited)
    assert words(compared([old], [new])) == [
        ("t", "peak_bytes", 4, 4, "same"),
        ("t", "n_allocations", 8, 9, "grew"),
        ("t", "total_bytes", 20, 20, "same"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (1000, 1100, "same"),
        (1000, 1101, "grew"),
        (1000, 900, "same"),
        (1000, 899, "shrank"),
        (0, 64, "same"),
        (0, 65, "grew"),
    ],
)
def test_a_difference_within_the_tolerance_is_none(old: int, new: int, change: str) -> None:
    (found,) = compared([result("t", old)], [result("t", new)], Tolerance(10, 64))
    assert found.change == change


def test_counts_have_the_percentage_of_a_tolerance_alone() -> None:
    tolerance = Tolerance(10, 65536)
    assert tolerance.covers("n_allocations", 1000, 1100)
    assert not tolerance.covers("n_allocations", 1000, 1101)


@pytest.mark.parametrize(
    ("text", "tolerance"),
    [
        ("10% + 64 KB", Tolerance(10, 65536)),
        ("64KB+2.5%", Tolerance(2.5, 65536)),
        ("5 %", Tolerance(5, 0)),
        ("1 MiB", Tolerance(0, 1 << 20)),
        ("0", Tolerance()),
        ("512", Tolerance(0, 512)),
    ],
)
def test_a_tolerance_is_written_as_people_say_it(text: str, tolerance: Tolerance) -> None:
    assert parse_tolerance(text, where="") == tolerance


@pytest.mark.parametrize("text", ["", "-5%", "10% 64 KB", "10% + ", "a lot", "1e3%"])
def test_another_text_is_an_error(text: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"^--tolerance: .* is not a tolerance: use"):
        parse_tolerance(text, where="--tolerance")


def test_stacks_that_are_new_or_grew_are_found_by_file_and_function() -> None:
    """Lines move when a file is edited above them: that is no new stack."""
    old = [Allocation(100, 1, LOAD), Allocation(50, 1, ()), Allocation(30, 1, OTHER)]
    new = [
        Allocation(70, 1, MOVED),
        Allocation(50, 1, LOAD),  # the same functions at another line: together they grew by 20
        Allocation(50, 1, ()),
        Allocation(10, 1, OTHER),
        Allocation(200, 1, LOAD[1:]),
    ]
    (found,) = compared([result("t", 180, *old)], [result("t", 380, *new)])
    assert found.stacks == (StackChange(LOAD[1:], 0, 200), StackChange(LOAD, 100, 120))
    assert found.stacks_known


def test_installed_packages_are_the_same_wherever_they_are_installed() -> None:
    def lib(start: str) -> Allocation:
        stack = (
            Frame("read", f"{start}/lib/python3.12/site-packages/lib/io.py", 1),
            Frame("loads", f"{start}/lib/python3.12/json/__init__.py", 2),
        )
        return Allocation(len(start), 1, stack)

    old, new = result("t", 1, lib("/usr")), result("t", 9, lib("/home/me/.venv"))
    (found,) = compared([old], [new])
    assert [(one.old_bytes, one.new_bytes) for one in found.stacks] == [(4, 14)]


def test_stacks_are_compared_only_where_both_runs_have_them() -> None:
    """Without the older ones, all would look new."""
    with_stacks = result("t", 9, Allocation(9, 1, LOAD))
    for old, new in ((result("t", 1), with_stacks), (with_stacks, result("t", 99))):
        (found,) = compared([old], [new])
        assert (found.stacks, found.stacks_known) == ((), False)
    (found,) = compared([result("t", 0)], [with_stacks])
    assert (len(found.stacks), found.stacks_known) == (1, True)  # it used nothing before


def test_a_change_of_what_counts_is_noted() -> None:
    (found,) = compared([result("t", 1)], [result("t", 9, scope=Scope(stable=True))])
    assert not found.counts_the_same
