"""The pictures of the documents show what the programs do."""

from __future__ import annotations

import html
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import REPOSITORY

PICTURES = REPOSITORY / "docs/pictures"


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make", PICTURES / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def texts_in(svg: str) -> list[str]:
    """Return the texts in a picture, without those that name a function.

    Since Python 3.12, a comprehension is a part of its function and has no frame.
    """
    texts = re.findall(r"<text[^>]*>(.*?)</text>", svg, re.S)
    lines = [html.unescape(text).replace("\xa0", " ").strip() for text in texts]
    return [line for line in lines if "test_ok.py" not in line]


@pytest.mark.skipif(
    sys.version_info >= (3, 12),
    reason="a comprehension has no frame since 3.12: the failure has a line less than the picture",
)
def test_the_picture_of_a_failure_is_what_a_run_prints(make: ModuleType, tmp_path: Path) -> None:
    """Whoever changes the text of a failure runs docs/pictures/make.py."""
    committed = (PICTURES / "failure.svg").read_text()
    assert texts_in(make.failure_svg(tmp_path)) == texts_in(committed)
    assert "Test was limited to 100.0KiB but allocated 117.2KiB" in texts_in(committed)
    assert not re.search(r"url\(.?http|href|@import", committed)


def test_the_picture_of_the_report_can_be_made_again(make: ModuleType, tmp_path: Path) -> None:
    page = make.report_page(tmp_path).read_text()
    assert "3 of 16 tests are over their memory limits" in page


def test_the_pictures_are_small() -> None:
    sizes = {
        file.name: file.stat().st_size
        for file in PICTURES.iterdir()
        if file.suffix in (".svg", ".png")
    }
    assert sizes.pop("performance.svg", 0) < 30_000  # see tests/benchmarks
    assert sizes.keys() == {"failure.svg", "report.png"}
    assert sizes["report.png"] < 150_000
    assert sizes["failure.svg"] < 20_000
