"""The figures of the benchmarks, as the documents and the chart show them."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from chart import chart
from conftest import REPOSITORY
from figures import NOT_MEASURED, OURS, TOOLS, Blocks, Figures, Growth, Workload, read_figures
from modes import MODES
from performance_page import DATA, all_tables, documents


def made_up(tmp_path: Path) -> Figures:
    """Return figures of a run that was never made, as they are read from a file."""
    seconds = {
        mode: {
            tool: [9.0, 1.0 if mode == NOT_MEASURED else 1.3 if tool == OURS else 4.0, 5.0]
            for tool in tools
        }
        for mode, tools in MODES.items()
    }
    made = Figures(
        {"date": "2031-02-03", "system": "Linux 9", "processor": "Fast & Co", "cores": "2"}
        | {"CPython": "3.11.7", "memray": "1.20.0"},
        3,
        {
            **{name: Workload(300, 0, seconds) for name in ("small", "many")},
            **{name: Workload(1, 1000, seconds) for name in ("large", "kept", "dropped")},
            "fixture": Workload(4, 1000, seconds),
        },
        [Blocks(50e-6, 8e-3)],
        [Growth(1000, 0.0002, 2**20, 3000)],
    )
    file = tmp_path / "figures.json"
    made.write(file)
    read = read_figures(file)
    assert read == made
    return read


def test_tables_have_what_the_fastest_round_adds(tmp_path: Path) -> None:
    tables = all_tables(made_up(tmp_path))
    assert "2031-02-03 with CPython 3.11.7, memray 1.20.0, on Linux 9 with 2 cores" in tables
    # 0.3 s more for 300 tests; the others 3 s.
    assert "| no limit | 1.0 ms | 10.0 ms |  | 10.0 ms | 0.10 |" in tables
    assert "| a limit, `--memray-stable` | 1.0 ms |  |  |  | 0.10 |" in tables
    assert "| no limit | 0.30 s | 3.0 s |  | 3.0 s | 0.10 |" in tables
    assert "| a limit | 0.30 s | 3.0 s | 3.0 s |  | 0.10 |" in tables
    assert "| 1,000 | 0.20 us | 1.0 MiB | 3.0 bytes |" in tables
    assert (
        "| added to a small test, of that of pytest-memray: no limit | 0.1 | 0.05 | no |" in tables
    )
    assert "| whole time, of that with pytest-memray: one large test | 0.325 | 1 | yes |" in tables
    assert "| a block inside another one, in microseconds | 50 | 30 | no |" in tables


def test_the_chart_has_a_bar_for_each_figure(tmp_path: Path) -> None:
    made = made_up(tmp_path)
    svg = chart(made)
    bars = [
        one
        for one in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect")
        if one.get("class", "").startswith("tool")
    ]
    measured = [
        tool
        for name in ("small", "large")
        for mode, tools in made.workloads[name].seconds.items()
        if mode != NOT_MEASURED
        for tool in tools
    ]
    assert len(bars) == len(measured) + len(TOOLS)  # and the legend
    assert "10.0 ms" in svg
    assert not re.search(r"href|url\(|@import", svg)


def test_documents_show_the_figures_that_are_committed(tmp_path: Path) -> None:
    """Whoever measures again commits the figures and all that is made from them.

    Until there are any, made-up ones have their place in each document.
    """
    if DATA.exists():
        figures = read_figures(DATA)
        for file, text in documents(figures):
            assert file.read_text() == text, f"run benchmarks.py --redraw: {file}"
    else:
        written = {str(file.relative_to(REPOSITORY)) for file, _ in documents(made_up(tmp_path))}
        assert written == {
            "README.md",
            "docs/performance.md",
            "docs/stable.md",
            "docs/pictures/performance.svg",
        }
