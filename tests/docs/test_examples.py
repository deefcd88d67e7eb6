"""The examples run, and print what the documents promise."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, run_python_in
from membudget.budget_arguments import OLDEST_PYTHON_WITH_OBJECTS

EXAMPLES = REPOSITORY / "docs/examples"
GUIDE = REPOSITORY / "docs/guide.md"
PYTEST = ("-m", "pytest", "-p", "no:cacheprovider")
LEAKS_PASSED = "2 passed" if sys.version_info < OLDEST_PYTHON_WITH_OBJECTS else "3 passed"

# From the usage text that the product promises to keep, with the figures that it deliberately
# changes: the total is the total, the count counts allocations, and the peak has a line of its own.
USAGE_TEXT = (Path(__file__).parent / "usage_text.txt").read_text()


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES, tmp_path / "w", ignore=shutil.ignore_patterns("__*")))


def test_the_demo_prints_the_usage_text(examples: Path) -> None:
    """Every line of the usage text, in its order; the width of the rules does not matter."""
    done = run_python_in(
        examples, "-m", "pytest", "--memray", "-p", "no:cacheprovider", "--rootdir=.", "demo"
    )
    assert done.returncode == 1, done.stdout
    assert re.search(r"= 1 failed, 1 passed in [\d.]+s =", done.stdout.splitlines()[-1])
    # Since 3.12, a comprehension is a part of its function and has no frame.
    function = "<listcomp>" if sys.version_info < (3, 12) else "test_memory_exceed"

    def shortened(line: str) -> str:
        line = line.replace(str(examples), "/w").replace("<listcomp>", function)
        return re.sub(r" {2,}|([=_-])\1{5,}", r"\1", line)

    printed = iter([shortened(line) for line in done.stdout.splitlines()])
    for line in USAGE_TEXT.splitlines():
        expected = shortened(line)
        # pytest itself adds the message to the summary, since 9.
        assert any(
            line == expected
            or (expected.startswith("MEMORY PROBLEMS") and line.startswith(f"{expected} - "))
            for line in printed
        ), f"missing or out of order: {expected}\n{done.stdout}"


def test_the_guide_shows_the_table_of_the_demo(examples: Path) -> None:
    options = ("--memray", "--memray-table", "--rootdir=.")
    done = run_python_in(examples, *PYTEST, *options, "demo")
    (table,) = re.findall(
        r"^```text\n( +peak.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE
    )
    assert table in done.stdout


def test_the_site_shows_the_failure_of_the_demo(examples: Path) -> None:
    """Line by line, but for the width of rules. Since 3.12, a comprehension has no frame.

    The README has it as a picture, see test_pictures.py.
    """
    page = (REPOSITORY / "docs/index.md").read_text()
    shown = re.findall(r"^```text\n(_.*?)```$", page, re.DOTALL | re.MULTILINE)
    done = run_python_in(examples, *PYTEST, "--memray", "--rootdir=.", "demo")
    printed = done.stdout.replace(str(examples), "/w")
    if sys.version_info >= (3, 12):
        shown = [re.sub(r"<listcomp>(.*\n).*called by.*\n", r"test_memory_exceed\1", shown[0])]
    (failure,) = [re.sub(r"([_-])\1{5,}", r"\1", one) for one in shown]
    assert failure in re.sub(r"([_-])\1{5,}", r"\1", printed), done.stdout


def test_the_page_of_unittest_shows_a_failure(examples: Path) -> None:
    """Line by line; the figures are those of one version of Python."""
    page = (REPOSITORY / "docs/unittest.md").read_text()
    shown = re.findall(r"^    (=+\n.*?)\n\n", page, re.DOTALL | re.MULTILINE)
    example = (examples / "quickstart_unittest.py").read_text()
    over = example.replace("total(io.StringIO(self.orders))", "total_in_memory(self.orders)")
    (examples / "test_orders.py").write_text(over)
    command = ("-m", "unittest_membudget", "--memray-stable", "test_orders.TotalTest")
    done = run_python_in(examples, *command)
    printed = done.stderr.replace(str(examples), "/home/me")
    (expected,) = [re.sub(r"^    ", "", one, flags=re.M) for one in shown]
    expected = expected.partition("\n\t- and ")[0]  # few bytes, which not every version has
    assert re.sub(r"\d+", "N", expected) in re.sub(r"\d+", "N", printed), printed


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ([*PYTEST, "--memray", "test_quickstart.py"], "3 passed, 1 xfailed"),
        ([*PYTEST, "test_quickstart.py"], "3 passed, 1 xfailed"),
        ([*PYTEST, "--memray", "what_counts_test.py"], "6 passed"),
        ([*PYTEST, "what_counts_test.py"], "6 passed"),
        ([*PYTEST, "--memray", "suite"], "1 passed"),
        ([*PYTEST, "--memray", "test_leaks.py"], LEAKS_PASSED),
        ([*PYTEST, "test_leaks.py"], LEAKS_PASSED),
        (["-m", "unittest_membudget", "quickstart_unittest"], "Ran 5 tests"),
        (["-m", "unittest", "quickstart_unittest"], "Ran 5 tests"),
        (["quickstart_unittest.py"], "Ran 5 tests"),
        (["script.py"], "total: 9990000\npeak memory: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_budgets_of_the_examples_hold(
    examples: Path, command: list[str], expected: str
) -> None:
    done = run_python_in(examples, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert expected in done.stdout + done.stderr
    measures = "--memray" in command or "unittest_membudget" in command
    assert ("MEMRAY REPORT" in done.stdout + done.stderr) is measures


def test_the_script_runs_where_nothing_is_measured(examples: Path) -> None:
    """Switched off, a program with budgets does what it does without them."""
    done = run_python_in(examples, "script.py", environment={"MEMBUDGET": "off"})
    assert (done.returncode, done.stdout) == (0, "total: 9990000\n"), done.stderr


def test_a_run_file_is_read(examples: Path) -> None:
    """Written by pytest, with the figures of its report."""
    command = (*PYTEST, "--memray", "--memray-json=memory.json", "test_quickstart.py")
    done = run_python_in(examples, *command)
    assert done.returncode == 0, done.stdout
    read = run_python_in(examples, "largest_tests.py", "memory.json")
    environment, *largest = read.stdout.splitlines()
    assert environment.startswith(f"Python {sys.version.split()[0]}, memray "), read.stderr
    assert len(largest) == 3
    name, _, peak = largest[0].rpartition(" ")
    start = done.stdout.index(f"Allocations results for {name}")
    assert f"Peak memory: {peak}" in done.stdout[start:].split("Allocations results for")[1]
