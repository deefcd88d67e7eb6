"""Where the documents have measured figures: between two marks, which readers do not see."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def with_measured(document: str, name: str, text: str) -> str:
    """Replace what a document has between its marks for measured figures.

    >>> with_measured("<!-- measured: a -->\\n1\\n<!-- end -->", "a", "2")
    '<!-- measured: a -->\\n2\\n<!-- end -->'
    """
    found = re.compile(f"(<!-- measured: {name} -->\n).*?(\n<!-- end -->)", re.S)
    assert len(found.findall(document)) == 1, name
    return found.sub(lambda marks: f"{marks[1]}{text}{marks[2]}", document)
