"""The test suites and scripts that the benchmarks run: text, written to a directory."""

from __future__ import annotations

SMALL_TESTS = """
import pytest

@pytest.mark.parametrize("n", range({n_tests}))
def test_small(n):
    data = [str(i) for i in range(50)]
    assert len(",".join(data)) > n - n
"""

LIMITED_TESTS = SMALL_TESTS.replace("@pytest", '@pytest.mark.limit_memory("24 MB")\n@pytest', 1)

ONLY_TESTS = LIMITED_TESTS.replace('"24 MB"', '"24 MB", only="test_it"')

LEAK_TESTS = SMALL_TESTS.replace("@pytest", '@pytest.mark.limit_leaks("24 MB")\n@pytest', 1)

LIBRARIES = """
import hypothesis, numpy
"""
"""A conftest.py that loads as many objects as the tests of many projects have."""

HOOK = """
from membudget import hookimpl

@hookimpl
def membudget_keep_allocation(stack):
    return not any("/logging/" in frame.filename for frame in stack.frames)
"""

# Each element is allocated on its own; half of the records are frees.
MANY_OBJECTS = """
def test_heavy():
    for _ in range({n_records} // 2000):
        data = [bytes(600) for _ in range(1000)]
        del data
"""

# Objects of several kinds that stay alive, as in a test that parses a document.
KEPT_OBJECTS = """
def test_heavy():
    kept = [{{"list": [i], "text": str(i)}} for i in range({n_records} // 14)]
    assert kept
"""

HEAVY_FIXTURE = """
import pytest

def work(n):
    return n * n % 7

@pytest.fixture
def heavy():
    return sum(work(n) for n in range({n_calls}))

@pytest.mark.parametrize("n", range(4))
def test_light(heavy, n):
    assert len(bytes(1000 * n)) == 1000 * n
"""

BLOCKS_IN_ONE_RECORDING = """
import sys, time
from membudget import limit_memory, measure_memory
import memray, os, tempfile

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
print(restarts, each)
"""

GROWTH = """
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
