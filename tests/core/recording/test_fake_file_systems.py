"""Tests that replace the file system: no real file is touched."""

from __future__ import annotations

from conftest import in_fresh_interpreter


@in_fresh_interpreter
def test_a_fake_file_system_and_the_files_that_are_open() -> None:
    """Its file numbers are those of other, real files of the process."""
    from pathlib import Path

    from membudget import MemoryLimitExceeded, limit_memory, measure_memory
    from pyfakefs.fake_filesystem_unittest import Patcher

    real = [open(f"precious-{n}", "w+") for n in range(5)]
    for file in real:
        file.write("precious")
        file.flush()
    with Patcher() as patcher:
        assert patcher.fs is not None
        patcher.fs.create_file("/x/fake.txt", contents="x" * 100_000)
        fakes = [open(f"/x/{n}", "w") for n in range(10)]
        with limit_memory("1 MB") as memory:
            kept = bytearray(500_000)
            assert len(open("/x/fake.txt").read()) == 100_000
        assert memory.peak_bytes >= len(kept)
        with measure_memory():
            try:
                with limit_memory("100 KB"):
                    bytearray(500_000)
            except MemoryLimitExceeded as exceeded:
                assert "limited to 100.0KiB but allocated" in str(exceeded)
                assert "test_fake_file_systems.py" in str(exceeded)
            else:
                raise AssertionError
        try:
            with limit_memory("100 KB"):
                bytearray(500_000)
        except MemoryLimitExceeded as exceeded:
            assert "limited to 100.0KiB but allocated" in str(exceeded)
            assert "test_fake_file_systems.py" in str(exceeded)
        else:
            raise AssertionError
        for fake in fakes:
            fake.close()
    for file in real:
        file.close()
    assert [Path(f"precious-{n}").read_text() for n in range(5)] == ["precious"] * 5


@in_fresh_interpreter
def test_functions_that_a_test_mocks() -> None:
    """Whatever is mocked while the block ends, the limit is enforced."""
    from unittest import mock

    from membudget import MemoryLimitExceeded, limit_memory

    for name in ("builtins.open", "os.open", "os.ftruncate", "tempfile.TemporaryFile", "io.open"):
        with mock.patch(name, side_effect=ValueError("mocked")):
            try:
                with limit_memory("100 KB"):
                    bytearray(500_000)
            except MemoryLimitExceeded:
                pass
            else:
                raise AssertionError(name)
