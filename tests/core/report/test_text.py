"""What a report and a failure say."""

from __future__ import annotations

import io

from membudget import Allocation, Budget, Frame, Limit, Measurement, judge
from membudget.report.text import (
    can_show_symbols,
    exceeded_line,
    exceeded_message,
    exceeded_section,
    report_lines,
)
from membudget.testing import make_measurement, make_result

DEMO = make_measurement(*[8000] * 15, site=("<listcomp>", "/w/demo/test_ok.py", 17))


def test_the_report_of_the_usage_text() -> None:
    """Line by line, with the differences that the design names."""
    results = [
        make_result(
            "demo/test_ok.py::test_track",
            make_measurement(40_000, site=("test_track", "/w/demo/test_ok.py", 12)),
        ),
        make_result("demo/test_ok.py::test_memory_exceed", DEMO, 100 * 1024),
    ]
    assert "\n".join(report_lines(results, most_allocations=5)) == (
        "Allocations results for demo/test_ok.py::test_memory_exceed\n"
        "\n"
        "\t 📦 Total memory allocated: 117.2KiB\n"
        "\t 📏 Total allocations: 15\n"
        "\t ⛰ Peak memory: 117.2KiB (117% of the 100.0KiB limit)\n"
        "\t 📊 Histogram of allocation sizes: |█|\n"
        "\t 🥇 Biggest allocating functions:\n"
        "\t\t- <listcomp>:/w/demo/test_ok.py:17 -> 117.2KiB\n"
        "\n"
        "\n"
        "Allocations results for demo/test_ok.py::test_track\n"
        "\n"
        "\t 📦 Total memory allocated: 39.1KiB\n"
        "\t 📏 Total allocations: 1\n"
        "\t ⛰ Peak memory: 39.1KiB\n"
        "\t 📊 Histogram of allocation sizes: |█|\n"
        "\t 🥇 Biggest allocating functions:\n"
        "\t\t- test_track:/w/demo/test_ok.py:12 -> 39.1KiB\n"
        "\n"
    )


def test_the_largest_come_first_and_the_rest_is_left_out() -> None:
    results = [make_result(f"test_{n}", make_measurement(n)) for n in (5, 30, 20, 10)]

    def names(most_allocations: int) -> list[str]:
        lines = report_lines(results, most_allocations=most_allocations)
        return [line.split()[-1] for line in lines if line.startswith("Allocations results")]

    assert names(2) == ["test_30", "test_20"]
    assert names(0) == ["test_30", "test_20", "test_10", "test_5"]


def test_nothing_allocated() -> None:
    lines = list(
        report_lines([make_result("test_nothing", make_measurement())], most_allocations=1)
    )
    assert "\t ⛰ Peak memory: 0.0B" in lines
    assert "\t 📊 Histogram of allocation sizes: ||" in lines
    assert not any("Biggest" in line for line in lines)


def test_plain_words_where_symbols_cannot_be_shown() -> None:
    """A Windows console or LC_ALL=C gets the same report without symbols."""
    ascii_stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert not can_show_symbols(ascii_stream)
    assert can_show_symbols(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    sizes = [2**n for n in range(12) for _ in range(n)]
    result = make_result("test_x", make_measurement(*sizes), 10)
    text = "\n".join(report_lines([result], most_allocations=1, symbols=False))
    text.encode("ascii")
    assert "\t Total memory allocated: " in text
    assert "|.:--=++**%#|"[:3] in text


def test_a_share_of_the_limit_is_never_rounded_to_what_it_is_not() -> None:
    """100% means exactly the limit; a byte more or less says so."""

    def share(peak: int) -> str:
        result = make_result("test_x", make_measurement(peak), 10_000)
        lines = report_lines([result], most_allocations=1)
        return next(line for line in lines if "Peak" in line).partition("(")[2]

    assert share(10_000) == "100% of the 9.8KiB limit)"
    assert share(10_001) == "just over the 9.8KiB limit)"
    assert share(9_999) == "just under the 9.8KiB limit)"
    assert share(5_000) == "50% of the 9.8KiB limit)"


def test_an_exceeded_budget_says_what_by_how_much_and_where() -> None:
    """One line, exact bytes, the sites with their stacks, and how many more there are."""
    frames = (Frame("parse", "app.py", 3), Frame("load", "app.py", 9))
    sites = [Allocation(1000 - n, 1, frames if n == 0 else frames[:1]) for n in range(12)]
    measurement = Measurement(120_000, 120_000, 15, 0, (), tuple(sites))
    verdict = judge(measurement, Budget((Limit("peak_bytes", 102_400),)))
    assert exceeded_line("Test", verdict) == "Test was limited to 100.0KiB but allocated 117.2KiB"
    message = exceeded_message("Block", measurement, verdict).splitlines()
    assert message[:5] == [
        "Block was limited to 100.0KiB but allocated 117.2KiB",
        "Exactly 120,000 bytes at the peak, 17,600 bytes (17.2%) over the limit of 102,400 bytes",
        "List of allocations: ",
        "\t- parse:app.py:3 -> 1000.0B",
        "\t    called by load:app.py:9",
    ]
    assert message[-1] == "\t- and 2 more -> 1.9KiB"
    section = exceeded_section("Test", measurement, verdict).splitlines()
    assert section[0] == "Test is using 117.2KiB out of limit of 100.0KiB"
    assert section[1:] == message[1:]


def test_an_excess_that_rounding_would_hide() -> None:
    """Never "limited to 9.5MiB but allocated 9.5MiB"."""
    result = make_result("test", make_measurement(10_000_001), 10_000_000)
    message = exceeded_message("Test", result.measurement, result.verdict)
    assert message.startswith("Test was limited to 10,000,000 bytes but allocated 10,000,001 bytes")


def test_a_limit_of_zero_has_no_percentage() -> None:
    result = make_result("test_x", DEMO, 0)
    assert "120,000 bytes over the limit of 0 bytes" in exceeded_message(
        "Block", DEMO, result.verdict
    )
    assert "(of the 0.0B limit)" in "\n".join(report_lines([result], most_allocations=1))


def test_what_occurs_is_drawn() -> None:
    """One allocation among ten thousand still has a bar."""
    result = make_result("test_x", make_measurement(1_000_000, *[16] * 10_000))
    lines = report_lines([result], most_allocations=1)
    bars = next(line for line in lines if "Histogram" in line).partition("|")[2][:-1]
    assert bars == "█" + " " * 14 + "▁"


def test_code_outside_of_python_has_a_name() -> None:
    measurement = Measurement(10, 10, 1, 10, (), (Allocation(10, 1, ()),))
    result = make_result("test_x", measurement)
    text = "\n".join(report_lines([result], most_allocations=1))
    assert "- <outside of Python code> -> 10.0B" in text
