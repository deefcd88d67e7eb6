"""Limits that a run suggests, and writes into the tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from running import Pytest, Ran

TESTS = '''"""Tests of all kinds."""

import pytest


def test_without():
    bytearray(9_000_000)


@pytest.mark.limit_memory("5 MB")  # as in 2023
def test_over():
    bytearray(9_000_000)


@pytest.mark.limit_memory('100 MB')
@pytest.mark.parametrize("n", [1, 9])
def test_loose(n):
    bytearray(n * 1_000_000)


@pytest.mark.limit_memory("12 MB")
def test_fits():
    bytearray(9_000_000)
'''
FIXED = (
    TESTS.replace("def test_without", '@pytest.mark.limit_memory("12 MB")\ndef test_without')
    .replace("5 MB", "12 MB")
    .replace("100 MB", "12 MB")
)


@pytest.fixture
def runner(tmp_path: Path) -> Pytest:
    return Pytest(tmp_path)


def source(runner: Pytest, name: str = "test_it") -> str:
    return (runner.directory / f"{name}.py").read_text()


def limits(runner: Pytest, name: str = "test_it") -> list[str]:
    """Return what the markers of a file say."""
    return re.findall(r"limit_memory\(['\"](.*?)['\"]", source(runner, name))


def section(ran: Ran) -> list[str]:
    """Return the lines of the suggestions."""
    start = next(n for n, line in enumerate(ran.lines) if " SUGGESTED MEMORY LIMITS " in line)
    rest = ran.lines[start + 1 :]
    ends = re.compile(r"===|\d+ (passed|failed)|no tests ran")
    return rest[: next(n for n, line in enumerate(rest) if ends.match(line))]


def test_the_table(runner: Pytest) -> None:
    """Each limit that does not fit: used, limit now, suggested and why. Nothing is written."""
    runner.write(test_it=TESTS)
    ran = runner.run("--memray", "--memray-suggest", "-q")
    assert ran.returncode == 1  # by the limit that was exceeded
    rows = [re.split(r"  +", line) for line in section(ran)]
    assert rows[:-1] == [
        ["test", "used", "limit now", "suggested", "why"],
        ["test_it.py::test_over", "8.6MiB", "5.0MiB", "12 MB", "over its limit; used + 20% + 1 MB"],
        ["test_it.py::test_without", "8.6MiB", "-", "12 MB", "no limit yet; used + 20% + 1 MB"],
        [
            *("test_it.py::test_loose[1]", "976.6KiB", "100.0MiB", "2.2 MB"),
            "more room than it needs; used + 20% + 1 MB",
        ],
        [
            *("test_it.py::test_loose[9]", "8.6MiB", "100.0MiB", "12 MB"),
            "more room than it needs; used + 20% + 1 MB",
        ],
    ]
    assert section(ran)[-1] == "1 limit fits as written"
    assert source(runner) == TESTS


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_all_limits_are_written(runner: Pytest, workers: tuple[str, ...]) -> None:
    """The run ends as it would without, and the next one is green and has nothing to change."""
    runner.write(test_it=TESTS)
    ran = runner.run("--memray", "--memray-fix", "-q", *workers)
    assert ran.returncode == 1
    assert source(runner) == FIXED, ran.stdout + ran.stderr
    lines = section(ran)
    assert lines[:2] == ["--- a/test_it.py", "+++ b/test_it.py"]
    assert '+@pytest.mark.limit_memory("12 MB")  # as in 2023' in lines
    assert lines[-1] == "Wrote 3 limits into 1 file, 1 of them new"
    again = runner.run("--memray", "--memray-fix", "-q", *workers)
    assert again.returncode == 0, again.stdout
    assert section(again) == ["Nothing was written: no limit had to be changed, or none could be"]
    assert source(runner) == FIXED


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("raise", ["12 MB", "100 MB", "12 MB"]),
        ("lower", ["5 MB", "12 MB", "12 MB"]),
        ("add", ["12 MB", "5 MB", "100 MB", "12 MB"]),
    ],
)
def test_modes(runner: Pytest, mode: str, expected: list[str]) -> None:
    runner.write(test_it=TESTS)
    runner.run("--memray", f"--memray-fix={mode}", "-q")
    assert limits(runner) == expected


def test_a_mode_needs_an_equals_sign(runner: Pytest) -> None:
    """Or the name of a file would be the mode. Without a measurement, there is nothing to fix."""
    runner.write(test_it=TESTS)
    ran = runner.run("--memray", "--memray-fix", "test_it.py")
    assert ran.returncode == 4
    assert "'test_it.py' is not one of raise, lower, add, all" in ran.stderr
    assert "--memray-fix=all" in ran.stderr
    ran = runner.run("--memray-fix", "-q")
    assert ran.returncode == 4
    assert "--memray-fix does nothing without --memray" in ran.stderr
    assert source(runner) == TESTS


SHARED = """
import pytest

@pytest.mark.limit_memory("50 MB")
class TestShared:
    def test_a(self): bytearray(3_000_000)
    def test_b(self): bytearray(9_000_000)

@pytest.mark.parametrize("n", [1, 9])
def test_n(n): bytearray(n * 1_000_000)

@pytest.mark.limit_memory("60 MB")
def test_alone(): bytearray(9_000_000)
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["test_it.py"], ["12 MB", "12 MB", "12 MB"]),
        (["test_it.py::TestShared"], ["12 MB", "60 MB"]),
        (["test_it.py::TestShared::test_a"], ["50 MB", "60 MB"]),
        (["test_it.py::test_n[1]"], ["50 MB", "60 MB"]),
        (["test_it.py::test_n"], ["50 MB", "12 MB", "60 MB"]),
        (["-k", "test_a"], ["50 MB", "12 MB"]),
        (["-n", "2", "-k", "test_a"], ["50 MB", "12 MB"]),
        (["--deselect", "test_it.py::test_n[9]"], ["12 MB", "12 MB"]),
        (["-x", "-k", "TestShared", "-o", "memray_default_limit=1 KB"], ["12 MB", "60 MB"]),
    ],
)
def test_tests_that_did_not_run_keep_their_limits(
    runner: Pytest, arguments: list[str], expected: list[str]
) -> None:
    """However tests were left out: nothing that holds for them as well is lowered or added."""
    runner.write(test_it=SHARED)
    ran = runner.run("--memray", "--memray-fix", "-q", *arguments)
    assert limits(runner) == expected, ran.stdout


def test_last_failed(runner: Pytest) -> None:
    """The tests that ``--last-failed`` leaves out are still there."""
    failing = SHARED.replace("def test_a(self): ", "def test_a(self): assert not LATE; ")
    failing = failing.replace("import pytest", "import os, pytest\nLATE = 'EARLY' in os.environ")
    runner.write(test_it=failing)
    cache = ("-p", "cacheprovider")
    runner.run("--memray", "-q", *cache, EARLY="1")
    ran = runner.run("--memray", "-q", "--lf", "--memray-fix", *cache)
    ran.counts(passed=1)
    assert limits(runner) == ["50 MB", "60 MB"]
    assert "not all tests with this limit were measured" in ran.stdout


def test_the_first_failure_ends_a_run(runner: Pytest) -> None:
    """Tests that come after it were collected, and did not run."""
    tests = SHARED.replace("def test_b(self): ", "def test_b(self): assert 0; ")
    runner.write(test_it=tests)
    ran = runner.run("--memray", "-q", "-x", "--memray-fix")
    assert limits(runner) == ["50 MB", "60 MB"]
    assert "TestShared::test_b may need more: it failed" in ran.stdout


ENDS = """
import pytest
from membudget import limit_memory

def test_fails():
    bytearray(9_000_000)
    assert 0

@pytest.mark.xfail(strict=True)
@pytest.mark.limit_memory("5 MB")
def test_is_over_as_expected(): bytearray(9_000_000)

def test_skips():
    bytearray(9_000_000)
    pytest.skip()

@pytest.mark.limit_memory("90 MB")
def test_has_a_block():
    with limit_memory("1 MB"):
        bytearray(9_000_000)
    bytearray(80_000_000)

@pytest.mark.limit_memory("90 MB")
def test_is_torn_down(broken): bytearray(9_000_000)

@pytest.mark.no_memory_limit(reason="large")
def test_is_waived(): bytearray(9_000_000)

@pytest.fixture
def broken():
    yield
    raise ValueError
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_figures_that_are_not_whole(runner: Pytest, workers: tuple[str, ...]) -> None:
    """A test that ended too early may need more, and one that is to fail is to go on failing."""
    runner.write(test_it=ENDS)
    ran = runner.run("--memray", "--memray-suggest", "--memray-fix", "-q", *workers)
    ran.counts(failed=2, passed=2, skipped=1, xfailed=1)
    assert source(runner) == ENDS
    for name in ("test_fails", "test_has_a_block", "test_is_torn_down"):
        (row,) = (line for line in section(ran) if line.startswith(f"test_it.py::{name} "))
        assert row.endswith("but it failed, so it may need more")
    assert "No limit is suggested for 2 tests: failed as expected, skipped" in section(ran)
    assert "Nothing was written: no limit had to be changed, or none could be" in section(ran)


def test_ci(runner: Pytest) -> None:
    """On a server, changes get lost or are pushed unread: they are shown, and not written."""
    runner.write(test_it=TESTS)
    ran = runner.run("--memray", "--memray-fix", "-q", CI="true")
    assert ran.returncode == 1
    assert source(runner) == TESTS
    assert "+++ b/test_it.py" in section(ran)
    assert section(ran)[-1].startswith("Not written: 3 limits: source files are not changed in CI")
    assert "--memray-fix-in-ci" in section(ran)[-1]
    runner.run("--memray", "--memray-fix", "--memray-fix-in-ci", "-q", CI="true")
    assert source(runner) == FIXED


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_file_that_changes_while_its_tests_run(runner: Pytest, workers: tuple[str, ...]) -> None:
    """Changes that are made during the run are not lost."""
    changing = TESTS + "\ndef test_writes(): open(__file__, 'a').write('# mine')\n"
    runner.write(test_it=changing)
    ran = runner.run("--memray", "--memray-fix", "-q", *workers)
    assert source(runner) == changing + "# mine"
    assert "test_it.py has changed since the tests were imported" in ran.stdout


def test_nothing_outside_the_root_is_written(runner: Pytest) -> None:
    """The root is pytest's, wherever the tests are."""
    runner.write(test_it=TESTS)
    (runner.directory / "project").mkdir()
    ran = runner.run("--memray", "--memray-fix", "-q", "--rootdir=project", "test_it.py")
    assert source(runner) == TESTS
    assert "test_it.py is not below" in ran.stdout


def test_a_run_that_ends_early_writes_nothing(runner: Pytest) -> None:
    runner.write(test_it=TESTS + "\ndef test_ends(): pytest.exit('enough')\n")
    ran = runner.run("--memray", "--memray-fix=raise", "-q")
    assert ran.returncode == 2
    assert limits(runner) == ["5 MB", "100 MB", "12 MB"]
    assert "Nothing was written: the run ended early" in ran.stdout


BASE = """
import pytest

class Base:
    @pytest.mark.limit_memory("50 MB")
    def test_it(self): bytearray(self.n * 1_000_000)
    def test_new(self): bytearray(self.n * 1_000_000)
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_base_class_in_another_file(runner: Pytest, workers: tuple[str, ...]) -> None:
    """Where only some files ran, classes of the others may need more than it says then."""
    runner.write(base=BASE)
    for name, n in (("a", 1), ("b", 9)):
        use = f"import base\n\nclass Test{n}(base.Base):\n    n = {n}\n"
        runner.write(**{f"test_{name}": use})
    ran = runner.run("--memray", "--memray-fix", "-q", *workers, "test_a.py")
    assert source(runner, "base") == BASE
    assert "base.py may be used by tests of files that did not run" in ran.stdout
    runner.run("--memray", "--memray-fix", "-q", *workers)
    assert limits(runner, "base") == ["12 MB", "12 MB"]


def test_stable_figures(runner: Pytest) -> None:
    """Less room is needed, and the setting with which the limits hold is named."""
    runner.write(test_it="def test_it():\n    data = [bytearray(1000) for _ in range(1000)]\n")
    arguments = ("--memray", "--memray-stable", "--memray-fix=add", "--memray-suggest", "-q")
    ran = runner.run(*arguments)
    assert ran.returncode == 0
    assert limits(runner) == ["1.2 MB"], ran.stdout
    assert "no limit yet; used + 10% + 4 KB" in ran.stdout
    assert section(ran)[-1].startswith("These limits are for stable figures: set memray_stable")
    (runner.directory / "pytest.ini").write_text("[pytest]\nmemray_stable = true\n")
    again = runner.run("--memray", "--memray-suggest", "-q")
    assert section(again) == ["1 limit fits as written"]


def test_default_limits(runner: Pytest) -> None:
    """A test with the default limit can get one of its own; the default is in no test."""
    runner.write(test_it="def test_it(): bytearray(9_000_000)\n")
    arguments = ("--memray", "--memray-default-limit=5 MB", "-q")
    ran = runner.run(*arguments, "--memray-fix=raise")
    assert ran.returncode == 1
    assert limits(runner) == []
    runner.run(*arguments, "--memray-fix=add")
    assert limits(runner) == ["12 MB"]
    assert runner.run(*arguments).returncode == 0


UNITTEST = """
import unittest

from membudget import limit_memory

class TestIt(unittest.TestCase):
    @limit_memory("5 MB")
    def test_over(self): bytearray(9_000_000)

    def test_new(self): bytearray(9_000_000)
"""


def test_cases_of_unittest(runner: Pytest) -> None:
    """What pytest runs gets pytest's marker, and a decorator that is there gets its number."""
    runner.write(test_it=UNITTEST)
    runner.run("--memray", "--memray-fix", "-q")
    expected = UNITTEST.replace("5 MB", "12 MB")
    expected = expected.replace("from membudget", "import pytest\nfrom membudget")
    marker = '@pytest.mark.limit_memory("12 MB")'
    expected = expected.replace("    def test_new", f"    {marker}\n    def test_new")
    assert source(runner) == expected
    assert runner.run("--memray", "-q").returncode == 0


OTHER_LIMITS = """
import pytest

@pytest.mark.limit_leaks("1 KB")
@pytest.mark.limit_memory(total="5 MB", allocations=10)
def test_it():
    test_it.kept = bytes(3_000)
    for _ in range(3):
        bytearray(3_000_000)
"""


def test_limits_of_other_kinds(runner: Pytest) -> None:
    """Each of them gets its own number, all at once."""
    runner.write(test_it=OTHER_LIMITS)
    ran = runner.run("--memray", "--memray-suggest", "--memray-fix", "-q")
    assert ran.returncode == 1
    assert "8.6MiB total" in ran.stdout
    assert 'limit_leaks("7.3 KB")' in source(runner)
    assert 'limit_memory(total="12 MB", allocations=' in source(runner)
    assert runner.run("--memray", "-q").returncode == 0


def test_a_worker_that_dies(runner: Pytest) -> None:
    """What it reported counts, and the one that takes its place knows where tests are written."""
    runner.write(test_it=SHARED + "\ndef test_dies():\n    import os\n    os._exit(1)\n")
    ran = runner.run("--memray", "--memray-fix", "-q", "-n", "1", "--max-worker-restart=1")
    assert ran.returncode == 1
    assert limits(runner) == ["12 MB", "12 MB", "12 MB"], ran.stdout


RERUN = """
import pytest
runs = []

@pytest.mark.flaky(reruns=1)
def test_it():
    runs.append(1)
    bytearray(len(runs) * 4_500_000)
    assert len(runs) > 1
"""


def test_the_last_run_of_a_test_counts(runner: Pytest) -> None:
    """It failed at first, and its figures are whole in the end."""
    runner.plugins.append("rerunfailures")
    runner.write(test_it=RERUN)
    ran = runner.run("--memray", "--memray-fix", "-q")
    assert ran.returncode == 0
    assert limits(runner) == ["12 MB"]


def test_a_run_without_a_terminal(runner: Pytest) -> None:
    """The limits are written although the report is not shown."""
    failing = "\ndef test_fails(): assert 0\n"
    runner.write(test_it=TESTS + failing)
    ran = runner.run("--memray", "--memray-fix", "-p", "no:terminal")
    assert ran.returncode == 1
    assert source(runner) == FIXED + failing
