"""Leaked objects, and versions of Python that cannot report them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, in_subprocess, run_python_in
from membudget import (
    Budget,
    InvalidLimitError,
    LeakedObjects,
    Measurement,
    ObjectLimit,
    UnsupportedLimitError,
    limit_leaked_objects,
)
from membudget.budget_arguments import OLDEST_PYTHON_WITH_OBJECTS
from membudget.recording.readers.scanner import scanner_problem
from membudget.report import failure_text as failure
from membudget.verdict import judge

SUPPORTED = sys.version_info >= OLDEST_PYTHON_WITH_OBJECTS and scanner_problem() is None
WORKLOADS = str(REPOSITORY / "tests/contract")

tracks_objects = pytest.mark.skipif(not SUPPORTED, reason="objects cannot be tracked here")


@pytest.mark.skipif(SUPPORTED, reason="objects can be tracked here")
def test_limit_leaked_objects_says_why_it_is_not_supported() -> None:
    """As soon as it is created, because a limit that is not enforced must not pass."""
    is_old = sys.version_info < OLDEST_PYTHON_WITH_OBJECTS
    cause = "use CPython 3.13.3 or later" if is_old else "only by the reader in C"
    with pytest.raises(UnsupportedLimitError, match=cause):
        limit_leaked_objects()
    assert issubclass(UnsupportedLimitError, InvalidLimitError)


@pytest.mark.skipif(SUPPORTED, reason="objects can be tracked here")
def test_an_unsupported_limit_leaked_objects_marker_is_a_usage_error(tmp_path: Path) -> None:
    """Before any test; without --memray it does nothing, like other markers."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.limit_leaked_objects\ndef test_it(): ...\n"
    )
    done = run_python_in(tmp_path, "-m", "pytest", "-p", "no:cacheprovider", "--memray")
    assert done.returncode == 4
    assert "test_it.py::test_it: @pytest.mark.limit_leaked_objects(): " in done.stderr
    done = run_python_in(tmp_path, "-m", "pytest", "-p", "no:cacheprovider")
    assert done.returncode == 0


def test_a_filter_must_be_callable() -> None:
    with pytest.raises(InvalidLimitError, match="filter_fn: 1 is not callable"):
        limit_leaked_objects(filter_fn=1)  # type: ignore[arg-type]


def test_the_failure_text_of_leaked_objects() -> None:
    leaked = (
        LeakedObjects("shop.Order", 1200, (), "<Order 1>"),
        LeakedObjects("dict", 1, (), "{}"),
    )
    measurement = Measurement(0, 0, 0, 0, leaked_objects=leaked)
    verdict = judge(measurement, Budget(objects=ObjectLimit()))
    assert not verdict.within
    text = failure.exceeded_message("Test", measurement, verdict)
    assert text.splitlines() == [
        "Test was allowed to leak no objects but leaked 1,201",
        "List of leaked objects: ",
        "\t- 1,200 shop.Order, such as <Order 1>",
        "\t- 1 dict, such as {}",
    ]


def objects_left(work: Callable[[], object]) -> dict[str, int]:
    """Run work in a block, and return how many objects of each type leaked."""
    from membudget import MemoryLimitExceeded

    try:
        with limit_leaked_objects():
            work()
    except MemoryLimitExceeded as error:
        return {one.type_name: one.n_objects for one in error.measurement.leaked_objects}
    return {}


@tracks_objects
@in_subprocess
def test_objects_in_the_failure_and_in_the_json() -> None:
    """Only those of the block, after garbage was collected, with the stack that made them."""
    import gc
    import threading

    from membudget import (
        FilterError,
        MemoryLimitExceeded,
        limit_leaked_objects,
        measure_memory,
    )
    from test_leaked_objects import objects_left

    class Thing:
        def __init__(self) -> None:
            self.itself = self

        def __repr__(self) -> str:
            raise ZeroDivisionError("no repr")

    kept: list[object] = [Thing() for _ in range(10)]

    def make(n: int) -> None:
        kept.extend(Thing() for _ in range(n))

    def make_garbage() -> None:
        for _ in range(100):
            Thing()

    def in_a_thread() -> None:
        thread = threading.Thread(target=make, args=(5,))
        thread.start()
        thread.join()

    assert objects_left(lambda: None) == {}
    assert objects_left(make_garbage) == {}
    gc.disable()
    assert objects_left(make_garbage) == {}
    gc.enable()
    for n in (1, 1000):
        left = objects_left(lambda n=n: make(n))  # type: ignore[misc]
        assert (
            left[f"{__name__}.test_objects_in_the_failure_and_in_the_json.<locals>.Thing"] == n
        ), left
    left = objects_left(in_a_thread)
    assert left[f"{__name__}.test_objects_in_the_failure_and_in_the_json.<locals>.Thing"] == 5, left
    assert objects_left(kept.clear) == {}

    # A run of two blocks: objects that the first one leaked do not count in the second.
    with measure_memory():
        make(3)
    try:
        with limit_leaked_objects(filter_fn=lambda each: isinstance(each, Thing)) as block:
            make(3)
            make(4)
    except MemoryLimitExceeded as error:
        first, second = error.measurement.leaked_objects
        assert (first.n_objects, second.n_objects) == (4, 3)
        assert "make" in [frame.function for frame in first.stack]
        assert "Thing" in first.example
        assert block.measurement == error.measurement
    else:
        raise AssertionError

    def broken(each: object) -> bool:
        raise ZeroDivisionError("broken")

    try:
        with limit_leaked_objects(filter_fn=broken):
            make(1)
    except FilterError as error:
        assert "limit_leaked_objects raised ZeroDivisionError: broken" in str(error)
    else:
        raise AssertionError

    try:
        with limit_leaked_objects():
            make(1)
            raise LookupError("its own")
    except LookupError as error:
        assert not hasattr(error, "__notes__")


@tracks_objects
@in_subprocess
def test_figures_are_the_same_with_objects_tracked() -> None:
    """Together with limits on memory, in one block; the stacks of the peak are read as well."""
    from membudget import MemoryLimitExceeded, limit_leaked_objects, limit_leaks, limit_memory
    from workloads import KIB, make_headroom, steps

    make_headroom()
    steps()

    @limit_leaked_objects()
    @limit_memory("200 KB", total="1 MB")
    def work() -> None:
        steps()

    try:
        work()
    except MemoryLimitExceeded as error:
        measured = error.measurement
        assert (measured.peak_bytes, measured.n_allocations) == (300 * KIB, 4)
        assert sum(one.size_bytes for one in measured.allocations) == 300 * KIB
        assert measured.leaked_objects == ()
    else:
        raise AssertionError

    @limit_leaks("100 KB")
    @limit_leaked_objects()
    def both() -> None:
        steps()

    both()


@tracks_objects
@pytest.mark.skipif(sys.version_info < (3, 14), reason="there is no InterpreterPoolExecutor")
@in_subprocess
def test_other_interpreters_are_refused() -> None:
    """Creating or running one is an error instead of a crash; afterwards it is allowed again."""
    import threading
    import time
    from concurrent import interpreters  # type: ignore[attr-defined, unused-ignore]
    from typing import Any

    from membudget import MisuseError, limit_leaked_objects, limit_leaks

    def refused(run: Callable[[], Any]) -> None:
        try:
            with limit_leaked_objects(filter_fn=lambda _: False):
                run()
        except MisuseError as error:
            assert "InterpreterPoolExecutor" in str(error)
        else:
            raise AssertionError("it was not refused")

    other = interpreters.create()
    refused(interpreters.create)
    refused(lambda: other.exec("found = [1]"))
    thread = threading.Thread(target=other.exec, args=("import time; time.sleep(2)",))
    thread.start()
    while not other.is_running():
        time.sleep(0.01)
    refused(lambda: None)
    thread.join()
    with limit_leaked_objects(filter_fn=lambda _: False):
        pass
    with limit_leaks("50 MB"):
        other.exec("found = [1]")
    other.close()


@tracks_objects
@in_subprocess
def test_conflicts_with_limit_leaked_objects() -> None:
    """An outer block, and tracemalloc starting or stopping: errors, and no crash."""
    import tracemalloc

    from membudget import MisuseError, limit_leaked_objects, measure_memory

    for is_tracing in (True, False):
        if is_tracing:
            tracemalloc.start()
        for change in ("start", "stop"):
            try:
                with limit_leaked_objects():
                    getattr(tracemalloc, change)()
            except MisuseError as error:
                assert "tracemalloc can neither start nor stop" in str(error)
            else:
                raise AssertionError
        tracemalloc.stop()
    try:
        with measure_memory(), limit_leaked_objects():
            pass
    except MisuseError as error:
        assert "blocks that overlap share one recording" in str(error)
    else:
        raise AssertionError
    try:
        with limit_leaked_objects(), limit_leaked_objects():
            pass
    except MisuseError as error:
        assert "make it the outermost block" in str(error)
    else:
        raise AssertionError
    with limit_leaked_objects(filter_fn=lambda each: not isinstance(each, (str, dict))):
        with measure_memory() as inner:
            bytearray(100_000)
    assert inner.peak_bytes >= 100_000


TESTS = """
import unittest
import pytest
from membudget import limit_leaked_objects, limit_memory
from workloads import *
make_headroom()
kept = []
class Thing: ...
def make(): kept.append(Thing())
small()

@pytest.mark.limit_leaked_objects
@pytest.mark.limit_memory("50 KB")
def test_both():
    make()
    small()
@pytest.mark.limit_leaked_objects(filter_fn=lambda each: isinstance(each, str))
def test_filtered(): make()
@pytest.mark.limit_leaked_objects()
def test_clean():
    Thing()
def test_plain(): make()
@limit_leaked_objects()
def test_decorated(): make()
@pytest.mark.limit_leaked_objects
def test_fails():
    make()
    assert not kept
class TestCase(unittest.TestCase):
    @limit_leaked_objects()
    def test_it(self): make()
@limit_leaked_objects(filter_fn=lambda each: isinstance(each, Thing))
class OfTheClass(unittest.TestCase):
    def setUp(self): make()
    def test_over(self): make()
    def test_clean(self): ...
"""


@tracks_objects
@pytest.mark.parametrize("arguments", [(), ("-n", "2"), ("--memray-bin-path=kept",)], ids=" ".join)
def test_markers(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """They are in one message with other limits, and in the report and the JSON."""
    (tmp_path / "test_it.py").write_text(TESTS)
    command = ("-m", "pytest", "-p", "no:cacheprovider", "-W", "default", "--memray", *arguments)
    environment = {"PYTHONPATH": WORKLOADS}
    done = run_python_in(tmp_path, *command, "--memray-json=m.json", environment=environment)
    assert "5 failed, 4 passed" in done.stdout, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert any(
        line.startswith(
            "Test was limited to 50.0KiB but allocated 100.0KiB; allowed to leak no objects"
        )
        for line in lines
    ), done.stdout
    assert any(line.startswith("\t- 1 test_it.Thing, such as <test_it.Thing obj") for line in lines)
    assert any(line.startswith("\t    made by make:") for line in lines)
    assert "memray-tracked-objects" in done.stdout
    assert "It was allowed to leak no objects but leaked" in done.stdout


@tracks_objects
@pytest.mark.parametrize("runner", ["unittest", "unittest_membudget"])
def test_unittest(runner: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    environment = {"PYTHONPATH": WORKLOADS}
    done = run_python_in(tmp_path, "-m", runner, "test_it", environment=environment)
    assert "failures=2" in done.stderr, done.stderr
    assert done.stderr.count("allowed to leak no objects but leaked") >= 2
