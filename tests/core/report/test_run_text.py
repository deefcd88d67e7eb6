"""What a report and a failure say."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from membudget import Allocation, Budget, Frame, Limit, Measurement, Result, Scope, Unseen, Verdict
from membudget.report.failure_text import exceeded_line, exceeded_message, exceeded_section
from membudget.report.run_text import (
    can_show_symbols,
    margin_lines,
    pattern_lines,
    report_lines,
    summary_lines,
    what_figures_mean,
)
from membudget.testing import make_measurement, make_result
from membudget.verdict import judge

MIB = 1024 * 1024


def texts(results: list[Result], **options: Any) -> list[str]:
    return [line.text for line in report_lines(results, **options)]


DEMO = make_measurement(*[8000] * 15, site=("<listcomp>", "/w/demo/test_ok.py", 17))


def test_the_report_of_the_usage_text() -> None:
    """Line by line, except for intended differences."""
    results = [
        make_result(
            "demo/test_ok.py::test_track",
            make_measurement(40_000, site=("test_track", "/w/demo/test_ok.py", 12)),
        ),
        make_result("demo/test_ok.py::test_memory_exceed", DEMO, 100 * 1024),
    ]
    assert "\n".join(texts(results, most_allocations=5)) == (
        "Allocations results for demo/test_ok.py::test_memory_exceed\n"
        "\n"
        "\t 📦 Total memory allocated: 117.2KiB\n"
        "\t 📏 Total allocations: 15\n"
        "\t ⛰ Peak memory: 117.2KiB (117% of the 100.0KiB limit) OVER\n"
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


def test_the_report_shows_the_largest_tests_first() -> None:
    results = [make_result(f"test_{n}", make_measurement(n)) for n in (5, 30, 20, 10)]

    def names(most_allocations: int) -> list[str]:
        lines = texts(results, most_allocations=most_allocations)
        return [line.split()[-1] for line in lines if line.startswith("Allocations results")]

    assert names(2) == ["test_30", "test_20"]
    assert names(0) == ["test_30", "test_20", "test_10", "test_5"]


def test_nothing_allocated() -> None:
    lines = texts([make_result("test_nothing", make_measurement())], most_allocations=1)
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
    text = "\n".join(texts([result], most_allocations=1, symbols=False))
    text.encode("ascii")
    assert "\t Total memory allocated: " in text
    assert "|.:--=++**%#|"[:3] in text


def test_a_percentage_of_the_limit_is_100_only_at_the_limit() -> None:
    """100% means exactly the limit; a byte more or less says so."""

    def share(peak: int) -> str:
        result = make_result("test_x", make_measurement(peak), 10_000)
        lines = texts([result], most_allocations=1)
        return next(line for line in lines if "Peak" in line).partition("(")[2]

    assert share(10_000) == "100% of the 9.8KiB limit) NEAR"
    assert share(10_001) == "just over the 9.8KiB limit) OVER"
    assert share(9_999) == "just under the 9.8KiB limit) NEAR"
    assert share(5_000) == "50% of the 9.8KiB limit)"


def test_an_exceeded_budget_says_what_by_how_much_and_where() -> None:
    """One line, exact bytes, the places with their stacks, and how many more there are."""
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
    assert "(of the 0.0B limit)" in "\n".join(texts([result], most_allocations=1))


def test_rare_sizes_are_visible_in_the_histogram() -> None:
    """One allocation among ten thousand still has a bar."""
    result = make_result("test_x", make_measurement(1_000_000, *[16] * 10_000))
    lines = texts([result], most_allocations=1)
    bars = next(line for line in lines if "Histogram" in line).partition("|")[2][:-1]
    assert bars == "█" + " " * 14 + "▁"


def test_memory_outside_of_python_code_has_a_name() -> None:
    measurement = Measurement(10, 10, 1, 10, (), (Allocation(10, 1, ()),))
    result = make_result("test_x", measurement)
    text = "\n".join(texts([result], most_allocations=1))
    assert "- <outside of Python code> -> 10.0B" in text


def test_the_report_marks_the_outcome_of_tests() -> None:
    """Over its limit, near it, failed, waived: each has a word and an outcome."""
    results = [
        make_result("over", make_measurement(101), 100),
        make_result("near", make_measurement(95), 100),
        make_result("within", make_measurement(94), 100),
        make_result("waived", make_measurement(100)),
        make_result("free", make_measurement(100)),
    ]
    lines = list(
        report_lines(
            results, most_allocations=0, failed={"within"}, waivers={"waived": "", "other": ""}
        )
    )
    told = {line.tells: line.text for line in lines if line.tells}
    assert len([line for line in lines if line.tells]) == 4
    assert told["over"] == "\t ⛰ Peak memory: 101.0B (101% of the 100.0B limit) OVER"
    assert told["near"] == "\t ⛰ Peak memory: 95.0B (95% of the 100.0B limit) NEAR"
    assert told["failed"] == "\t ❌ The test failed"
    assert told["waived"] == "\t ⛰ Peak memory: 100.0B (limit waived)"


def test_long_paths_are_cut_to_a_narrow_terminal() -> None:
    site = ("load", "/home/me/project/src/package/orders.py", 12)
    results = [make_result("test_x", make_measurement(100, site=site))]

    def place(width: int) -> str:
        return texts(results, most_allocations=1, width=width)[7]

    assert place(0) == place(80) == "\t\t- load:/home/me/project/src/package/orders.py:12 -> 100.0B"
    assert place(60) == "\t\t- load:.../package/orders.py:12 -> 100.0B"
    assert len(place(60).expandtabs()) <= 60
    assert place(1) == "\t\t- load:.../orders.py:12 -> 100.0B"


def test_the_last_line_says_what_was_measured_and_what_was_not() -> None:
    assert list(summary_lines(1, 5)) == ["Measured 1 test"]
    assert list(summary_lines(6, 5, unmeasured={"skipped": 2, "no_memray": 1}, captures="x-*")) == [
        "Captures for memray flamegraph, stats and tree: x-*",
        "Measured 6 tests, shown 5: --most-allocations=0 shows all; "
        "3 not measured: 1 no_memray, 2 skipped",
    ]


def test_a_failure_lists_what_matters() -> None:
    """Nothing below a thousandth of the peak, unless all of it is requested."""
    sites = tuple(Allocation(size, 1, ()) for size in (99_900, 100, 60, 40))
    measurement = Measurement(100_100, 100_100, 4, 0, (), sites)
    verdict = judge(measurement, Budget((Limit("peak_bytes", 10),)))

    def listed(n_allocations: int | None) -> list[str]:
        text = exceeded_section("Test", measurement, verdict, n_allocations=n_allocations)
        return [line for line in text.splitlines()[2:] if line.startswith("\t- ")]

    assert [line.rpartition(" ")[2] for line in listed(10)] == ["97.6KiB", "200.0B"]
    assert listed(10)[1].startswith("\t- and 3 more")
    assert len(listed(None)) == 4
    assert listed(0) == []


def test_patterns_that_matched_nothing() -> None:
    """An `only` that counted nothing names its tests; an `ignore` need not match in each test."""

    def result(name: str, *unmatched: str) -> Result:
        measurement = replace(make_measurement(100), unmatched=unmatched)
        scope = Scope(only=("mypkg", "other"), ignore=("json",))
        return Result(name, measurement, Verdict(Budget((), scope)))

    both = ("only='mypkg'", "only='other'")
    assert list(pattern_lines([result("a"), result("b", "ignore='json'", both[0])])) == []
    assert list(pattern_lines([result("a", "ignore='json'")])) == [
        "ignore='json' matched nothing in 1 test"
    ]
    results = [result(name, *both) for name in "abcde"]
    assert list(pattern_lines([result("x"), *results])) == [
        "only='mypkg' matched nothing in 5 of 6 tests: a, b, c and 2 more",
        "only='other' matched nothing in 5 of 6 tests: a, b, c and 2 more",
    ]
    lines = list(summary_lines(1, 5, patterns=["a line"]))
    assert lines == ["a line", "Measured 1 test"]


def test_memory_that_was_not_seen() -> None:
    """If a limit could not be checked in full, the test and the end of the report say so."""
    unseen = (Unseen("pyarrow", 5 * MIB), Unseen("polars", None), Unseen("", 40 * MIB))
    measurement = replace(make_measurement(100), unseen=unseen)
    result = make_result("test_blind", measurement, 200)
    text = [line.text for line in report_lines([result], most_allocations=5, symbols=False)]
    assert (
        "\t Not counted: pyarrow took 5.0MiB from its own allocator, which memray does not see; "
        "polars is loaded, and memray does not see memory from its allocator; "
        "the process grew by 40.0MiB more than the figures explain"
    ) in text
    over = make_result("test_over", measurement, 50)
    lines = list(what_figures_mean([result, over], counts_objects=True))
    assert [line.text for line in lines] == [
        "Limits of 1 test could not be checked in full, see 'Not counted': test_blind"
    ]
    assert lines[0].tells == "near"


def test_the_report_says_what_the_default_figure_counts() -> None:
    """Once, if a limit counts arenas; not if objects are counted."""
    limited, free = make_result("a", make_measurement(1), 2), make_result("b", make_measurement(1))
    said = list(what_figures_mean([limited, limited, free], counts_objects=False))
    assert len(said) == 1
    assert "memray_stable = true" in said[0].text
    assert not list(what_figures_mean([free], counts_objects=False))
    assert not list(what_figures_mean([limited], counts_objects=True))
    budget = Budget((Limit("peak_bytes", 2),), Scope(stable=True))
    stable = replace(limited, verdict=judge(limited.measurement, budget))
    assert not list(what_figures_mean([stable], counts_objects=False))


def test_the_report_says_which_figures_are_of_a_second_run() -> None:
    budget = Budget((), Scope(stable=True))
    once = replace(make_result("once", make_measurement(1)), verdict=Verdict(budget), is_warm=False)
    twice = replace(once, name="twice", is_warm=True)

    def said(*results: Result) -> list[str]:
        return [line.text for line in what_figures_mean(results, counts_objects=True)]

    assert said(once) == []
    assert said(once, twice) == ["Measured in a second run, when caches were filled: twice"]
    assert said(twice) == said(once, twice)
    assert said(*[twice] * 6) == [
        "All stable tests were measured in a second run, when caches were filled"
    ]


def test_the_call_of_a_test_is_named_as_such() -> None:
    """It allocates a little before the first frame of the test begins."""
    frames = (Frame("call", "/venv/pytest_membudget/open_calls.py", 46),)
    measurement = replace(make_measurement(216), allocations=(Allocation(216, 3, frames),))
    lines = report_lines([make_result("a", measurement)], most_allocations=5, symbols=False)
    assert "\t\t- <the call of the test> -> 216.0B" in [line.text for line in lines]


def test_arenas_in_a_failure_and_in_margins() -> None:
    """They say that the blamed line may have needed room for only one more small object."""
    frames = (Frame("load", "app.py", 7),)
    sites = (Allocation(3 * MIB, 9, frames, arena_bytes=2 * MIB), Allocation(10, 1, ()))
    measurement = replace(make_measurement(3 * MIB, 10), allocations=sites)
    over = make_result("test_over", measurement, 1 * MIB)
    said = exceeded_section("Test", measurement, over.verdict).splitlines()
    assert said[2] == (
        "2.0MiB of it is 2 arenas, in which Python keeps small objects: the line that needed "
        "a new arena is blamed. stable=True counts the objects instead"
    )
    unread = replace(make_measurement(1 * MIB), allocations=())
    margins = [
        line.text.split("at the peak")[1]
        for line in margin_lines([over, make_result("unread", unread, 2 * MIB)])
        if "at the peak" in line.text
    ]
    assert margins == [" (2.0MiB of it arenas) OVER", " (arenas may be in it)"]


SITE = "/venv/lib/python3.13/site-packages"
STACK = (
    Frame("dumps", "/usr/lib/python3.13/json/__init__.py", 9),
    Frame("send", f"{SITE}/aiohttp/client.py", 8),
    Frame("run", f"{SITE}/aiohttp/client.py", 7),
    Frame("post", "app.py", 6),
    Frame("wrapped", f"{SITE}/decorator.py", 5),
    Frame("test_post", "test_app.py", 4),
)


def listed(*stacks: tuple[Frame, ...], n_frames: int = 5) -> list[str]:
    measurement = Measurement(9, 9, 1, 0, (), tuple(Allocation(9, 1, stack) for stack in stacks))
    verdict = judge(measurement, Budget((Limit("peak_bytes", 1),)))
    text = exceeded_section("Test", measurement, verdict, n_frames=n_frames)
    return [line for line in text.splitlines() if line.startswith("\t")]


def test_frames_of_libraries_are_folded() -> None:
    """So that the lines of the user's own code are shown, however deep they are."""
    assert listed(STACK) == [
        "\t- dumps:/usr/lib/python3.13/json/__init__.py:9 -> 9.0B",
        "\t    ... 2 frames in aiohttp",
        "\t    called by post:app.py:6",
        f"\t    called by wrapped:{SITE}/decorator.py:5",
        "\t    called by test_post:test_app.py:4",
    ]
    assert listed(STACK, n_frames=2)[1:] == [
        "\t    ... 2 frames in aiohttp",
        "\t    called by post:app.py:6",
    ]
    assert len(listed(STACK, n_frames=1)) == 1


def test_a_fold_names_some_libraries() -> None:
    many = tuple(Frame("run", f"{SITE}/{name}/run.py", 1) for name in ("x", "a", "b", "c", "d"))
    assert listed((*many, STACK[-1]))[1] == "\t    ... 4 frames in a, b, c, ..."


def test_a_stack_of_libraries_alone_is_shown() -> None:
    """As that of a test in an installed package."""
    assert listed(STACK[:3])[1:] == [
        f"\t    called by send:{SITE}/aiohttp/client.py:8",
        f"\t    called by run:{SITE}/aiohttp/client.py:7",
    ]


def test_the_biggest_functions_are_the_users() -> None:
    """All that a line of the user's code needs in libraries counts for that line."""
    allocations = (
        Allocation(50, 1, STACK),
        Allocation(40, 1, STACK[1:]),
        Allocation(9, 1, STACK[:3]),
        Allocation(1, 1, ()),
    )
    result = make_result("test", replace(make_measurement(100), allocations=allocations))
    assert [line for line in texts([result], most_allocations=1) if "\t\t- " in line] == [
        "\t\t- post:app.py:6 -> 90.0B",
        "\t\t- dumps:/usr/lib/python3.13/json/__init__.py:9 -> 9.0B",
        "\t\t- <outside of Python code> -> 1.0B",
    ]


def test_memory_from_imports() -> None:
    """Only the first test that imports a module pays for it."""
    imported = Frame("_find_and_load", "<frozen importlib._bootstrap>", 1)
    allocations = (Allocation(3 * MIB, 1, (imported, STACK[-1])), Allocation(MIB, 1, STACK[-1:]))
    measurement = replace(make_measurement(4 * MIB), allocations=allocations)
    verdict = judge(measurement, Budget((Limit("peak_bytes", MIB),)))
    sentence = "3.0MiB of it comes from imports, which run only once in a process"
    assert sentence in exceeded_message("Test", measurement, verdict)
    few = replace(allocations[0], size_bytes=100)
    measurement = replace(measurement, allocations=(allocations[1], few))
    assert "imports" not in exceeded_message("Test", measurement, verdict)


def test_a_failure_names_the_capture_to_open() -> None:
    result = make_result("test", DEMO, 5)
    arguments = "Test", DEMO, result.verdict
    line = "Its capture: memray flamegraph 'the captures/p-test.bin'"
    for text in (
        exceeded_section(*arguments, capture="the captures/p-test.bin"),
        exceeded_message(*arguments, capture="the captures/p-test.bin"),
    ):
        assert line in text.splitlines()
    assert "capture" not in exceeded_message(*arguments)
