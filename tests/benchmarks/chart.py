"""Figures of the benchmarks -> a chart: one bar for each tool in each mode.

The picture has its own background, and follows the reader's light or dark theme.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from figures import NOT_MEASURED, TOOLS, Figures, Workload

WIDTH: Final = 860
LEFT: Final = 270
RIGHT: Final = 90  # for the number after the longest bar
BAR: Final = 12
LINE: Final = 18
"""The height of a mode with one bar."""

STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px }
.number { font-size: 10px; fill: #57606a }
.page { fill: #ffffff; stroke: #d0d7de }
.tool0 { fill: #0969da } .tool1 { fill: #d4762c } .tool2 { fill: #8250df } .tool3 { fill: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .number { fill: #9da7b1 }
  .page { fill: #0d1117; stroke: #30363d }
  .tool0 { fill: #58a6ff } .tool1 { fill: #f0883e } .tool2 { fill: #bc8cff }
}
"""


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'


def panel(title: str, workload: Workload, scale: float, unit: str, y: float) -> tuple[str, float]:
    """Return the bars of one workload, and where the next panel begins."""
    modes = [mode for mode in workload.seconds if mode != NOT_MEASURED]
    added = {
        mode: {
            n: max(0.0, workload.added(mode, tool) * scale)
            for n, tool in enumerate(TOOLS)
            if workload.has(mode, tool)
        }
        for mode in modes
    }
    largest = max(value for values in added.values() for value in values.values()) or 1.0
    parts = [text(20, y + 14, title, "title")]
    y += 30
    for mode, values in added.items():
        height = max(LINE, BAR * len(values))
        middle = y + height / 2
        parts.append(text(LEFT - 10, middle + 4, mode.replace("`", ""), anchor="end"))
        top = middle - BAR * len(values) / 2
        for n, value in values.items():
            length = (WIDTH - LEFT - RIGHT) * value / largest
            parts.append(
                f'<rect class="tool{n}" x="{LEFT}" y="{top:g}" width="{max(length, 1):.1f}" '
                f'height="{BAR - 1}"/>'
            )
            number = f"{value:.{1 if value >= 1 else 2}f} {unit}"
            parts.append(text(LEFT + length + 5, top + BAR - 3, number, "number"))
            top += BAR
        y += height + 8
    return "\n".join(parts), y + 10


def legend(y: float) -> Iterator[str]:
    x = 20
    for n, tool in enumerate(TOOLS):
        yield f'<rect class="tool{n}" x="{x}" y="{y}" width="12" height="12"/>'
        yield text(x + 18, y + 10, tool)
        x += 150


def chart(figures: Figures) -> str:
    """Return the chart of the small tests and of the large test as SVG."""
    parts = list(legend(20))
    y = 50.0
    for name, title, scale, unit in (
        ("small", "A small test: milliseconds added", 1e3, "ms"),
        ("large", "A large test: seconds added", 1.0, "s"),
    ):
        drawn, y = panel(title, figures.workloads[name], scale, unit, y)
        parts.append(drawn)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:g}" role="img">',
            "<title>The time that measuring adds to a test, by mode and tool</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{y - 1:g}" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )
