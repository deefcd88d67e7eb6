"""The page of a run, as text; test_html_in_browser.py looks at it in a browser."""

from __future__ import annotations

import fnmatch
import json
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import membudget
import pytest
from conftest import REPOSITORY
from hostile_names import HOSTILE
from made_pages import hostile_run, run_of
from membudget.report.html_page import html_page
from membudget.report.printable import printable
from membudget.results import Environment, RunFile
from membudget.testing import make_measurement, make_result

HTML = Path(membudget.__file__).parent / "report/html"


class Page(HTMLParser):
    """The tags of a page, its addresses, and its text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.shown: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style") and data.strip():
            self.shown.append(" ".join(data.split()))


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


@pytest.mark.parametrize("n_tests", [0, 1, 40])
def test_a_page_is_whole_whatever_the_number_of_tests(n_tests: int) -> None:
    page = html_page(run_of(n_tests))
    parsed = Page(page)
    assert parsed.tags.count("script") == 2
    assert len(data_of(page)["tests"]) == n_tests
    assert "shop" in parsed.shown
    assert f"{n_tests}" in parsed.shown


def test_a_page_of_a_thousand_tests_is_small() -> None:
    """It can be attached to a mail, kept for each run, and is there at once."""
    assert len(html_page(run_of(1000)).encode()) < 300_000
    assert len(html_page(run_of(1000, factor=2), run_of(1000)).encode()) < 335_000


def test_a_page_needs_nothing_else() -> None:
    """No file, no server: it can be opened from anywhere, and tells nobody that it was opened."""
    page = html_page(run_of(40, factor=2), run_of(40))
    assert all(address.startswith(("#", "data:")) for address in Page(page).addresses)
    assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in page
    assert not re.search(r"@import|url\(", page)


def test_no_name_can_become_part_of_the_page() -> None:
    page = html_page(hostile_run(), hostile_run())
    page.encode()
    assert Page(page).tags.count("script") == 2
    assert Page(page).tags.count("pre") == 0
    texts = [*data_of(page)["texts"], *(test[1] for test in data_of(page)["tests"])]
    assert all(text.isprintable() for text in texts)
    assert printable(HOSTILE[9]) in texts
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u2028\u202a-\u202e\ud800-\udfff]", page)


def test_the_most_urgent_tests_come_first() -> None:
    results = [
        make_result("fits", make_measurement(1_500_000), 4_000_000),
        make_result("free", make_measurement(9_000_000)),
        make_result("over", make_measurement(120), 100),
        make_result("far over", make_measurement(300), 100),
    ]
    page = html_page(RunFile(Environment(), tuple(results)))
    assert [test[1] for test in data_of(page)["tests"]] == ["far over", "over", "fits", "free"]
    shown = Page(page).shown
    assert "2 of 4 tests are over their memory limits" in shown
    assert shown.index("far over") < shown.index("over")
    assert "suggested: 1.1 MB" in shown


def test_a_page_says_if_runs_cannot_be_compared() -> None:
    runs = (RunFile(Environment(python=version), ()) for version in ("3.13.1", "3.12.1"))
    assert "The two runs differ in Python (3.12, 3.13)" in html_page(*runs)


def test_each_work_lists_the_first_tests_and_counts_all() -> None:
    page = html_page(run_of(100))
    assert page.count('class="work ') == 6
    assert "Show all 20 tests" in page


def test_the_capture_of_a_failed_test_is_named() -> None:
    """If the run kept captures, the command that shows one is there to be copied."""
    page = html_page(run_of(2))
    command = data_of(page)["texts"][data_of(page)["tests"][0][-1]]
    assert command.startswith("memray flamegraph /captures/run1-tests-integration-orders-test_ex")
    assert command.endswith(".bin")


def test_the_files_of_the_page_are_installed() -> None:
    """A page that works in this tree must work where membudget was installed."""
    settings = tomllib.loads((REPOSITORY / "packages/core/pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["membudget"]
    files = [f"report/html/{file.name}" for file in HTML.iterdir()]
    assert len(files) == 8
    assert all(any(fnmatch.fnmatch(file, pattern) for pattern in patterns) for file in files)
