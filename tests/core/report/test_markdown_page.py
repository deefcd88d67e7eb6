"""A run as Markdown: what GitHub makes of it."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest
from hostile_names import HOSTILE
from markdown_it import MarkdownIt
from membudget import Allocation, Frame, Result
from membudget.report.markdown_page import MOST_CHARACTERS, N_ROWS, markdown_page
from membudget.report.overview import Overview
from membudget.report.printable import printable
from membudget.results import Environment, RunFile
from membudget.testing import make_measurement, make_result

KB = 1024
TAGS = {
    *("h2", "p", "table", "thead", "tbody", "tr", "th", "td", "strong"),
    *("code", "details", "summary", "pre"),
}


def page_of(*results: Result, old: tuple[Result, ...] | None = None) -> str:
    environment = Environment(python="3.13.1", implementation="CPython", commit="abc" * 9)
    baseline = None if old is None else RunFile(Environment(), old)
    return markdown_page(Overview(RunFile(environment, results), baseline))


def rendered(page: str) -> str:
    """Return the HTML of a page; also check that it has the elements of a report and no others."""
    found: str = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(page)
    opened = re.findall(r"<([a-zA-Z]\w*)", found)
    assert set(opened) <= TAGS
    assert sorted(opened) == sorted(re.findall(r"</(\w+)", found))
    assert "<!" not in found
    return found


def cells(page: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", rendered(page), re.DOTALL)
    return [
        [unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall(r"<td.*?>(.*?)</td>", row)]
        for row in rows
        if "<td" in row
    ]


def test_what_failed_or_changed_comes_first() -> None:
    """The headline says it, a table lists it, and all tests are folded below."""
    same = make_result("same", make_measurement(5))
    before, now = (make_result("test_grew", make_measurement(n * KB)) for n in (100, 900))
    over = make_result("test_over", make_measurement(9 * KB), 5 * KB)
    page = page_of(over, now, same, old=(before, same))
    assert page.splitlines()[:3] == [
        "## Memory: 1 of 3 tests is over its memory limit; 1 grew, 1 new",
        "",
        "CPython 3.13.1, commit abcabcabca, compared with an earlier run, tolerance 10% + 64.0KiB",
    ]
    first, second, third, *all_tests = cells(page)
    assert first == ["OVER", "test_over", "5.0KiB", "9.0KiB", "4.0KiB (80.0%) over"]
    assert second == ["grew", "test_grew", "100.0KiB", "900.0KiB", "grew by 800.0KiB (800%)"]
    assert third == ["new", "test_over", "-", "9.0KiB", "new"]
    assert [row[-2] for row in all_tests] == ["test_grew", "test_over", "same"]
    assert all_tests[1] == [
        "9.0KiB",
        "5.0KiB",
        "180%",
        "9.0KiB",
        "1",
        "9.0KiB",
        "test_over",
        "OVER",
    ]
    assert "\t- load:app.py:7 -> 9.0KiB".expandtabs(4) in unescape(page)


def test_nothing_failed_or_changed() -> None:
    page = page_of(make_result("test_a", make_measurement(5), 10))
    assert page.startswith("## Memory: No test is over its memory limit (1 test, 1 with a limit)\n")
    assert len(cells(page)) == 1
    assert page_of().startswith("## Memory: 0 tests measured, none with a memory limit\n")
    rendered(page_of())


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_names_are_text(name: str) -> None:
    """A name cannot be markup, end a cell or a folded part, or mention anybody."""
    stack = (Frame(name, name, 1),)
    measurement = replace(make_measurement(9), allocations=(Allocation(9, 1, stack),))
    page = page_of(make_result(name, measurement, 5))
    shown = printable(name)
    if len(shown) > 160:
        shown = f"{shown[:80]}...{shown[-80:]}"
    row, row_of_all = cells(page)
    assert row[:2] == ["OVER", shown]
    assert row_of_all[-2:] == [shown, "OVER"]
    for line in page.splitlines():
        text = re.sub("<code>.*?</code>", "", line)
        assert "octocat" not in text or line.startswith("    - ")


@pytest.mark.parametrize("n_tests", [31, 5000])
@pytest.mark.parametrize("name", ["test_{}", "&" * 3000 + "{}"], ids=["short", "long"])
def test_a_page_is_never_too_long_for_a_comment(name: str, n_tests: int) -> None:
    """It says how much it leaves out."""
    stacks = tuple(
        Allocation(10**6 - n, 1, tuple(Frame("<" * 500, "&" * 500, n) for _ in range(9)))
        for n in range(50)
    )
    measurement = replace(make_measurement(9), allocations=stacks)
    results = [make_result(name.format(n), measurement, 5) for n in range(n_tests)]
    page = page_of(*results)
    assert len(page) < MOST_CHARACTERS
    rows = cells(page)
    assert [row[0] for row in rows].count("OVER") == N_ROWS
    assert f"and {n_tests - N_ROWS:,} more" in page.splitlines()
    n_shown = len(rows) - N_ROWS
    if n_shown < n_tests:
        rest = n_tests - n_shown
        assert f"and {rest:,} {'test' if rest == 1 else 'tests'} more" in page.splitlines()
        assert len(page) > MOST_CHARACTERS - 5000
