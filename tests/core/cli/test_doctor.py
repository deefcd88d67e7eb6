"""``python -m membudget doctor`` describes the installation."""

from __future__ import annotations

import pytest
from conftest import RunPython

SCANNER = {"MEMBUDGET_READER": "auto"}
DOCTOR = ("-m", "membudget", "doctor")


def test_it_names_the_reader_in_use(run_python: RunPython) -> None:
    done = run_python(*DOCTOR, environment=SCANNER)
    assert done.returncode == 0, done.stderr
    assert "reader: scanner (C)" in done.stdout
    assert done.stdout.endswith("budgets: enforced\n")
    done = run_python(*DOCTOR, environment={"MEMBUDGET_READER": "replay"})
    assert done.returncode == 0, done.stderr
    assert "reader: replay (Python), slower, because MEMBUDGET_READER=replay" in done.stdout


WITHOUT_EXTENSIONS = """
import sys
sys.modules["membudget.recording._scanner"] = None
sys.modules["membudget.recording._marks"] = None
from membudget.__main__ import main
status = main(["doctor"])
from membudget import Budget, limit_memory, measure_memory
from membudget.runs import Block, TraceSettings
with measure_memory() as outer:
    with measure_memory() as memory:
        data = bytes(100_000)
    with measure_memory() as empty:
        pass
assert memory.peak_bytes == 100_033, memory.measurement
assert empty.n_allocations == 0, empty.measurement
raise SystemExit(status)
"""


def test_without_the_extensions_budgets_are_enforced_by_python_code(run_python: RunPython) -> None:
    """As in an installation without a compiler."""
    done = run_python("-c", WITHOUT_EXTENSIONS, environment=SCANNER)
    assert done.returncode == 0, done.stderr
    assert "reader: replay (Python), slower, because the C extension is missing" in done.stdout
    assert "marks: made in Python" in done.stdout


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"MEMBUDGET": "off"}, "NOT ENFORCED, because MEMBUDGET=off is in the environment"),
        ({"MEMBUDGET": "maybe"}, "NOT ENFORCED, because of an error: MEMBUDGET: 'maybe'"),
        ({"MEMBUDGET_READER": "fast"}, "'fast' is not 'auto' or 'replay'"),
    ],
)
def test_it_says_why_budgets_are_not_enforced(
    run_python: RunPython, environment: dict[str, str], reason: str
) -> None:
    done = run_python(*DOCTOR, environment=environment)
    assert done.returncode == 1
    assert reason in done.stdout, done.stderr


OTHER_VERSION = """
from membudget.recording import segment
refuse = "def Scanner(fd, alphabet): raise ValueError('not a capture that this scanner knows')"
exec(refuse, vars(segment))  # as code of membudget: what the program raises goes on to the program
from membudget.__main__ import main
raise SystemExit(main(["doctor"]))
"""


def test_the_replay_reads_captures_of_another_version(run_python: RunPython) -> None:
    done = run_python("-c", OTHER_VERSION, environment=SCANNER)
    assert done.returncode == 0, done.stderr
    assert "the scanner does not know the capture format of this memray" in done.stdout


def test_without_a_command_it_says_how_it_is_used(run_python: RunPython) -> None:
    done = run_python("-m", "membudget")
    assert done.returncode == 2
    assert "usage: python -m membudget" in done.stderr


def test_the_command_has_a_name_of_its_own(run_python: RunPython) -> None:
    """``membudget doctor``, once it is installed."""
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="membudget")
    assert script.value == "membudget.__main__:main"
    done = run_python("-c", f"from {script.module} import {script.attr}; {script.attr}([])")
    assert done.stderr.startswith("usage: membudget ")
