"""A failure says how much other threads and tasks allocated in the block."""

from __future__ import annotations

import pytest
from conftest import RunPython
from membudget import Allocation, Budget, LeakLimit, Limit, Measurement, Result
from membudget.report import failure_text as report_failure
from membudget.results import result_data as report_json
from membudget.verdict import judge

PROGRAM = """
import asyncio, contextlib, threading
from membudget import MemoryLimitExceeded, limit_memory, limit_leaks
kept = []
def allocate(n_bytes):
    kept.append(bytearray(n_bytes))
def run_thread():
    thread = threading.Thread(target=allocate, args=(3_000_000,))
    thread.start()
    thread.join()
def in_thread():
    with limit_memory("1 MB"):
        run_thread()
@limit_memory(retained="1 MB")
def in_thread_of_a_function():
    run_thread()
def left_by_a_thread():
    with limit_leaks("1 MB"):
        run_thread()

async def other():
    allocate(4_000_000)
async def own():
    with limit_memory("1 MB"):
        allocate(600_000)
        await asyncio.sleep(0.01)
        allocate(600_000)
@limit_memory("1 MB")
async def own_function():
    allocate(600_000)
    await asyncio.sleep(0.01)
    allocate(600_000)
async def below(function):
    await function()
async def both(*coroutines):
    await asyncio.gather(*coroutines)
def in_task():
    asyncio.run(both(own(), other()))
def in_task_of_a_function():
    asyncio.run(both(own_function(), other()))
def further_down():
    asyncio.run(both(below(own), other()))

def all_of_it_in_the_block():
    asyncio.run(both(own()))
@contextlib.contextmanager
def limited():
    with limit_memory("1 MB"):
        yield
def in_a_context_manager():
    with limited():
        allocate(3_000_000)
def in_a_line():
    with limited(): allocate(3_000_000)
def in_a_stack():
    with contextlib.ExitStack() as stack:
        stack.enter_context(limit_memory("1 MB"))
        allocate(3_000_000)
def a_little():
    with limit_memory("1 MB"):
        threading.Thread(target=int).start()
        allocate(3_000_000)
{name}()
"""


@pytest.mark.parametrize("reader", ["auto", "replay"])
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("in_thread", "Other threads allocated 2.9MiB of it: current_thread_only=True counts"),
        ("in_thread_of_a_function", "Other threads allocated 2.9MiB of it"),
        ("left_by_a_thread", "Other threads allocated 2.9MiB of it"),
        ("in_task", "Other tasks or callbacks of the event loop allocated 3.8MiB of it"),
        ("in_task_of_a_function", "Other tasks or callbacks of the event loop allocated 3.8MiB"),
        ("further_down", "Other tasks or callbacks of the event loop allocated 3.8MiB of it"),
        ("all_of_it_in_the_block", None),
        ("in_a_context_manager", None),
        ("in_a_line", None),
        ("in_a_stack", None),
        ("a_little", None),
    ],
)
def test_who_else_allocated(
    run_python: RunPython, reader: str, name: str, line: str | None
) -> None:
    program = PROGRAM.replace("{name}", name)
    done = run_python("-c", program, environment={"MEMBUDGET_READER": reader})
    assert "MemoryLimitExceeded" in done.stderr
    assert (line or "\nList of") in done.stderr
    assert ("Other t" in done.stderr) == bool(line), done.stderr


def test_the_line_is_about_what_was_exceeded() -> None:
    """Results include it; for a limit on retained memory, it is about retained memory."""
    of_threads, own = Allocation(900, 1, (), 900), Allocation(100, 1, (), 0, 50)
    measurement = Measurement(1000, 1000, 2, 100, (), (of_threads, own), (own,))
    for budget, words in (
        (Budget((Limit("peak_bytes", 1),)), ["Other threads allocated 900.0B", "Other tasks"]),
        (Budget((Limit("retained_bytes", 1),)), ["Other tasks or callbacks of the event loop all"]),
        (Budget(leaks=LeakLimit(1)), ["Other tasks or callbacks of the event loop allocated 50.0"]),
    ):
        result = Result("test", measurement, judge(measurement, budget))
        result = report_json.result_from_json(report_json.result_to_json(result))
        section = report_failure.exceeded_section("Test", result.measurement, result.verdict)
        lines = [line for line in section.splitlines() if line.startswith("Other")]
        assert len(lines) == len(words)
        for line, beginning in zip(lines, words, strict=True):
            assert line.startswith(beginning)
