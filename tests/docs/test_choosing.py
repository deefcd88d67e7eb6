"""The page on choosing a number shows what the commands print."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, run_python_in

PAGE = (REPOSITORY / "docs/choosing.md").read_text()
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--memray", "--hide-memray-summary")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    example = REPOSITORY / "docs/examples/choosing"
    return Path(shutil.copytree(example, tmp_path / "w", ignore=shutil.ignore_patterns("__*")))


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def comparable(text: str) -> str:
    """Return a table without tenths of a KiB since Python 3.14, which allocates a little more."""
    return re.sub(r"\.\dKiB", ".0KiB", text) if sys.version_info >= (3, 14) else text


def test_the_configuration(project: Path) -> None:
    assert blocks("ini") == [(project / "pytest.ini").read_text()]


def test_the_table(project: Path) -> None:
    ran = run_python_in(project, *PYTEST, "--memray-suggest")
    (table,) = blocks("text")
    assert comparable(table) in comparable(ran.stdout)


def test_the_changes(project: Path) -> None:
    """They are those of the page, and the next run is green."""
    ran = run_python_in(project, *PYTEST, "--memray-fix")
    (diff,) = blocks("diff")
    assert diff in ran.stdout
    assert ran.returncode == 1
    again = run_python_in(project, *PYTEST, "--memray-fix")
    for run, counts in ((ran, "1 failed, 3 passed"), (again, "4 passed")):
        assert f"`{counts}`" in PAGE
        assert run.stdout.splitlines()[-1].startswith(f"{counts} in ")


def test_a_limit_that_has_a_name(project: Path) -> None:
    (reason,) = re.findall(r"`(Not changed: .*)`", PAGE)
    (project / "test_it.py").write_text(
        "import pytest\n\n\nLIMIT = '90 MB'\n\n\n\n@pytest.mark.limit_memory(LIMIT)\n"
        "def test_it():\n    bytearray(9_000_000)\n"
    )
    ran = run_python_in(project, *PYTEST, "test_it.py", "--memray-fix")
    assert reason in ran.stdout.splitlines()
