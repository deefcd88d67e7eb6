"""All that is known of a test, as text."""

from __future__ import annotations

from dataclasses import replace

from membudget import (
    Allocation,
    Budget,
    Frame,
    LeakedObjects,
    LeakLimit,
    Limit,
    Measurement,
    ObjectLimit,
    Result,
    Scope,
    Unseen,
)
from membudget.report.explanation_text import explanation_lines
from membudget.testing import make_measurement, make_result
from membudget.verdict import judge

KB = 1024
STACK = (Frame("load", "app.py", 7), Frame("test_load", "test_app.py", 9))


def test_everything_is_shown() -> None:
    leaked = Allocation(80 * KB, 1, STACK)
    measurement = Measurement(
        120 * KB,
        500 * KB,
        1300,
        80 * KB,
        allocations=(Allocation(120 * KB, 2, STACK),),
        retained=(leaked,),
        leaked_objects=(LeakedObjects("app.Thing", 2, STACK[:1], "<Thing>"),),
        unseen=(Unseen("", 50 * KB),),
    )
    budget = Budget(
        (Limit("peak_bytes", 100 * KB, "test_app.py:3"), Limit("n_allocations", 9000)),
        Scope(True, ("app",), (), ("setup", "call"), True),
        LeakLimit(KB, origin="test_app.py:4"),
        ObjectLimit(),
    )
    result = Result(
        "test_load",
        measurement,
        judge(measurement, budget),
        (("setup", make_measurement(5)), ("call", make_measurement(7))),
        outcome="failed",
        file="test_app.py",
        line=5,
        worker="gw0",
        attempt=2,
        is_warm=True,
    )
    assert list(explanation_lines(result)) == [
        "test_load (test_app.py:5): failed",
        "                 used     limit",
        "peak         120.0KiB  100.0KiB  OVER, written in test_app.py:3",
        "total        500.0KiB         -",
        "allocations     1,300     9,000  LOOSE BLIND",
        "retained      80.0KiB         -",
        "May leak 1.0KiB per location, written in test_app.py:4",
        "May leak no objects",
        "It was allowed to leak 1.0KiB per location but 1 location leaked more: 80.0KiB",
        "It was allowed to leak no objects but leaked 2",
        "What counts: setup and call of the test, only='app', its own thread alone, stable figures",
        "Peak of each phase: setup 5.0B, call 7.0B",
        "Measured warm: it had run before",
        "Measured in attempt 2 in gw0",
        "Not counted: the process grew by 50.0KiB more than the figures explain",
        "Leaked:",
        "\t- load:app.py:7 -> 80.0KiB",
        "\t    called by test_load:test_app.py:9",
        "Alive at the peak:",
        "\t- load:app.py:7 -> 120.0KiB",
        "\t    called by test_load:test_app.py:9",
        "Still alive at the end:",
        "\t- load:app.py:7 -> 80.0KiB",
        "\t    called by test_load:test_app.py:9",
        "Objects left behind:",
        "\t- 2 app.Thing, such as <Thing>",
        "\t    made by load:app.py:7",
    ]


def test_what_is_not_known_is_left_out() -> None:
    assert list(explanation_lines(make_result("test_free", make_measurement()))) == [
        "test_free",
        "             used  limit",
        "peak         0.0B      -",
        "total        0.0B      -",
        "allocations     0      -",
        "retained     0.0B      -",
        "What counts: call of the test, default figures",
    ]


def test_missing_stacks_are_said_to_be_missing() -> None:
    measurement = replace(make_measurement(5), stacks_problem="the disk is full", lost_stacks=True)
    lines = list(explanation_lines(make_result("test", measurement)))
    assert "The stack traces could not be read: the disk is full" in lines
    assert any(line.startswith("Stack traces are incomplete: ") for line in lines)


def test_names_cannot_break_the_terminal() -> None:
    measurement = make_measurement(5, site=("f", "\x1b[2J.py", 1))
    result = replace(make_result("t\x1b[31m\n", measurement), file="a\n.py", worker="\x1b")
    assert all(line.lstrip("\t").isprintable() for line in explanation_lines(result))
