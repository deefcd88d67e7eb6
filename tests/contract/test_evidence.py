"""--memray-evidence: captures of tests over a limit, and of no others."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import memray
import pytest
from conftest import REPOSITORY, run_python_in
from membudget import Budget, Excess, InvalidOptionError, LeakLimit, Limit, Verdict
from membudget.measurement import Allocation, LeakedObjects
from membudget.recording.readers.scanner import scanner_problem
from membudget.runs import Settings
from membudget.runs.evidence import Evidence, percent_of_limit

pytestmark = pytest.mark.skipif(scanner_problem() is not None, reason="there is no scanner")

PYTEST = ("pytest", "-p", "membudget", "-p", "xdist", "-p", "no:cacheprovider", "--memray")
UNITTEST = ("unittest_membudget",)
TESTS = """
import unittest
from membudget import limit_memory
from workloads import allocate

class Test(unittest.TestCase):
    @limit_memory("1 MB")
    def test_within(self): allocate(10_000)
    def test_free(self): allocate(5_000_000)
    def test_nested(self):
        with limit_memory("1 MB"): allocate(4_000_000)
    def test_handled(self):
        with self.assertRaises(MemoryError):
            with limit_memory("1 GB"): raise MemoryError

@limit_memory("1 MB")
class TestClass(unittest.TestCase):
    def test_over(self): allocate(3_000_000)
    def test_far_over(self): allocate(9_000_000)
    def test_little_over(self): allocate(2_000_000)
"""


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = str(REPOSITORY / "tests/contract")
    return run_python_in(directory, "-m", *arguments, environment={"PYTHONPATH": path})


def names_in(directory: Path) -> list[str]:
    return [re.sub("-[0-9a-f]{12}.bin", "", one.name) for one in sorted(directory.iterdir())]


@pytest.mark.parametrize("command", [PYTEST, UNITTEST], ids=lambda command: command[0])
def test_only_tests_over_a_limit_are_kept(tmp_path: Path, command: tuple[str, ...]) -> None:
    """The failure has the command, the run file the path, and memray shows what was allocated."""
    (tmp_path / "test_it.py").write_text(TESTS)
    evidence = tmp_path / "some/evidence"
    options = ("--memray-evidence=some/evidence", "--memray-json=run.json")
    test = "test_it.py" if command == PYTEST else "test_it"
    done = run(tmp_path, *command, test, *options)
    output = done.stdout + done.stderr
    kept = names_in(evidence)
    assert [name.split("-")[1] for name in kept] == [
        "000190pct",
        "000286pct",
        "000381pct",
        "000858pct",
    ]
    assert [re.sub(".*(?=test_)", "", name) for name in kept] == [
        *("test_little_over", "test_over", "test_nested", "test_far_over"),
    ]
    paths = sorted(map(str, evidence.iterdir()))
    for path in paths:
        assert f"Its capture: memray flamegraph {Path(path).relative_to(tmp_path)}" in output
    assert (
        f"4 captures of tests over a limit, for memray flamegraph: {evidence}/evidence-*.bin"
        in (output)
    )
    results = json.loads((tmp_path / "run.json").read_text())["results"]
    captures = {result["verdict"]["capture"] for result in results}
    # The limit of a block inside a test is not that of the test.
    named = [path for path in paths if "test_nested" not in path]
    assert captures == {"", *(str(Path(path).relative_to(tmp_path)) for path in named)}
    with memray.FileReader(paths[-1]) as reader:
        (largest,) = reader.get_high_watermark_allocation_records()
    assert largest.size == 9_000_000

    (evidence / "evidence-of-somebody.bin").write_text("")
    run(tmp_path, *command, f"{test}{'::' if command == PYTEST else '.'}Test", *options)
    assert names_in(evidence)[0].endswith("test_nested")
    assert len(names_in(evidence)) == 2  # the evidence of the first run is gone


def test_the_limits_hold_for_all_processes_of_a_run(tmp_path: Path) -> None:
    """With pytest-xdist; the names tell which worker it was."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "from workloads import allocate\n"
        "@pytest.mark.parametrize('n', range(12))\n"
        "@pytest.mark.limit_memory('100 KB')\n"
        "def test_it(n): allocate(1_024_000 + 102_400 * n)\n".replace("\\\n", "\n")
    )
    done = run(tmp_path, *PYTEST, "-n2", "--memray-evidence=e", "--memray-evidence-count=3")
    kept = names_in(tmp_path / "e")
    assert [name.split("-")[1] for name in kept] == ["001900pct", "002000pct", "002100pct"]
    assert {name.split("-")[2] for name in kept} <= {"gw0", "gw1"}
    assert "3 captures of tests over a limit" in done.stdout


@pytest.mark.parametrize("path", ["test_it.py", "/proc/x"])
def test_a_directory_that_cannot_be_used_is_a_usage_error(tmp_path: Path, path: str) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(): pass")
    for command in (PYTEST, UNITTEST):
        done = run(tmp_path, *command, f"--memray-evidence={path}")
        assert done.returncode != 0
        output = done.stdout + done.stderr
        assert "--memray-evidence: " in output
        assert ("is not a directory" if path == "test_it.py" else "cannot keep captures") in output
        assert "Traceback" not in output


def write_of(size: int) -> Callable[[str], bool]:
    def write(path: str) -> bool:
        Path(path).write_bytes(bytes(size))
        return True

    return write


def over(percent: int) -> Verdict:
    limit = Limit("peak_bytes", 100)
    return Verdict(Budget((limit,)), (Excess(limit, percent),))


def test_the_largest_excess_is_kept(tmp_path: Path) -> None:
    """At most so many captures, and so many bytes; of equal ones, the first."""
    settings = Settings(
        memray_evidence=tmp_path, memray_evidence_count=3, memray_evidence_size=1000
    )
    evidence = Evidence(settings)

    def kept() -> list[str]:
        return [
            re.sub(r".*pct-(\w+)-.*".replace("\\\\", "\\"), r"\1".replace("\\\\", "\\"), name)
            for name in sorted(one.name for one in tmp_path.iterdir())
        ]

    assert evidence.keep("a", over(200), write_of(100))
    assert evidence.keep("b", over(300), write_of(100))
    assert evidence.keep("c", over(400), write_of(100))
    assert evidence.keep("d", over(200), write_of(100)) == ""
    assert kept() == ["a", "b", "c"]
    assert evidence.keep("d", over(201), write_of(100))
    assert kept() == ["d", "b", "c"]
    assert evidence.keep("d", over(500), write_of(100))  # it ran again
    assert kept() == ["b", "c", "d"]
    assert evidence.keep("huge", over(900), write_of(1001)) == ""
    assert evidence.keep("large", over(450), write_of(801))
    assert kept() == ["large", "d"]
    assert evidence.keep("large", over(450), lambda path: False) == ""
    assert evidence.keep("x" * 300 + "\n/", over(10**9), write_of(1)).replace("\\\n", "\n")
    evidence.clear()
    assert kept() == []


def test_every_kind_of_limit_has_a_share() -> None:
    """Also a limit of zero, and limits on leaks."""
    zero = Limit("n_allocations", 0)
    assert percent_of_limit(Verdict(Budget((zero,)), (Excess(zero, 7),))) == 700
    leaks = Budget((), leaks=LeakLimit(1000))
    assert percent_of_limit(Verdict(leaks, leaks=(Allocation(1500, 1, ()),))) == 150
    objects = (LeakedObjects("a.B", 3, (), ""),)
    assert percent_of_limit(Verdict(Budget(()), leaked_objects=objects)) == 300


def test_a_directory_that_is_not_writable_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="--memray-evidence: cannot keep captures in"):
        Evidence(Settings(memray_evidence=Path("/proc/x")))
