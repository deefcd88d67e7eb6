"""A limit that is never used causes a warning."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import RunPython

PROGRAM = """
import contextlib
from membudget import limit_leaks, limit_memory, measure_memory
def statement():
    limit_memory("1 MB")
def never_closed():
    stack = contextlib.ExitStack()
    stack.enter_context(limit_leaks("1 MB"))
    measure_memory()
def rows():
    with limit_memory("2 MB"):
        yield 1
        yield 2
for _ in range(3):
    statement()
never_closed()
running = rows()
next(running)
"""

USED = """
import contextlib, os, unittest
from membudget import limit_memory, measure_memory
from membudget.runs import Block, memory_budget
CONSTANT = limit_memory("1 MB")
def use():
    with limit_memory("1 MB"):
        pass
    limit_memory("1 MB")(len)("")
    with contextlib.ExitStack() as stack:
        stack.enter_context(limit_memory("1 MB"))
    reused = limit_memory("1 MB")
    for _ in range(2):
        with reused:
            pass
    measure_memory()
    Block(memory_budget("1 MB"))
    for bad in (lambda: limit_memory("1 MBanana"), limit_memory("1 MB", include="setup").__enter__):
        try:
            bad()
        except Exception:
            pass
    try:
        with limit_memory("1 MB"):
            raise LookupError
    except LookupError:
        pass
use()
@limit_memory("1 MB")
class Test(unittest.TestCase):
    pass
with limit_memory("1 MB"):
    if not os.fork():
        raise SystemExit(0)
    os.wait()
"""


@pytest.mark.parametrize("reader", ["auto", "replay"])
def test_a_warning_points_at_the_line(run_python: RunPython, tmp_path: Path, reader: str) -> None:
    """Once for each line; also for a block that is open when the program ends."""
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {"MEMBUDGET_READER": reader}
    done = run_python("-W", "default", "program.py", environment=environment)
    assert done.returncode == 0
    lines = done.stderr.replace(f"{tmp_path}/", "").splitlines()
    assert [line.partition(":")[0] for line in lines[::2]] == ["program.py"] * 3, done.stderr
    assert lines[0] == (
        "program.py:5: NotEnforcedWarning: this limit is never used, so it limits "
        "nothing: write 'with limit_memory(...):', or use it as a decorator"
    )
    assert "program.py:8: NotEnforcedWarning: this block was entered and never left" in lines[2]
    assert "program.py:11: NotEnforcedWarning: this block was entered" in lines[4]


def test_limits_that_are_used_do_not_warn(run_python: RunPython, tmp_path: Path) -> None:
    """Nor limits without a block when the program ends; nor anything with MEMBUDGET=off."""
    (tmp_path / "used.py").write_text(USED)
    (tmp_path / "program.py").write_text(PROGRAM)
    for program, environment in (("used.py", {}), ("program.py", {"MEMBUDGET": "off"})):
        # Since Python 3.12, a fork beside memray's thread is one.
        warnings = ("-W", "default", "-W", "ignore::DeprecationWarning")
        done = run_python(*warnings, program, environment=environment)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("reader", ["auto", "replay"])
def test_a_block_of_a_generator_that_is_alive_at_the_end(
    run_python: RunPython, reader: str
) -> None:
    """Python closes it when modules are gone: nothing is measured, and nothing is printed."""
    program = """
from membudget import measure_memory
def rows():
    with measure_memory():
        yield 1
        yield 2
running = rows()
next(running)
"""
    done = run_python("-c", program, environment={"MEMBUDGET_READER": reader})
    assert (done.returncode, done.stderr) == (0, "")


THREAD = """import threading
from membudget import limit_memory
started = threading.Event()
@limit_memory("1 KB")
def work():
    started.set()
    threading.Event().wait()
threading.Thread(target=work, daemon=True).start()
started.wait()
"""
TASK = """import asyncio
from membudget import limit_leaks, limit_memory

@limit_leaks("100 MB")
@limit_memory("1 KB")
async def work():
    await asyncio.sleep(100)
loop = asyncio.new_event_loop()
task = loop.create_task(work())
loop.run_until_complete(asyncio.sleep(0.01))
"""
ENTERED_AGAIN = """from membudget import limit_memory


again = limit_memory("1 KB")
with again:
    pass
again.__enter__()
"""


@pytest.mark.parametrize("reader", ["auto", "replay"])
@pytest.mark.parametrize("program", [THREAD, TASK, ENTERED_AGAIN])
def test_a_block_that_still_runs_at_the_end(
    run_python: RunPython, tmp_path: Path, program: str, reader: str
) -> None:
    """Of a decorated function as well, and of an object whose first block has ended."""
    (tmp_path / "program.py").write_text(program)
    done = run_python("-W", "default", "program.py", environment={"MEMBUDGET_READER": reader})
    said = [line for line in done.stderr.splitlines() if "NotEnforcedWarning" in line]
    assert len(said) == 1, done.stderr
    assert "program.py:4: NotEnforcedWarning: this block was entered and never left" in said[0]
