"""What changed between two runs, as text."""

from __future__ import annotations

from membudget import Frame
from membudget.report.comparison_text import comparison_lines
from membudget.results import FigureChange, StackChange, Tolerance

KB = 1024
TOLERANCE = Tolerance(10, 64 * KB)
LOAD = (Frame("load", "app.py", 7), Frame("main", "app.py", 20))


def texts(
    *changes: FigureChange, tolerance: Tolerance = TOLERANCE, differs: tuple[str, ...] = ()
) -> list[str]:
    return [line.text for line in comparison_lines(changes, tolerance, differs)]


def test_the_figures_that_grew_come_first_with_their_stacks() -> None:
    changes = (
        FigureChange("test_gone", "peak_bytes", 10 * KB, None, "gone"),
        FigureChange("test_new", "peak_bytes", None, 1536, "new"),
        FigureChange("test_same", "peak_bytes", 7, 7, "same"),
        FigureChange("test_less", "peak_bytes", 10 * KB, 5 * KB, "shrank"),
        FigureChange(
            "test_more",
            "peak_bytes",
            100 * KB,
            400 * KB,
            "grew",
            (StackChange(LOAD, 0, 200 * KB), StackChange(LOAD[1:], 50 * KB, 150 * KB)),
        ),
        FigureChange("test_count", "n_allocations", 0, 1300, "grew"),
        FigureChange("test_bare", "peak_bytes", 2, 3, "grew", stacks_known=False),
    )
    assert texts(*changes) == [
        "test                           old       new  change",
        "test_more                 100.0KiB  400.0KiB  grew by 300.0KiB (300%)",
        "\t- new: load:app.py:7 -> 200.0KiB",
        "\t    called by main:app.py:20",
        "\t- grew: main:app.py:20 -> 50.0KiB to 150.0KiB",
        "test_count (allocations)         0     1,300  grew by 1,300",
        "test_bare                     2.0B      3.0B  grew by 1.0B (50%)",
        "\tno stacks to compare: both runs need them (--most-allocations=0)",
        "test_new                         -    1.5KiB  new",
        "test_less                  10.0KiB    5.0KiB  shrank by 5.0KiB (50%)",
        "test_gone                  10.0KiB         -  gone",
        "7 figures compared: 3 grew, 1 new, 1 shrank, 1 gone, 1 same; tolerance 10% + 64.0KiB",
    ]
    lines = list(comparison_lines(changes, Tolerance()))
    assert [line.text for line in lines if line.tells == "over"] == [
        lines[1].text,
        lines[5].text,
        lines[6].text,
    ]


def test_the_rest_of_many_stacks_is_summed_up() -> None:
    stacks = tuple(StackChange((), 1 * KB, n * KB) for n in (9, 8, 7, 6, 5))
    change = FigureChange("t", "peak_bytes", 1, 9, "grew", stacks)
    *_, third, rest, _ = texts(change)
    assert third == "\t- grew: <outside of Python code> -> 1.0KiB to 7.0KiB"
    assert rest == "\t- and 2 more grew by 9.0KiB"


def test_what_makes_figures_differ_is_said() -> None:
    change = FigureChange("t", "peak_bytes", 1, 3, "grew", counts_the_same=False)
    first, second, _, row, _ = texts(change, differs=("memray (1.20, 1.21)",))
    assert first == "The runs differ in memray (1.20, 1.21)"
    assert second == "Their figures may differ for that reason alone"
    assert row.endswith("grew by 2.0B (200%); what counts has changed")


def test_nothing_has_changed() -> None:
    change = FigureChange("t", "peak_bytes", 1, 1, "same")
    assert texts(change, tolerance=Tolerance()) == ["1 figure compared: 1 same; tolerance 0"]
    assert texts(tolerance=Tolerance(5)) == ["0 figures compared; tolerance 5%"]


def test_names_cannot_break_the_terminal() -> None:
    frame = Frame("f\n", "\x1b[2J.py", 1)
    change = FigureChange("t\x1b[31m", "peak_bytes", 1, 3, "grew", (StackChange((frame,), 0, 2),))
    assert all(text.lstrip("\t").isprintable() for text in texts(change, differs=("a\x1b",)))
