"""Growth of the process that is in no figure, and not due to a library of the table."""

from __future__ import annotations

import platform
import sys

import pytest
from conftest import RunPython, in_subprocess
from membudget import Budget, LeakLimit, Limit, Measurement, Unseen
from membudget.verdict import is_blind

PEAK = Budget((Limit("peak_bytes", 100),))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system says nothing about it")


@pytest.mark.parametrize(
    ("budget", "unseen", "blind"),
    [
        (PEAK, (), False),
        (PEAK, (Unseen("pyarrow", 70),), False),
        (PEAK, (Unseen("pyarrow", 71),), True),
        (PEAK, (Unseen("polars", None),), True),
        (PEAK, (Unseen("pyarrow", 40), Unseen("", 40)), True),
        (Budget(), (Unseen("polars", None),), False),
        (Budget((Limit("n_allocations", 100),)), (Unseen("pyarrow", 1),), True),
        (Budget(leaks=LeakLimit(50)), (Unseen("pyarrow", 50),), False),
        (Budget(leaks=LeakLimit(50)), (Unseen("pyarrow", 51),), True),
    ],
)
def test_a_budget_is_blind_if_unseen_memory_could_exceed_it(
    budget: Budget, unseen: tuple[Unseen, ...], blind: bool
) -> None:
    """No warning if the limit holds however large the unseen memory was."""
    assert is_blind(Measurement(30, 30, 1, 0, unseen=unseen), budget) is blind


# memray does not see mappings that ctypes makes: as a library would that is in no table.
UNKNOWN_LIBRARY = """
import ctypes, mmap
libc = ctypes.CDLL(None)
libc.syscall.restype = ctypes.c_void_p

def work(n_bytes):
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    address = libc.syscall(9, None, ctypes.c_size_t(n_bytes), 3, flags, -1, ctypes.c_size_t(0))
    ctypes.memset(address, 1, n_bytes)
    libc.syscall(11, ctypes.c_void_p(address), ctypes.c_size_t(n_bytes))
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of system calls")
def test_a_library_that_is_not_in_the_table(run_python: RunPython) -> None:
    """The process grew by far more than the figures explain."""
    done = run_python(
        "-W",
        "default",
        "-c",
        UNKNOWN_LIBRARY
        + """
from membudget import limit_memory
with limit_memory("8 MB"):
    work(800_000_000)  # more than this process has from its parent, as the most that it ever had
with limit_memory("8 MB"):
    work(1_000_000)
""",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("BlindBudgetWarning") == 1
    assert "the process grew by 7" in done.stderr


@pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of system calls")
def test_a_test_with_such_a_library(run_python: RunPython) -> None:
    """The report of each test shows it, even if the process was larger before."""
    program = (
        UNKNOWN_LIBRARY.replace("    libc.syscall(11", "    0 and libc.syscall(11")
        + """
import pytest
def test_before():
    before = bytearray(400_000_000)
@pytest.mark.limit_memory("8 MB")
def test_it(): work(160_000_000)
"""
    )
    run_python("-c", f"open('test_it.py', 'w').write({program!r})")
    done = run_python("-W", "default", "-m", "pytest", "--memray", "-p", "no:cacheprovider")
    assert "Not counted: the process grew by 15" in done.stdout, done.stdout
    assert "Limits of 1 test could not be checked in full" in done.stdout
    done = run_python(
        *("-W", "default", "-m", "pytest", "--memray", "-p", "no:cacheprovider"),
        "--memray-blind=error",
    )
    assert "BlindBudgetError: Test kept its limits" in done.stdout


@in_subprocess
def test_growth_is_no_sign_if_figures_explain_it_or_leave_memory_out() -> None:
    """With current_thread_only or paused(), the process is expected to grow by more."""
    from membudget import measure_memory

    for thread_only in (False, True):
        with measure_memory(current_thread_only=thread_only) as memory:
            with memory.paused():
                paused = bytearray(200_000_000)
            data = bytearray(100_000_000)
        assert memory.measurement is not None
        assert not memory.measurement.unseen
        del paused, data
