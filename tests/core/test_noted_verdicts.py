"""An exceeded budget is reported even if the body of its block raises."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from conftest import RunPython, in_subprocess
from membudget.runs import delivering_verdicts


def test_an_exit_with_status_0_in_a_block_over_its_limit_fails(run_python: RunPython) -> None:
    """sys.exit(0) in a block over its limit and in a decorated function: status 1 and the text."""
    block = "with limit_memory('1 MB'):\n    data = bytearray(10_000_000); sys.exit(0)"
    function = (
        "@limit_memory('1 MB')\ndef main():\n    data = bytearray(10_000_000); sys.exit(0)\nmain()"
    )
    for program in (block, function):
        done = run_python("-c", f"import sys\nfrom membudget import limit_memory\n{program}")
        assert done.returncode == 1
        assert "limited to 1.0MiB but allocated 9.5MiB" in done.stderr


@in_subprocess
def test_control_flow_exceptions_are_replaced() -> None:
    """A note on them would not be shown."""
    import asyncio
    import unittest

    from membudget import MemoryLimitExceeded, limit_memory
    from twisted.trial.unittest import SkipTest as TrialsSkipTest

    for raised in (
        *(SystemExit(0), SystemExit(3), StopIteration(), StopAsyncIteration()),
        *(GeneratorExit(), asyncio.CancelledError()),
        *(unittest.SkipTest("skipped"), TrialsSkipTest("skipped")),
    ):
        try:
            with limit_memory("1 KB"):
                data = bytearray(5000)
                raise raised
        except MemoryLimitExceeded as error:
            assert error.__cause__ is raised
        else:
            raise AssertionError(raised)
        with contextlib.suppress(type(raised)), limit_memory("1 MB"):
            raise raised
    del data


@in_subprocess
def test_a_cancelled_task_over_its_limit_fails() -> None:
    """Cancelled by hand, by a time limit, by a group, at the end of asyncio.run()."""
    import asyncio
    from collections.abc import Awaitable, Callable

    from membudget import MemoryLimitExceeded, limit_memory

    @limit_memory("1 KB")
    async def server() -> None:
        data = bytearray(50_000)
        await asyncio.sleep(60)
        del data

    async def by_hand() -> None:
        task = asyncio.create_task(server())
        await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def by_timeout() -> None:
        async with asyncio.timeout(0.01):
            await server()

    async def by_wait_for() -> None:
        await asyncio.wait_for(server(), 0.01)

    async def by_group() -> None:
        async def fail() -> None:
            await asyncio.sleep(0.01)
            raise LookupError

        async with asyncio.TaskGroup() as group:
            group.create_task(server())
            group.create_task(fail())

    seen: list[BaseException] = []

    async def by_the_end() -> None:
        handler = lambda _, context: seen.append(context["exception"])  # noqa: E731
        asyncio.get_running_loop().set_exception_handler(handler)
        asyncio.create_task(server())  # noqa: RUF006
        await asyncio.sleep(0.01)

    ways: list[Callable[[], Awaitable[None]]] = [by_hand, by_timeout, by_wait_for, by_group]
    for way in ways:
        try:
            asyncio.run(way())  # type: ignore[arg-type]
        except* MemoryLimitExceeded as group:
            seen += group.exceptions
        except* LookupError:
            pass
    asyncio.run(by_the_end())
    assert [type(error) for error in seen] == [MemoryLimitExceeded] * 5


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_scopes_of_anyio_and_trio_are_left_in_order(run_python: RunPython, backend: str) -> None:
    """The exception that replaces their cancellation ends the scope and is raised there."""
    program = f"""
import anyio
from membudget import MemoryLimitExceeded, limit_memory
async def server():
    with limit_memory("1 KB"):
        data = bytearray(50_000)
        await anyio.sleep(60)
async def scope():
    with anyio.move_on_after(0.01):
        await server()
async def group():
    async with anyio.create_task_group() as group:
        group.start_soon(server)
        group.start_soon(anyio.sleep, 60)
        await anyio.sleep(0.01)
        group.cancel_scope.cancel()
for work in (scope, group):
    try:
        anyio.run(work, backend={backend!r})
    except* MemoryLimitExceeded as group:
        print(len(group.exceptions))
"""
    done = run_python("-c", program)
    assert done.stdout.split() == ["1", "1"], done.stderr


LOADER = """
import unittest
from membudget import limit_memory
class Loader:
    @property
    def rows(self):
        with limit_memory("1 KB"):
            data = bytearray(5000)
            raise AttributeError("rows")
"""


def test_a_verdict_is_reported_if_the_exception_is_handled(
    run_python: RunPython, tmp_path: Path
) -> None:
    """hasattr(): a warning at the user's line, which is an error with -W error."""
    (tmp_path / "program.py").write_text(f"{LOADER}\nprint(hasattr(Loader(), 'rows'))")
    warned = run_python("-W", "default", "program.py")
    assert warned.stdout == "False\n"
    assert "program.py:7: NotRaisedWarning: Block was limited to 1.0KiB but" in warned.stderr
    assert "but the block raised AttributeError (program.py:9) instead" in warned.stderr
    failed = run_python("program.py")
    assert failed.returncode == 1
    assert "MemoryLimitExceeded: Block was limited to 1.0KiB but allocated 4.9KiB" in failed.stderr


def test_a_keyboard_interrupt_propagates(run_python: RunPython) -> None:
    """Alone or in a group; stderr says what was exceeded."""
    program = """
from membudget import limit_memory
for raised in (KeyboardInterrupt(), BaseExceptionGroup("", [KeyboardInterrupt()])):
    try:
        with limit_memory("1 KB"):
            data = bytearray(5000)
            raise raised
    except BaseException as error:
        assert error is raised
        assert len(error.__notes__) == 1
"""
    done = run_python("-c", program)
    said = "membudget: Block was limited to 1.0KiB but allocated 4.9KiB\n"
    assert (done.returncode, done.stderr) == (0, 2 * said)


@in_subprocess
def test_a_block_that_could_not_be_measured_ends_with_an_error() -> None:
    """Its error is reported like an exceeded limit; without a limit, there is a note."""
    from membudget import CaptureError, limit_memory, measure_memory
    from membudget.recording.recorder import get_recorder

    def lose_capture() -> None:
        segment = get_recorder()._segment
        assert segment is not None
        segment._capture.stop()
        segment._capture._file.cut(0)

    try:
        with limit_memory("1 MB"):
            lose_capture()
            raise SystemExit(0)
    except CaptureError as error:
        assert isinstance(error.__cause__, SystemExit)
    else:
        raise AssertionError
    try:
        with measure_memory():
            lose_capture()
            raise SystemExit(0)
    except SystemExit as error:
        assert len(error.__notes__) == 1


@in_subprocess
def test_adapters_report_verdicts_that_a_test_has_handled() -> None:
    """A passing or skipped test fails; a test that fails by itself has one note."""
    import unittest

    from membudget import MemoryLimitExceeded, limit_memory

    def handles(after: Exception | None = None, *, again: bool = False) -> None:
        with delivering_verdicts():
            try:
                with limit_memory("1 KB"):
                    data = bytearray(5000)
                    raise LookupError("handled")
            except LookupError:
                if again:
                    raise
            del data
            if after is not None:
                raise after

    for after in (None, unittest.SkipTest("skipped")):
        try:
            handles(after)
        except MemoryLimitExceeded as error:
            assert error.__cause__ is after
            (note,) = error.__notes__
            assert "raised LookupError" in note
        else:
            raise AssertionError
    for again, kind in ((False, ValueError), (True, LookupError)):
        try:
            handles(ValueError("the test's own"), again=again)
        except kind as error:
            (note,) = error.__notes__
            assert "Block was limited to 1.0KiB" in note
        else:
            raise AssertionError
    with delivering_verdicts():
        pass


@in_subprocess
def test_verdicts_of_nested_blocks_are_reported_once() -> None:
    """The inner error is raised with the outer one as a note; expecting it expects both."""
    from membudget import MemoryLimitExceeded, limit_memory

    with delivering_verdicts():
        try:
            with limit_memory("2 KB"), limit_memory("1 KB"):
                data = bytearray(5000)
        except MemoryLimitExceeded as error:
            assert "limited to 1.0KiB" in str(error)
            (note,) = error.__notes__
            assert "limited to 2.0KiB" in note
        else:
            raise AssertionError
    del data


def test_exceptions_that_do_not_accept_notes(run_python: RunPython) -> None:
    """Such as a frozen dataclass; the verdict is not lost either."""
    program = """
from dataclasses import dataclass
from membudget import limit_memory

@dataclass(frozen=True)
class Frozen(Exception):
    key: str
class WithoutNotes(Exception):
    __notes__ = None
class OwnNotes(Exception):
    def add_note(self, note):
        raise RuntimeError(note)
class InATuple(Exception):
    def __init__(self):
        self.__notes__ = ("a note",)

for make in (lambda: Frozen("a"), WithoutNotes, OwnNotes, InATuple):
    try:
        with limit_memory("1 KB"):
            data = bytearray(5000)
            raise make()
    except Exception as error:
        print(type(error).__name__, "limited to 1.0KiB" in str(error.__dict__["__notes__"]))
"""
    done = run_python("-W", "ignore", "-c", program)
    names = "Frozen True\nWithoutNotes True\nOwnNotes True\nInATuple False\n"
    assert (done.returncode, done.stdout) == (0, names), done.stderr
    assert done.stderr.count("membudget: Block was limited to 1.0KiB") == 1


def test_the_exception_propagates_if_stderr_is_closed(run_python: RunPython) -> None:
    """The message cannot be printed there, but the interrupt propagates, with its note."""
    program = """
import sys
from membudget import limit_memory
sys.stderr.close()
try:
    with limit_memory("1 KB"):
        data = bytearray(5000)
        raise KeyboardInterrupt
except KeyboardInterrupt as error:
    print(error.__notes__[0].partition(" but ")[0])
"""
    done = run_python("-c", program)
    assert (done.returncode, done.stdout) == (0, "Block was limited to 1.0KiB\n")
