"""Baselines: tests are compared with what they used in an earlier run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from running import Pytest

MIB = 1024 * 1024


def suite(mib: int, *, more: str = "") -> str:
    return (
        f"def load(): return bytearray({mib} * 1024 * 1024)\n"
        f"def test_load(): load()\n"
        f"def test_small(): bytearray(500_000)\n{more}"
    )


class Baselines(Pytest):
    """A suite with a baseline in ``memory``."""

    n_written = 0

    def write(self, **files: str) -> None:
        """Write files that differ in size from all before: Python looks at that and at seconds."""
        self.n_written += 1
        super().write(**{name: f"{text}#{'#' * self.n_written}" for name, text in files.items()})

    def baseline(self, *arguments: str) -> Any:
        return self.run("--memray", "--memray-stable", "--memray-baseline=memory", *arguments)

    @property
    def entries(self) -> dict[str, Any]:
        (file,) = (self.directory / "memory").iterdir()
        text = file.read_text()
        tests: dict[str, Any] = json.loads(text)["tests"]
        assert len(text.splitlines()) == len(tests) + 2  # one test a line
        assert list(tests) == sorted(tests)
        return tests


@pytest.fixture
def runner(tmp_path: Path) -> Baselines:
    return Baselines(tmp_path)


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_growth_fails_and_is_named(runner: Baselines, workers: tuple[str, ...]) -> None:
    """By function, although its line has moved; the report of the test says where the limit is."""
    runner.write(test_it=suite(3))
    runner.baseline("--memray-update-baseline", *workers).counts(passed=2)
    assert runner.entries["test_it.py::test_load"]["peak_bytes"] >= 3 * MIB
    assert "sites" in runner.entries["test_it.py::test_load"]
    runner.write(test_it="import os\n\n" + suite(4))
    ran = runner.baseline(*workers)
    ran.counts(failed=1, passed=1)
    assert "Test was limited to 3.3MiB but allocated 4.0MiB" in ran.stdout
    assert "New since the baseline: load (test_it.py:3) +1.0MiB" in ran.stdout
    assert "stable.json (3.0MiB, tolerance 10% + 64.0KiB)" in ran.stdout


def test_growth_within_the_tolerance_passes(runner: Baselines) -> None:
    """Both the percentage and the size must be exceeded."""
    runner.write(test_it=suite(10))
    runner.baseline("--memray-update-baseline")
    runner.write(test_it=suite(10).replace("500_000", "560_000"))
    runner.baseline().counts(passed=2)  # 12 percent, less than 64 KB
    runner.baseline("--memray-tolerance=5%").counts(passed=1, failed=1)


def test_what_a_mode_writes(runner: Baselines) -> None:
    """Only what it names; what is better never fails and is listed."""
    runner.write(test_it=suite(5))
    runner.baseline("--memray-update-baseline=new")
    before = runner.entries["test_it.py::test_load"]
    runner.write(test_it=suite(9, more="def test_other(): bytearray(500_000)\n"))
    runner.baseline("--memray-update-baseline=new").counts(failed=1, passed=2)
    assert runner.entries["test_it.py::test_load"] == before
    assert "test_it.py::test_other" in runner.entries
    ran = runner.baseline("--memray-update-baseline=worse")
    ran.counts(passed=3)
    assert "Worse than the baseline: test_it.py::test_load 5.0MiB -> 9.0MiB, written" in ran.stdout
    assert runner.entries["test_it.py::test_load"]["first_bytes"] == before["peak_bytes"]
    runner.write(test_it=suite(2, more="def test_other(): bytearray(500_000)\n"))
    ran = runner.baseline()
    ran.counts(passed=3)
    assert "Better than the baseline: test_it.py::test_load 9.0MiB -> 2.0MiB\n" in ran.stdout
    ran = runner.baseline("--memray-update-baseline=new,better")
    assert "9.0MiB -> 2.0MiB, written" in ran.stdout


def test_tests_that_are_gone_are_taken_out(runner: Baselines) -> None:
    """Not those that were deselected, nor those of files that this run has left alone."""
    runner.write(test_it=suite(2), test_other="def test_other(): bytearray(500_000)\n")
    runner.baseline("--memray-update-baseline")
    runner.write(test_it=suite(2).replace("test_small", "test_renamed"))
    ran = runner.baseline("--memray-update-baseline=new", "-k", "not load", "test_it.py")
    assert "Gone since the baseline: test_it.py::test_small\n" in ran.stdout
    ran = runner.baseline("--memray-update-baseline", "-k", "not load", "test_it.py")
    assert "Gone since the baseline: test_it.py::test_small, taken out" in ran.stdout
    assert list(runner.entries) == [
        "test_it.py::test_load",
        "test_it.py::test_renamed",
        "test_other.py::test_other",
    ]


def test_failed_tests_keep_their_baseline(runner: Baselines) -> None:
    """Their figures are not those of the whole test."""
    runner.write(test_it=suite(5))
    runner.baseline("--memray-update-baseline")
    before = runner.entries
    runner.write(test_it=suite(2).replace("load()\n", "load(); assert False\n"))
    runner.baseline("--memray-update-baseline").counts(failed=1, passed=1)
    assert runner.entries == before


def test_closer_limits_win(runner: Baselines) -> None:
    """A limit at the test replaces the baseline, and so does a waiver."""
    text = suite(3).replace("def test_load", "@pytest.mark.limit_memory('9 MB')\ndef test_load")
    runner.write(test_it=f"import pytest\n{text}")
    runner.baseline("--memray-update-baseline")
    runner.write(test_it=f"import pytest\n{text}".replace("3 * 1024", "8 * 1024"))
    runner.baseline().counts(passed=2)
    waived = suite(8).replace("def test_load", "@pytest.mark.no_memory_limit\ndef test_load")
    runner.write(test_it=f"import pytest\n{waived}")
    runner.baseline().counts(passed=2)


def test_a_test_without_a_baseline_is_reported_and_can_be_refused(runner: Baselines) -> None:
    runner.write(test_it=suite(2))
    ran = runner.baseline()
    ran.counts(passed=2)
    assert "Without a baseline: test_it.py::test_load, test_it.py::test_small\n" in ran.stdout
    ran = runner.baseline("--memray-require-baseline")
    assert ran.returncode == 4
    assert "has no baseline for test_it.py::test_load, test_it.py::test_small" in ran.stderr
    assert not (runner.directory / "memory").exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<<<<<<< HEAD", "this is not JSON"),
        ('{"format": 9}', "this is not a baseline of format 1"),
        ('{"format": 1, "tests": {"t": {"peak_bytes": "1"}}}', "t"),
    ],
)
def test_a_broken_baseline_is_a_usage_error(runner: Baselines, text: str, problem: str) -> None:
    """A conflict that was not resolved, say: nothing is compared with half a file."""
    runner.write(test_it=suite(2))
    runner.baseline("--memray-update-baseline")
    (file,) = (runner.directory / "memory").iterdir()
    file.write_text(text)
    ran = runner.baseline("--memray-update-baseline")
    assert ran.returncode == 4
    assert "--memray-baseline: " in ran.stderr
    assert problem in ran.stderr
    assert file.read_text() == text


def test_fail_on_increase_compares_with_the_last_run_that_passed(tmp_path: Path) -> None:
    """As in pytest-memray; a test that shrinks lowers what it is compared with."""
    runner = Baselines(tmp_path)

    def run() -> Any:
        options = ("-p", "cacheprovider", "-o", "cache_dir=cache")
        return runner.run("--memray", "--memray-stable", "--fail-on-increase", *options)

    for mib, failed in ((5, 0), (5, 0), (3, 0), (4, 1), (3, 0)):
        runner.write(test_it=suite(mib))
        run().counts(**({"failed": failed, "passed": 1} if failed else {"passed": 2}))


def test_without_a_cache_fail_on_increase_is_a_usage_error(tmp_path: Path) -> None:
    runner = Pytest(tmp_path)
    runner.write(test_it=suite(2))
    ran = runner.run("--memray", "--fail-on-increase")
    assert ran.returncode == 4
    assert "stores peaks in pytest's cache directory, but the cache is off" in ran.stderr


def test_suggestions_tell_a_baseline_from_a_written_limit(runner: Baselines) -> None:
    """There is nothing in the source to fix."""
    runner.write(test_it=suite(3))
    runner.baseline("--memray-update-baseline")
    written = (runner.directory / "test_it.py").read_text()
    ran = runner.baseline("--memray-fix=raise", "--memray-fix-in-ci")
    assert "Nothing was written: no limit had to be changed" in ran.stdout
    assert (runner.directory / "test_it.py").read_text() == written


@pytest.mark.parametrize("file", ["pytest.ini", "pyproject.toml"])
def test_a_file_names_the_directory_relative_to_itself(tmp_path: Path, file: str) -> None:
    """A run that starts in a folder of the project compares with the same baseline."""
    head, value = (
        ("[pytest]", "memory") if file == "pytest.ini" else ("[tool.membudget]", "'memory'")
    )
    (tmp_path / file).write_text(f"{head}\nmemray_baseline = {value}\n")
    (tmp_path / "tests").mkdir()
    if file == "pyproject.toml":
        (tmp_path / "tests/pytest.ini").write_text("[pytest]\n")  # another root
    for directory in (tmp_path, tmp_path / "tests"):
        runner = Pytest(directory)
        (tmp_path / "tests/test_it.py").write_text(suite(2))
        runner.run("--memray", "--memray-stable", "--memray-update-baseline=new")
    assert len(list((tmp_path / "memory").iterdir())) == 1
    assert not (tmp_path / "tests/memory").exists()
