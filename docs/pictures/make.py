"""Makes the pictures of the README from real runs: ``python docs/pictures/make.py``.

``failure.svg`` is what a test over its limit prints, and ``report.png`` the HTML report of the
tests in ``shop``. The second needs Chromium, see ``tests/core/report/chromium.py``.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from membudget.report.html_page import html_page
from membudget.results import read_run
from PIL import Image
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

HERE: Final = Path(__file__).resolve().parent
REPOSITORY: Final = HERE.parents[1]
WIDTH: Final = 96
WIDTH_OF_PAGE: Final = 1140
HEIGHT_OF_PAGE: Final = 1640
# A picture in a README must not load fonts from elsewhere.
FORMAT: Final = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.S).replace(
    "Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace"
)


def run_pytest(directory: Path, *options: str) -> str:
    """Run ``pytest --memray`` in a directory, and return what it prints, with colors."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        "COLUMNS": str(WIDTH),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    command = [sys.executable, "-m", "pytest", "-p", "membudget", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--memray", "--color=yes", "--rootdir=.", *options],
        cwd=directory,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 1:  # some tests are over their limits
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def failure_svg(directory: Path) -> str:
    """Return the failure of the demo as a picture of a terminal; it runs in a new directory."""
    demo = Path(shutil.copytree(REPOSITORY / "docs/examples/demo", directory / "demo"))
    printed = run_pytest(demo).replace(f"{directory}/", "")
    found = re.search(
        r"^\S*_+ test_memory_exceed _+.*?(?=^\S*=+ MEMRAY REPORT)", printed, re.M | re.S
    )
    if found is None:
        sys.exit(printed)
    with open(os.devnull, "w") as nothing:
        console = Console(record=True, width=WIDTH, file=nothing, force_terminal=True)
        console.print(Text.from_ansi(found[0].rstrip().expandtabs(4)))
        console.print()  # some fonts are higher than the line that rich leaves for them
    return console.export_svg(
        title="pytest --memray", theme=MONOKAI, code_format=FORMAT, unique_id="failure"
    )


def report_page(directory: Path) -> Path:
    """Return the HTML report of the tests in ``shop``; they run in a new directory."""
    shop = Path(shutil.copytree(HERE / "shop", directory / "shop"))
    run_pytest(shop, "--memray-stable", "--memray-json=run.json")
    page = shop / "report.html"
    page.write_text(html_page(read_run(str(shop / "run.json"))))
    return page


def picture_of(page: Path) -> bytes:
    """Return a page as PNG."""
    sys.path.insert(0, str(REPOSITORY / "tests/core/report"))
    from chromium import Chromium, why_no_browser

    if why_no_browser():
        sys.exit(f"report.png {why_no_browser()}")
    chromium = Chromium()
    try:
        chromium.show(page, width=WIDTH_OF_PAGE)
        taken = chromium.picture(height=HEIGHT_OF_PAGE)
    finally:
        chromium.close()
    small = io.BytesIO()
    with Image.open(io.BytesIO(taken)) as image:
        image.quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        (HERE / "failure.svg").write_text(failure_svg(Path(made)))
        (HERE / "report.png").write_bytes(picture_of(report_page(Path(made))))
