"""What a test has replaced is neither called by membudget, nor does it decide anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import run_python_in

BLOCKS = """
import sys
import time
from pathlib import Path

import membudget
from membudget import (
    Block, Budget, Limit, MemoryLimitExceeded, limit_leaked_objects, limit_leaks, limit_memory,
    measure_memory,
)
from membudget.limits import OLDEST_PYTHON_WITH_OBJECTS
from membudget.recording.scanner import scanner_problem
from replaced import all_replaced, failing, functions_named_in

SCANS = scanner_problem() is None
KIB = 1024
kept = []


def large():
    kept.append(bytearray(500 * KIB))


def small():
    kept.append(bytearray(5 * KIB))


def is_exceeded(block, work=large):
    try:
        with block:
            work()
    except MemoryLimitExceeded as exceeded:
        assert block.measurement.stacks_problem == "", block.measurement.stacks_problem
        assert "large" in str(exceeded), exceeded
        return True
    return False


def within():
    assert not is_exceeded(limit_memory("100 KB"), small)


def over():
    assert is_exceeded(limit_memory("100 KB"))


def nested():
    with measure_memory() as outer:
        within()
        over()
        assert is_exceeded(limit_memory("100 KB", only="__main__"))
    assert outer.peak_bytes >= 1000 * KIB


def outer_over():
    assert is_exceeded(limit_memory("100 KB"), lambda: (within(), large()))


def decorated():
    try:
        limit_memory("100 KB")(large)()
    except MemoryLimitExceeded:
        return
    raise AssertionError


def filtered():
    assert is_exceeded(limit_memory("100 KB", only="__main__"))
    assert is_exceeded(limit_memory("100 KB", ignore="json.*"))
    assert not is_exceeded(limit_memory("100 KB", ignore="__main__"))


def leaks():
    assert is_exceeded(limit_leaks("100 KB"))
    assert not is_exceeded(limit_leaks("100 KB"), small)


def leaked_objects():
    if not SCANS or sys.version_info < OLDEST_PYTHON_WITH_OBJECTS:
        return
    try:
        with limit_leaked_objects():
            large()
    except MemoryLimitExceeded:
        return
    raise AssertionError


def stable():
    assert is_exceeded(limit_memory("100 KB", stable=True))
    assert not is_exceeded(limit_memory("100 KB", stable=True), small)


def paused():
    with limit_memory("100 KB") as memory:
        with memory.paused():
            large()
        small()
    assert 5 * KIB <= memory.peak_bytes < 100 * KIB


def captures():
    if SCANS:
        block = Block(Budget((Limit("peak_bytes", 100 * KIB),)), keep_capture="kept.bin")
        assert is_exceeded(block)


def generator():
    def rows():
        with limit_memory("100 KB"):
            yield
            large()
            yield

    loop = rows()
    next(loop)
    try:
        next(loop)
        next(loop)
    except MemoryLimitExceeded:
        return
    raise AssertionError


def in_a_run():
    run = membudget.Run(most_allocations=5)
    run.begin()
    for number in range(3):
        def keep(*measured, name=str(number)):
            run.add(name, *measured)

        with Block(Budget(), always_allocations=True, on_measured=keep):
            large()
    for result in run.end():
        assert result.measurement.allocations and not result.measurement.stacks_problem


KINDS = (
    within, over, nested, outer_over, decorated, filtered, leaks, leaked_objects, stable, paused,
    captures, generator, in_a_run,
)
if "before" not in sys.argv:
    over()
called = []
with all_replaced(functions_named_in(Path(membudget.__file__).parent), failing(called)):
    for kind in KINDS:
        kind()
        kept.clear()
        assert not called, (kind, called)
if SCANS:
    assert Path("kept.bin").stat().st_size
"""
HERE = str(Path(__file__).parent)


@pytest.mark.parametrize("first_block", ["before", "after"])
@pytest.mark.parametrize("reader", ["auto", "replay"])
def test_no_function_that_a_test_can_replace_is_called(
    tmp_path: Path, reader: str, first_block: str
) -> None:
    """Whatever is replaced by functions that fail, every limit holds, and the stacks are there."""
    (tmp_path / "blocks.py").write_text(BLOCKS)
    environment = {"PYTHONPATH": HERE, "MEMBUDGET_READER": reader}
    done = run_python_in(tmp_path, "blocks.py", first_block, environment=environment)
    assert done.returncode == 0, done.stderr
