"""Patterns that match nothing, and settings that do nothing: what pytest says of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import Pytest


@pytest.fixture
def runner(tmp_path: Path) -> Pytest:
    return Pytest(tmp_path)


ORDERS = "def load(n=1_000_000): return bytearray(n)\n"

SUITE = """
import sys
import pytest
import orders

@pytest.mark.limit_memory("9 MB", only="orders", ignore=["orders.nope", "*/site-packages/agent/*"])
def test_counts(): orders.load()

@pytest.mark.limit_memory("9 MB", only="orders", ignore=["json"])
def test_counts_nothing(): bytearray(1_000_000)

@pytest.mark.limit_memory("9 MB", only=["oders", "orders"], ignore=["json"])
def test_one_of_two(): orders.load()
"""

MISSPELT = """
import pytest

@pytest.mark.limit_memory("9 MB", only="oders.*")
def test_misspelt(): bytearray(1_000_000)
"""

BLOCKS = """
import orders
from membudget import limit_memory

@limit_memory("9 MB", ignore="oders")
def load(): return orders.load()

def test_in_code():
    with limit_memory("9 MB", only=["orders", "oders"]):
        orders.load()
    load()
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2")])
def test_patterns_that_match_nothing(runner: Pytest, arguments: tuple[str, ...]) -> None:
    """In the report, also with workers: each line once, with the tests that count nothing."""
    runner.write(orders=ORDERS, test_suite=SUITE)
    ran = runner.run("--memray", "--memray-json=memory.json", *arguments)
    ran.counts(passed=3)
    lines = [line for line in ran.lines if "matched nothing" in line]
    assert sorted(lines) == [
        "ignore='*/site-packages/agent/*' matched nothing in 1 test",
        "ignore='json' matched nothing in 2 tests",
        "ignore='orders.nope' matched nothing in 1 test",
        "only='oders' matched nothing in 1 test",
        "only='orders' matched nothing in 1 of 3 tests: test_suite.py::test_counts_nothing",
    ]
    results = json.loads((runner.directory / "memory.json").read_text())["results"]
    unmatched = {one["name"]: one["measurement"]["unmatched"] for one in results}
    assert unmatched["test_suite.py::test_counts_nothing"] == ["only='orders'", "ignore='json'"]


def test_a_misspelt_name_fails_its_test(runner: Pytest) -> None:
    """Its limit would always hold."""
    runner.write(test_misspelt=MISSPELT)
    ran = runner.run("--memray")
    ran.counts(failed=1)
    assert "only='oders.*' matches nothing: no code of this name is loaded" in ran.stdout


def test_blocks_in_code_warn_at_their_line(runner: Pytest) -> None:
    runner.write(orders=ORDERS, test_blocks=BLOCKS)
    ran = runner.run("-W", "default")
    ran.counts(passed=1, warnings=2)
    assert "test_blocks.py:9: UnmatchedPatternWarning: only='oders' matches nothing: " in ran.stdout
    assert "test_blocks.py:11: UnmatchedPatternWarning: ignore='oders' matches" in ran.stdout


def test_a_profiler_in_a_test_with_a_pattern(runner: Pytest) -> None:
    runner.write(
        orders=ORDERS,
        test_profiled=(
            "import sys, pytest, orders\n"
            "@pytest.mark.limit_memory('100 KB', only='orders')\n"
            "def test_profiled_first():\n"
            "    sys.setprofile(lambda *args: None)\n"
            "    sys.setprofile(None)\n"
            "    orders.load()\n"
            "@pytest.mark.limit_memory('100 KB', only='orders')\n"
            "def test_next(): orders.load()\n"
            "@pytest.mark.limit_memory('9 MB')\n"
            "def test_without_a_pattern():\n"
            "    sys.setprofile(None)\n"
            "    orders.load()\n"
        ),
    )
    ran = runner.run("--memray")
    ran.counts(failed=2, passed=1)
    assert "the code in this block replaced Python's profile function" in ran.stdout
    assert "Test was limited to 100.0KiB but allocated 976.6KiB" in ran.stdout
    assert ran.stdout.count("Stack traces are incomplete") == 1  # in the report


PLAIN = "def test_it(): bytearray(5_000_000)\n"


def test_the_table_of_pyproject(runner: Pytest) -> None:
    """The nearest file that has it; pytest's own file, the environment and --flags come after."""
    below = runner.directory / "below"
    below.mkdir()
    (below / "test_it.py").write_text(PLAIN)
    (runner.directory / "pyproject.toml").write_text(
        "[tool.membudget]\nmemray = true\nmemray_default_limit = '1 MB'\nstacks = 1\n"
    )
    (below / "pyproject.toml").write_text("[project]\nname = 'below'\n")
    ran = runner.run("below")
    ran.counts(failed=1)
    assert "Test was limited to 1.0MiB but" in ran.stdout
    # The project below has its own root directory, and no table.
    ran = runner.run("below", "--rootdir=below", "-c", "below/pyproject.toml")
    ran.counts(failed=1)
    runner.run("below", "--memray-default-limit=9 MB").counts(passed=1)
    runner.run("below", MEMBUDGET_MEMRAY_DEFAULT_LIMIT="9 MB").counts(passed=1)
    (runner.directory / "pytest.ini").write_text("[pytest]\nmemray_default_limit = 9 MB\n")
    runner.run("below").counts(passed=1)
    runner.run("below", "-n", "1").counts(passed=1)
    runner.run("below", MEMBUDGET_MEMRAY_DEFAULT_LIMIT="2 MB").counts(failed=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("most = 1", "[tool.membudget] has no option 'most'; it has memray, "),
        ("stacks = 'x'", "pyproject.toml: stacks: 'x' is not a whole number"),
        ("memray_enforce_markers = 'alway'", "memray_enforce_markers: 'alway' is not 'enabled'"),
    ],
)
def test_mistakes_in_the_table_are_usage_errors(runner: Pytest, text: str, message: str) -> None:
    runner.write(test_it=PLAIN)
    (runner.directory / "pyproject.toml").write_text(f"[tool.membudget]\n{text}\n")
    (runner.directory / "pytest.ini").write_text("[pytest]\n")
    ran = runner.run()
    assert ran.returncode == 4
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


def test_settings_that_wait_for_memray_are_named_once(runner: Pytest) -> None:
    runner.write(test_it=PLAIN)
    table = runner.directory / "pyproject.toml"
    table.write_text("[tool.membudget]\nmemray_default_limit = '1 MB'\nmemray_stable = true\n")
    said = (
        "membudget: these settings do nothing without memray = true: "
        "memray_default_limit (pyproject.toml), memray_stable (pyproject.toml)"
    )
    for arguments in ((), ("-n", "1")):
        ran = runner.run(*arguments)
        ran.counts(passed=1)
        assert ran.lines.count(said) == 1, ran.stdout
        assert ran.stdout.count("do nothing without") == 1
    assert said not in runner.run("--memray").stdout
    assert "do nothing" not in runner.run(MEMBUDGET="off").stdout
    # Limits count in every run then; the prefix does nothing in any that keeps no captures.
    ran = runner.run("--memray-enforce-markers=always", MEMBUDGET_MEMRAY_BIN_PREFIX="p")
    assert (
        "membudget: this setting does nothing without memray_bin_path: MEMBUDGET_MEMRAY_BIN_PREFIX "
        "(the environment)" in ran.lines
    )
    assert said not in runner.run("--hide-memray-summary").stdout
    table.write_text("[tool.membudget]\nstacks = 3\n")
    assert "membudget:" not in runner.run().stdout
