"""The page of a run in a browser: Chromium, where it is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chromium import Chromium, why_no_browser
from hostile_names import HOSTILE
from made_pages import hostile_run, run_of
from membudget.report.html_page import html_page
from membudget.report.printable import printable
from membudget.results import Environment, RunFile
from membudget.sizes import format_size
from selenium.webdriver.common.keys import Keys

pytestmark = [
    pytest.mark.skipif(bool(why_no_browser()), reason=why_no_browser()),
    pytest.mark.xdist_group("chromium"),  # one browser for all
]

NAME = "#tests th bdi"
OPENED = "#tests .detail .box"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    browser = Chromium()
    yield browser
    browser.close()


def without_the_first_ten(run: RunFile) -> RunFile:
    return replace(run, results=run.results[10:])


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {
        "none": html_page(RunFile(Environment(), ())),
        "one": html_page(run_of(1)),
        "forty": html_page(run_of(40)),
        "compared": html_page(run_of(40, factor=2), without_the_first_ten(run_of(40))),
        "many": html_page(run_of(5000)),
        "hostile": html_page(hostile_run(), hostile_run()),
    }
    directory = tmp_path_factory.mktemp("pages")
    for name, text in made.items():
        (directory / f"{name}.html").write_text(text)
    return {name: directory / f"{name}.html" for name in made}


@pytest.fixture
def show(chromium: Chromium, pages: dict[str, Path]) -> Iterator[Callable[..., Chromium]]:
    """Show a page; at the end, nothing must be in the console and nothing requested."""
    shown: list[Path] = []

    def show_page(name: str, **window: Any) -> Chromium:
        shown.append(pages[name])
        chromium.show(pages[name], **window)
        return chromium

    yield show_page
    assert chromium.messages() == []
    assert {one for one in chromium.requests() if not one.startswith("data:")} == {
        shown[-1].as_uri()
    }


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("page", ["none", "one", "forty", "compared", "many", "hostile"])
def test_a_page_fits_the_window(show: Callable[..., Chromium], page: str, width: int) -> None:
    """On a phone and on a screen: nobody has to move the page to the side to read it."""
    browser = show(page, width=width)
    assert browser.run("return document.documentElement.scrollWidth") <= width


def test_a_table_is_sorted_by_each_of_its_columns(show: Callable[..., Chromium]) -> None:
    browser = show("compared")
    heads = browser.all("#tests > thead th")
    assert [one.text for one in heads] == [
        *("Test", "Peak", "Limit used", "Baseline", "Left behind", "Allocations", "Total")
    ]
    assert [one.get_attribute("aria-sort") for one in heads].count("descending") == 1
    for number, head in enumerate(heads):
        button = head.find_element("css selector", "button")
        orders = []
        for _ in range(2):
            button.click()
            values = browser.texts(f"#tests > tbody > tr:not(.detail) > :nth-child({number + 1})")
            orders.append((head.get_attribute("aria-sort"), values))
        (first, down), (second, up) = orders
        assert {first, second} == {"ascending", "descending"}
        assert first == ("ascending" if head.text == "Test" else "descending")
        assert down != up
        assert sorted(down) == sorted(up)
    browser.all("#tests > thead button")[1].click()
    peaks = browser.texts("#tests > tbody > tr:not(.detail) > :nth-child(2)")
    assert peaks == [format_size((number + 1) * 97_531 * 2) for number in reversed(range(40))]


def test_a_search_finds_tests_by_parts_of_their_names(show: Callable[..., Chromium]) -> None:
    browser = show("forty")
    search = browser.one("#search")
    search.send_keys("EXPORT_7.py customer")
    (name,) = browser.texts(NAME)
    assert "[7-utf-8]" in name
    assert browser.one("#count").text == "1 of 40 tests"
    search.send_keys(" nowhere")
    assert browser.texts(NAME) == []
    assert browser.one("#count").text == "0 of 40 tests"
    search.clear()
    search.send_keys(" ")
    assert len(browser.texts(NAME)) == 40


def test_a_button_shows_the_tests_of_one_state(show: Callable[..., Chromium]) -> None:
    browser = show("forty")
    button = browser.one('.filter[data-filter="over"]')
    assert button.text == "over 8"
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert len(browser.texts(NAME)) == 8
    assert {
        word for text in browser.texts(".use-text") for word in text.split() if word.isupper()
    } == {"OVER"}
    button.click()
    assert len(browser.texts(NAME)) == 40


def test_all_tests_of_a_work_are_shown(show: Callable[..., Chromium]) -> None:
    browser = show("compared")
    browser.one("#search").send_keys("nothing")
    browser.one(".work.grew .more").click()
    assert browser.one("#count").text == "30 of 40 tests that grew"
    assert set(browser.texts("#tests .change")) <= {
        f"+{format_size(n * 97_531)}" for n in range(11, 41)
    }


def test_all_tests_are_shown_again(show: Callable[..., Chromium]) -> None:
    browser = show("compared")
    assert not browser.all("#clear")
    browser.one(".work.left .more").click()
    assert browser.one("#count").text == "14 of 40 tests that left 1 MiB or more behind"
    browser.one("#search").send_keys("export_7.py")
    browser.one("#clear").click()
    assert browser.one("#count").text == "40 tests"
    assert browser.focused("id") == "search"
    assert not browser.all("#clear")


def test_many_tests_are_shown_when_they_are_asked_for(show: Callable[..., Chromium]) -> None:
    browser = show("many")
    assert len(browser.texts(NAME)) == 200
    browser.one("#search").send_keys("[4999-")
    assert len(browser.texts(NAME)) == 1
    browser.one("#search").clear()
    browser.one("#search").send_keys(" ")
    browser.one("#all-rows").click()
    assert len(browser.texts(NAME)) == 5000
    assert not browser.all("#all-rows")


def test_the_first_failed_test_is_open(show: Callable[..., Chromium]) -> None:
    browser = show("forty")
    (details,) = browser.all(OPENED)
    assert "List" not in details.text
    assert "The limit is written in tests/integration/orders/" in details.text
    assert "memray flamegraph /captures/run1-tests-integration" in details.text
    browser.all(f"{NAME}")[0].click()
    assert not browser.all(OPENED)


def test_a_link_opens_its_test(show: Callable[..., Chromium]) -> None:
    """From what is to be done first, even if the table does not show the test now."""
    browser = show("many")
    browser.one("#search").send_keys("nothing is found")
    link = browser.all(".work.loose a")[-1]
    name = link.text.rpartition("::")[2]
    link.click()
    assert browser.focused("aria-expanded") == "true"
    assert name in browser.run("return document.activeElement.textContent")
    assert browser.run("return document.activeElement.getBoundingClientRect().top") < 900


def test_everything_can_be_done_with_the_keyboard(show: Callable[..., Chromium]) -> None:
    browser = show("one")
    browser.one("#search").click()
    browser.press(Keys.TAB)
    for _ in range(6):  # the heads of the columns
        assert browser.run("return document.activeElement.closest('thead') !== null")
        browser.press(Keys.TAB)
    assert browser.focused("aria-expanded") == "false"
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.run(outline) == "solid"
    browser.press(Keys.ENTER)
    assert browser.focused("aria-expanded") == "true"
    browser.press(Keys.SPACE)
    assert browser.focused("aria-expanded") == "false"


def test_the_calls_of_a_stack_are_reached_with_arrows(show: Callable[..., Chromium]) -> None:
    browser = show("forty")
    tree = '#tests [role="tree"]'
    assert browser.run("return document.querySelectorAll(arguments[0]).length", tree) == 1
    browser.run("document.querySelector('[role=treeitem][tabindex=\"0\"]').focus()")
    assert browser.focused("aria-label").startswith("Alive at the peak: ")
    browser.press(Keys.DOWN)
    assert browser.focused("aria-label").startswith("test_export_streams")
    assert browser.focused("aria-level") == "2"
    browser.press(Keys.DOWN, Keys.RIGHT)
    assert browser.focused("aria-label").startswith("keep (shop/orders.py:70): ")
    assert ", 25.0%, 2 allocations" in browser.focused("aria-label")
    n_calls = len(browser.texts(f"{tree} [role=treeitem]"))
    browser.press(Keys.ENTER)
    assert browser.focused("aria-label").startswith("keep (shop/orders.py:70): ")
    assert len(browser.texts(f"{tree} [role=treeitem]")) == 3
    browser.press(Keys.ESCAPE)
    assert len(browser.texts(f"{tree} [role=treeitem]")) == n_calls
    assert browser.focused("aria-label").startswith("Alive at the peak: ")


def test_a_call_says_how_it_changed_since_the_baseline(show: Callable[..., Chromium]) -> None:
    browser = show("compared")
    labels = browser.run(
        "return [...document.querySelectorAll('[role=treeitem]')].map((one) => one.ariaLabel)"
    )
    assert labels[0].endswith("the function grew from 3.0MiB to 6.0MiB")
    assert "grew since the baseline" in browser.one(".icicle .legend").text
    assert browser.all(".icicle g.grew rect")


def test_a_curve_shows_memory_over_time_and_the_limit(show: Callable[..., Chromium]) -> None:
    browser = show("forty")
    said = "largest 3.0MiB after 1.78 s of 2.40 s"
    (label,) = browser.run(
        "return [...document.querySelectorAll('.curve svg')].map((one) => one.ariaLabel)"
    )
    assert label.startswith(f"Memory over time: {said}, limit ")
    (figure,) = browser.all(".curve")
    assert said in figure.text
    tops = browser.run(
        "return [...document.querySelectorAll('.curve path')].map((one) => one.getBBox().y)"
    )
    assert tops[0] == 0
    assert 0 < tops[1] < 96
    assert browser.run("return document.querySelector('.curve svg').clientWidth") > 600


def test_hostile_names_are_shown_as_text(show: Callable[..., Chromium]) -> None:
    browser = show("hostile")
    names = {text.replace(" ", "") for text in browser.texts(NAME)}
    assert len(names) == len(HOSTILE)
    for button in browser.all("#tests tbody th button"):
        if button.get_attribute("aria-expanded") == "false":
            browser.run("arguments[0].click()", button)
    assert len(browser.all(OPENED)) == len(HOSTILE)
    texts = "".join(browser.texts(OPENED))
    assert all(printable(name) in texts for name in HOSTILE)
    assert browser.run("return document.querySelectorAll('script').length") == 2


SIZES = [
    0,
    1,
    512,
    1023,
    1024,
    1280,
    1408,
    47_513,
    1_048_523,
    1 << 20,
    2**53,
    *range(1000, 90_000, 64),
]


def test_sizes_are_written_as_everywhere_else(show: Callable[..., Chromium]) -> None:
    browser = show("one")
    assert browser.run("return arguments[0].map(size)", SIZES) == [*map(format_size, SIZES)]


# Returns the texts whose contrast with what is behind them is below 4.5, the limit of WCAG AA.
FAINT = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function channels(color) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
}
function luminance(color) {
  const [red, green, blue] = channels(color).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
function behind(element) {
  const color = getComputedStyle(element).backgroundColor;
  return channels(color)[3] === 255 ? color : behind(element.parentElement);
}
function colors(element) {
  const style = getComputedStyle(element);
  if (element.tagName !== "text") return [style.color, behind(element)];
  return [style.fill, getComputedStyle(element.parentElement.firstChild).fill];
}
const isText = (node) => node.nodeType === Node.TEXT_NODE && node.data.trim();
const faint = [];
for (const element of document.querySelectorAll("body *")) {
  if (element.closest("script, .above") || !element.checkVisibility()) continue;
  const text = [...element.childNodes].find(isText);
  if (!text) continue;
  const [low, high] = colors(element).map(luminance).sort((a, b) => a - b);
  const contrast = (high + 0.05) / (low + 0.05);
  if (contrast < 4.5) faint.push(`${contrast} ${element.tagName}: ${text.data}`);
}
return faint;
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", ["forty", "compared"])
def test_every_text_can_be_read(show: Callable[..., Chromium], page: str, theme: str) -> None:
    browser = show(page, theme=theme)
    browser.run("document.querySelector('details').open = true")
    assert browser.run(FAINT) == []


NAMELESS = """
const controls = document.querySelectorAll("button, a, input, svg:not([aria-hidden]), [role]");
return [...controls]
  .filter((one) => !one.hidden && !(one.textContent.trim() || one.ariaLabel || one.labels?.length))
  .map((one) => one.outerHTML);
"""


def test_everything_that_can_be_used_has_a_name(show: Callable[..., Chromium]) -> None:
    """A screen reader says what a control is for."""
    assert show("compared").run(NAMELESS) == []
