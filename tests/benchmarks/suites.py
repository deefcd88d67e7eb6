"""The test suites and scripts that the benchmarks run: text, written to a directory."""

from __future__ import annotations

from typing import Final

# What a test does, ``work(n)``: little, or much in one test.
LITTLE: Final = """
def work(n):
    data = [str(i) for i in range(50)]
    assert len(",".join(data)) > n - n
"""

# Each element is allocated on its own; half of the records are frees.
DROPPED_BLOCKS: Final = """
def work(n):
    for _ in range({size} // 2000):
        data = [bytes(600) for _ in range(1000)]
        del data
"""

DROPPED_OBJECTS: Final = DROPPED_BLOCKS.replace("bytes(600)", "bytes(100)")

# Objects of several kinds that stay alive, as in a test that parses a document.
KEPT_OBJECTS: Final = """
def work(n):
    kept = [{{"list": [i], "text": str(i)}} for i in range({size} // 14)]
    assert kept
"""

# The tests that do it.
TESTS: Final = """
import pytest

{marker}
@pytest.mark.parametrize("n", range({n_tests}))
def test_it(n):
    work(n)
"""

BENCHMARKS: Final = """
import pytest

{marker}
@pytest.mark.parametrize("n", range({n_tests}))
def test_it(n, benchmark):
    benchmark.pedantic(work, (n,), rounds=1, iterations=1)
"""

LIMIT: Final = '@pytest.mark.limit_memory("2 GB")'
ONLY: Final = '@pytest.mark.limit_memory("2 GB", only="test_it")'
LEAKS: Final = '@pytest.mark.limit_leaks("2 GB")'
CEILING: Final = '@pytest.mark.benchmem(max_peak="2GiB")'

LIBRARIES: Final = """
import hypothesis, numpy
"""
"""A conftest.py that loads as many objects as the tests of many projects have."""

HOOK: Final = """
from membudget import hookimpl

@hookimpl
def membudget_keep_allocation(stack):
    return not any("/logging/" in frame.filename for frame in stack.frames)
"""

# A plugin that starts memray's tracker for each test, and reads nothing.
BARE_TRACKER: Final = """
import os
import memray
import pytest

def pytest_addoption(parser):
    parser.addoption("--native", action="store_true")
    parser.addoption("--trace-python-allocators", action="store_true")

@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    config = pyfuncitem.config
    file = f"bare-{os.getpid()}.bin"
    try:
        with memray.Tracker(
            file,
            native_traces=config.getoption("--native"),
            trace_python_allocators=config.getoption("--trace-python-allocators"),
        ):
            return (yield)
    finally:
        os.unlink(file)
"""

# What a fixture does before the test.
HEAVY_FIXTURE: Final = """
import pytest

def square(n):
    return n * n % 7

@pytest.fixture(autouse=True)
def heavy():
    return sum(square(n) for n in range({size}))

def work(n):
    assert len(bytes(1000 * n)) == 1000 * n
"""

BLOCKS_IN_ONE_RECORDING: Final = """
import json, os, tempfile, time
import memray
from membudget import limit_memory, measure_memory

def restart():
    begin = time.perf_counter()
    path = tempfile.mktemp()
    with memray.Tracker(path):
        pass
    os.unlink(path)
    return time.perf_counter() - begin

restart()
restarts = sorted(restart() for _ in range(51))[25]
with measure_memory():
    for _ in range(100):
        with limit_memory("24 MB"):
            data = bytes(1000)
    begin = time.perf_counter()
    for _ in range(10_000):
        with limit_memory("24 MB"):
            data = bytes(1000)
    each = (time.perf_counter() - begin) / 10_000
print(json.dumps([each, restarts]))
"""

GROWTH: Final = """
import json, os, resource, sys, time
from membudget import measure_memory
from membudget.recording.recorder import get_recorder

n_records = int(sys.argv[1])
with measure_memory():
    pass
memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begin = time.perf_counter()
with measure_memory() as memory:
    for _ in range(n_records // 2):
        bytes(600)
    capture = get_recorder()._segment._capture
    disk = os.fstat(capture.fd).st_size
seconds = time.perf_counter() - begin
memory_after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert memory.n_allocations >= n_records // 2
print(json.dumps([seconds, (memory_after - memory_before) * 1024, disk]))
"""
