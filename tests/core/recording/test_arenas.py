"""Arenas: the memory that Python maps for small objects, a megabyte at a time."""

from __future__ import annotations

import pytest
from conftest import RunPython

PROGRAM = """
import mmap
from membudget import MemoryLimitExceeded, limit_memory

try:
    with limit_memory("1 MB"):
        mapped = mmap.mmap(-1, 3 << 20)
        exact = [bytes((1 << 20) - 33) for _ in range(2)]  # with its header, an arena's size
        kept = [(n, str(n)) for n in range(30_000)]
except MemoryLimitExceeded as exceeded:
    measurement = exceeded.measurement
    print(sum(one.arena_bytes for one in measurement.allocations) >> 20)
    print([one.arena_bytes for one in measurement.allocations if one.size_bytes == 3 << 20])
    print("in which Python keeps small objects" in str(exceeded))
"""


@pytest.mark.parametrize("reader", ["auto", "replay"])
def test_arenas_are_distinguished_from_other_mappings_and_allocations(
    reader: str, run_python: RunPython
) -> None:
    """A failure says how much is arenas, and counts nothing else as arenas."""
    done = run_python("-c", PROGRAM, environment={"MEMBUDGET_READER": reader})
    assert done.returncode == 0, done.stderr
    n_arenas, mapped, said = done.stdout.splitlines()
    assert 3 <= int(n_arenas) <= 6  # what 30,000 pairs take, and there was room for some
    assert (mapped, said) == ("[0]", "True")
