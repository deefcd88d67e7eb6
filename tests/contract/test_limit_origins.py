"""A run file says in which line each limit is written, also that of a marker on the test itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import run_python_in
from membudget.results import read_run

TESTS = """
import unittest
import pytest
from membudget import limit_memory

SIZE = "2 MB"
MORE = {"total": "3 MB"}
pytestmark = pytest.mark.limit_memory("70 MB")

@pytest.mark.limit_memory("7 MB")
class TestClass:
    @pytest.mark.parametrize("n", [1, 2])
    @pytest.mark.limit_memory("1 KB",
                              total="5 MB")
    def test_over(self, n): bytearray(1_000_000)

    @pytest.mark.limit_leaks("1 KB")
    def test_leaks(self): pass

    @pytest.mark.limit_memory(SIZE)
    def test_name(self): pass

    @pytest.mark.limit_memory("2 MB", **MORE)
    def test_unclear(self): pass

class TestCase(unittest.TestCase):
    @limit_memory("3 MB")
    def test_decorated(self): pass
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["", "-n2"])
def test_every_limit_of_a_marker_has_its_line(tmp_path: Path, workers: tuple[str, ...]) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    run_python_in(tmp_path, "-m", "pytest", "--memray", "--memray-json=run.json", *workers)
    verdicts = {
        result.name.rpartition("::")[2]: result.verdict
        for result in read_run(str(tmp_path / "run.json")).results
    }
    assert {
        name: [limit.origin for limit in verdict.budget.limits]
        for name, verdict in verdicts.items()
    } == {
        "test_over[1]": ["test_it.py:13", "test_it.py:14"],
        "test_over[2]": ["test_it.py:13", "test_it.py:14"],
        "test_leaks": ["test_it.py, class TestClass"],
        "test_name": ["test_it.py:20"],
        "test_unclear": ["", ""],
        "test_decorated": ["test_it.py:27"],
    }
    leaks = verdicts["test_leaks"].budget.leaks
    assert leaks is not None
    assert leaks.origin == "test_it.py:17"
    assert verdicts["test_over[1]"].excesses[0].limit.origin == "test_it.py:13"


def test_a_file_that_has_changed_says_nothing(tmp_path: Path) -> None:
    """Its lines may be others by now."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.limit_memory('1 MB')\n"
        "def test_it():\n"
        "    with open(__file__, 'a') as file: file.write('# changed')\n"
    )
    run_python_in(tmp_path, "-m", "pytest", "--memray", "--memray-json=run.json")
    (result,) = read_run(str(tmp_path / "run.json")).results
    assert [limit.origin for limit in result.verdict.budget.limits] == [""]
