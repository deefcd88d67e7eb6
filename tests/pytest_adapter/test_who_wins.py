"""Of the limits of a test, the closest one wins, however and whenever it was added."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Pytest

EVERYWHERE = pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=" ".join)
# 50 KB and 5 MB are too little and more than enough for it.
OVER = "allocate(1000 * KIB)"
PRELUDE = """
import unittest
import pytest
from membudget import limit_memory
from workloads import *
make_headroom()
"""
ADDS = """
import pytest
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker({marker}, append={append})
"""


@pytest.fixture
def runner(tmp_path: Path) -> Pytest:
    return Pytest(tmp_path)


WRITTEN = (
    PRELUDE
    + f"""
@pytest.mark.limit_memory("50 KB")
def test_function(): {OVER}
@pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.limit_memory("50 KB"))])
def test_parameter(n): {OVER}
@pytest.mark.limit_memory("50 KB")
class TestClass:
    def test_class(self): {OVER}
@limit_memory("50 KB")
class TestCase(unittest.TestCase):
    def test_decorated_class(self): {OVER}
@limit_memory("50 KB")
def test_decorated(): {OVER}
@pytest.mark.limit_memory(total="50 MB")
def test_other_kind(): {OVER}
def test_none(): {OVER}
"""
)
OF_MODULE = f"""
import pytest
from workloads import *
pytestmark = pytest.mark.limit_memory("50 KB")
def test_module(): {OVER}
"""


@EVERYWHERE
@pytest.mark.parametrize("append", [True, False])
def test_a_hook_hides_no_limit_that_is_written(
    runner: Pytest, append: bool, arguments: tuple[str, ...]
) -> None:
    """What a conftest.py adds to all tests is a default: it counts where a test has no limit."""
    conftest = ADDS.format(marker="pytest.mark.limit_memory('5 MB')", append=append)
    runner.write(conftest=conftest, test_it=WRITTEN, test_module=OF_MODULE)
    ran = runner.run("--memray", *arguments)
    ran.counts(failed=6, passed=2)
    assert ran.stdout.count("\nTest was limited to 50.0KiB") == 6


@EVERYWHERE
def test_a_limit_of_a_hook_counts_where_there_is_no_other(
    runner: Pytest, arguments: tuple[str, ...]
) -> None:
    """Kind by kind: a test with a limit on its total keeps the added one on its peak."""
    conftest = ADDS.format(marker="pytest.mark.limit_memory('60 KB')", append=True)
    runner.write(conftest=conftest, test_it=WRITTEN, test_module=OF_MODULE)
    ran = runner.run("--memray", *arguments)
    ran.counts(failed=8)
    assert ran.stdout.count("\nTest was limited to 60.0KiB") == 2


def test_a_fixture_hides_no_limit_that_is_written(runner: Pytest) -> None:
    """And where none is written, its limit wins over that of a hook."""
    runner.write(
        conftest=ADDS.format(marker="pytest.mark.limit_memory('5 MB')", append=True)
        + """
@pytest.fixture(autouse=True)
def adds(request): request.node.add_marker(pytest.mark.limit_memory("60 KB"))
@pytest.fixture
def roomy(request): request.node.add_marker(pytest.mark.limit_memory("4 MB"))
""",
        test_it=PRELUDE
        + f"""
@pytest.mark.limit_memory("50 KB")
def test_written(): {OVER}
@pytest.mark.limit_memory("5 MB")
def test_written_with_room(): {OVER}
def test_added(): {OVER}
def test_added_last(adds, roomy): {OVER}
""",
    )
    ran = runner.run("--memray")
    ran.counts(failed=2, passed=2)
    assert "\nTest was limited to 50.0KiB" in ran.stdout
    assert "\nTest was limited to 60.0KiB" in ran.stdout


def test_of_two_hooks_the_conftest_nearer_to_the_test_wins(runner: Pytest) -> None:
    runner.write(conftest=ADDS.format(marker="pytest.mark.limit_memory('5 MB')", append=True))
    near = runner.directory / "near"
    near.mkdir()
    marker = "pytest.mark.limit_memory('60 KB')"
    (near / "conftest.py").write_text(ADDS.format(marker=marker, append=True))
    (near / "test_it.py").write_text(PRELUDE + f"def test_near(): {OVER}\n")
    ran = runner.run("--memray")
    ran.counts(failed=1)
    assert "\nTest was limited to 60.0KiB" in ran.stdout


def test_a_limit_of_a_class_wins_over_one_and_a_waiver_of_its_module(runner: Pytest) -> None:
    """Also where the class is a TestCase, and its limit a decorator."""
    case = (
        f"@limit_memory('50 KB')\nclass TestCase(unittest.TestCase):\n    def test(self): {OVER}\n"
    )
    runner.write(
        test_limit=PRELUDE + "pytestmark = pytest.mark.limit_memory('5 MB')\n" + case,
        test_waiver=PRELUDE + "pytestmark = pytest.mark.no_memory_limit\n" + case,
    )
    runner.run("--memray").counts(failed=2)


def test_equal_markers_of_a_function_and_of_a_parameter_are_two_places(runner: Pytest) -> None:
    runner.write(
        test_it=PRELUDE
        + f"""
@pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.limit_memory("50 KB"))])
@pytest.mark.limit_memory("50 KB")
def test(n): {OVER}
"""
    )
    runner.run("--memray").counts(failed=1)


@EVERYWHERE
@pytest.mark.parametrize("wrapper", ["", "@pytest.hookimpl(wrapper=True, tryfirst=True)\n"])
def test_a_bad_marker_of_a_hook_is_a_usage_error(
    runner: Pytest, wrapper: str, arguments: tuple[str, ...]
) -> None:
    """The same one as for a marker that is written, with the test that it was added to."""
    conftest = ADDS.format(marker="pytest.mark.limit_memory('1 MBanana')", append=True)
    if wrapper:
        conftest = conftest.replace("def pytest", wrapper + "def pytest") + "    return (yield)\n"
    runner.write(conftest=conftest, test_it=PRELUDE + f"def test(): {OVER}\n")
    ran = runner.run("--memray", *arguments)
    assert ran.returncode == 4, ran.stdout
    assert "bad memory limits:\ntest_it.py::test: @pytest.mark.limit_memory(" in ran.stderr
    assert "INTERNALERROR" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("stable", ["", ", stable=True"])
@pytest.mark.parametrize("when", ["setup", "protocol"])
def test_a_bad_marker_that_is_added_in_the_run_is_an_error_of_its_test(
    runner: Pytest, when: str, stable: str
) -> None:
    hook = f"@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_{when}(item):"
    runner.write(
        conftest=f"import pytest\n{hook}\n    if item.name == 'test_bad':\n"
        f"        item.add_marker(pytest.mark.limit_memory('1 MBanana'{stable}))\n",
        test_it="def test_bad(): pass\ndef test_next(): pass\n",
    )
    ran = runner.run("--memray")
    assert ran.returncode == 1
    assert "1 passed" in ran.lines[-1]
    assert "'1 MBanana' is not a memory size" in ran.stdout
    assert "INTERNALERROR" not in ran.stdout


def test_a_failure_says_where_a_limit_further_out_is_written(runner: Pytest) -> None:
    """Of a limit at the test itself, it says nothing: every failure names its test."""
    runner.write(
        test_it="import pytest\n"
        "pytestmark = pytest.mark.limit_memory('1 KB')\n"
        "def test_module(): bytearray(5000)\n"
        "@pytest.mark.limit_memory('2 KB')\n"
        "class TestClass:\n"
        "    def test_class(self): bytearray(5000)\n"
        "    @pytest.mark.limit_memory('3 KB')\n"
        "    def test_own(self): bytearray(5000)\n",
        conftest="import pytest\n"
        "@pytest.fixture(autouse=True)\n"
        "def limit(request):\n"
        "    request.node.add_marker(pytest.mark.limit_memory(total='1 KB'))\n",
    )
    ran = runner.run("--memray")
    ran.counts(failed=3)
    written = [line for line in ran.lines if line.startswith("The limit is written in ")]
    by_fixture = "a fixture, which added the marker"
    assert [line.removeprefix("The limit is written in ") for line in written] == [
        f"test_it.py and in {by_fixture}",
        f"test_it.py, class TestClass and in {by_fixture}",
        by_fixture,
    ]
