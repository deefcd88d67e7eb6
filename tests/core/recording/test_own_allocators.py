"""The table of libraries with an allocator of their own, and the memory of the process."""

from __future__ import annotations

import os
import sys
from types import ModuleType

import pytest
from conftest import in_subprocess
from membudget.recording.own_allocators import ALLOCATORS, loaded, visible_from_the_start
from membudget.recording.process_memory import ProcessMemory, most_memory, process_memory

MIB = 1024 * 1024
JEMALLOC = "retain:false,dirty_decay_ms:0,muzzy_decay_ms:0"
POLARS = "dirty_decay_ms:500,muzzy_decay_ms:1000"


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for allocator in ALLOCATORS:
        monkeypatch.delitem(sys.modules, allocator.module, raising=False)
        if allocator.variable:
            monkeypatch.delenv(allocator.variable, raising=False)


def test_the_environment_is_set_and_put_back() -> None:
    """The environment of a program that runs pytest is restored."""
    before = dict(os.environ)
    with visible_from_the_start():
        assert os.environ["ARROW_DEFAULT_MEMORY_POOL"] == "system"
        assert os.environ["_RJEM_MALLOC_CONF"] == JEMALLOC
        assert os.environ["DUCKDB_JE_MALLOC_CONF"] == JEMALLOC
        with visible_from_the_start():
            pass
        assert os.environ["_RJEM_MALLOC_CONF"] == JEMALLOC
    assert dict(os.environ) == before


@pytest.mark.parametrize("chosen", ["dirty_decay_ms:-1", "mimalloc"])
def test_variables_set_by_the_user_are_not_changed(
    chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_RJEM_MALLOC_CONF", chosen)
    with visible_from_the_start():
        assert os.environ["_RJEM_MALLOC_CONF"] == chosen
    assert os.environ["_RJEM_MALLOC_CONF"] == chosen


@pytest.mark.parametrize("inherited", [POLARS, f"{POLARS},{POLARS}"])
def test_the_value_that_polars_writes_is_not_a_setting_of_the_user(
    inherited: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child of a process that has loaded polars inherits the value that polars wrote."""
    monkeypatch.setenv("_RJEM_MALLOC_CONF", inherited)
    with visible_from_the_start():
        assert os.environ["_RJEM_MALLOC_CONF"] == JEMALLOC
        os.environ["_RJEM_MALLOC_CONF"] = f"{POLARS},{JEMALLOC}"  # polars is loaded now
    assert os.environ["_RJEM_MALLOC_CONF"] == POLARS


def test_a_fake_module_has_no_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests put fake modules into sys.modules."""
    monkeypatch.setitem(sys.modules, "polars", type("Fake", (ModuleType,), {})("polars"))
    assert list(loaded()) == []
    monkeypatch.setitem(sys.modules, "polars", ModuleType("polars"))
    assert [allocator.module for allocator in loaded()] == ["polars"]


def test_growth_does_not_include_files() -> None:
    """Importing a large library must not look like unseen memory."""
    before = ProcessMemory(100 * MIB, 20 * MIB, 150 * MIB)
    assert before.growth_until(ProcessMemory(180 * MIB, 90 * MIB, 180 * MIB)) == 10 * MIB
    assert before.growth_until(ProcessMemory(100 * MIB, 20 * MIB, 190 * MIB)) == 90 * MIB
    assert before.growth_until(ProcessMemory(90 * MIB, 20 * MIB, 150 * MIB)) == 0


def test_growth_does_not_include_the_tables_of_the_scanner() -> None:
    """They grow during a block that is scanned while it runs, and are no sign of unseen memory."""
    before = ProcessMemory(100 * MIB, 20 * MIB, 150 * MIB, 10 * MIB)
    after = ProcessMemory(180 * MIB, 20 * MIB, 200 * MIB, 20 * MIB)
    assert before.growth_until(after) == 80 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="the system says nothing about it")
def test_the_memory_of_this_process() -> None:
    memory, most = process_memory(), most_memory()
    assert memory is not None
    assert most is not None
    assert 0 < memory.shared_bytes < memory.resident_bytes
    assert most.resident_bytes == most.most_bytes
    assert most.shared_bytes == most.reader_bytes == 0


@pytest.mark.skipif(sys.platform != "linux", reason="there is no such file")
@in_subprocess
def test_a_run_reads_the_memory_of_its_process_from_a_file_that_it_keeps_open() -> None:
    """Not in a forked child, whose file it is not, and not if the program has closed it."""
    import os

    from membudget.recording.process_memory import process_memory, status_file
    from membudget.runs import Run, Settings

    mib = 1 << 20

    def resident() -> int:
        memory = process_memory()
        assert memory is not None
        return memory.resident_bytes

    def of_a_child() -> None:
        if (child := os.fork()) == 0:
            before = resident()
            filled = b"x" * (64 * mib)
            os._exit(not resident() - before > 60 * mib < len(filled))
        assert os.waitpid(child, 0)[1] == 0

    run = Run(Settings(most_allocations=1), "unittest")
    run.begin()
    kept = status_file._kept
    assert kept is not None
    assert kept.is_ours
    before = resident()
    filled = b"x" * (64 * mib)
    assert resident() - before > 60 * mib < len(filled)
    of_a_child()
    os.closerange(3, 256)
    with open("of the program", "w+b") as other:  # gets the number of a file of membudget
        other.write(b"1 2 3")
        other.flush()
        assert resident() > 64 * mib
    run.end()
    assert status_file._kept is None
    assert resident() > 64 * mib


@in_subprocess
def test_arrow_is_switched_while_a_block_is_open() -> None:
    """The program's pool is restored afterwards, and a pool that the program chose is kept."""
    import pyarrow as pa
    from membudget import measure_memory

    pa.set_memory_pool(pa.mimalloc_memory_pool())
    with measure_memory() as outer:
        with measure_memory():
            assert pa.default_memory_pool().backend_name == "system"
        assert pa.default_memory_pool().backend_name == "system"
        buffer = pa.allocate_buffer(5_000_000)
    assert outer.peak_bytes > 5_000_000
    assert outer.measurement is not None
    assert not outer.measurement.unseen
    assert pa.default_memory_pool().backend_name == "mimalloc"
    del buffer
    with measure_memory():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
    assert pa.default_memory_pool().backend_name == "jemalloc"


@in_subprocess
def test_arrow_memory_of_an_explicit_pool() -> None:
    """A pool that is handed to Arrow explicitly is counted by Arrow, to the byte."""
    import warnings

    import pyarrow as pa
    from membudget import BlindBudgetWarning, Unseen, limit_memory

    pool = pa.mimalloc_memory_pool()
    with limit_memory("2 GB") as wide:
        pa.allocate_buffer(5_000_000, memory_pool=pool)
    assert wide.measurement is not None
    assert wide.measurement.unseen == (Unseen("pyarrow", 5_000_000),)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with limit_memory("4 MB"):
            pa.allocate_buffer(1_000_000, memory_pool=pool)
        assert not caught
        with limit_memory("4 MB"):
            pa.allocate_buffer(5_000_000, memory_pool=pool)
    assert [one.category for one in caught] == [BlindBudgetWarning]
    assert "pyarrow took 4.8MiB from its own allocator" in str(caught[0].message)
    assert caught[0].filename == __file__
