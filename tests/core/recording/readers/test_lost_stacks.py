"""Blocks whose stacks memray has lost, because the code replaced the profile function."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import in_subprocess, run_python_in

ORDERS = """
import cProfile, sys, threading

kept = []

def load(n=50_000_000):
    return bytearray(n)

def left_on():
    sys.setprofile(lambda *_: None)

def taken_off():
    sys.setprofile(lambda *_: None)
    sys.setprofile(None)

def put_back():
    before = sys.getprofile()
    sys.setprofile(lambda *_: None)
    sys.setprofile(before)

def c_profiler():
    with cProfile.Profile():
        pass

def nothing():
    pass

def in_a_thread(profiles, *n):
    def work():
        profiles()
        load(*n)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
"""

LOST = "the code in this block replaced Python's profile function"
NOT_BY_C_PROFILERS = sys.version_info >= (3, 12)


def outcome(directory: Path, body: str, block: str) -> str:
    """Return the last lines of a program that runs ``body`` in a block, or ``passed``."""
    (directory / "orders.py").write_text(ORDERS)
    indented = body.replace("\n", "\n    ")
    program = (
        "import sys, threading, orders\nfrom membudget import *\nfrom membudget.runs import *\n"
        "from orders import *\n"
        f"with {block}:\n    {indented}\n"
    )
    (directory / "program.py").write_text(program)
    done = run_python_in(directory, "program.py")
    return done.stderr if done.returncode else "passed"


@pytest.mark.parametrize("name", ["left_on", "taken_off", "put_back", "c_profiler"])
@pytest.mark.parametrize(
    "call", ["{name}(); orders.load()", "in_a_thread({name})"], ids=["here", "in a thread"]
)
def test_only_never_passes_without_stacks(tmp_path: Path, name: str, call: str) -> None:
    """The memory of the package would be unknown, and the limit would always hold."""
    said = outcome(tmp_path, call.format(name=name), "limit_memory('1 MB', only='orders')")
    if name == "c_profiler" and NOT_BY_C_PROFILERS:
        assert "Block was limited to 1.0MiB but allocated 47.7MiB" in said
    else:
        assert LOST in said
        assert "Memory without a stack cannot be judged by only: run that code without" in said


@pytest.mark.parametrize(
    ("block", "names"),
    [
        ("limit_memory('1 MB', ignore='orders')", "ignore"),
        ("limit_memory('1 MB', only='orders', ignore='json')", "only and ignore"),
        ("measure_memory(only='orders')", "only"),
        ("limit_memory('60 MB'), limit_memory('1 MB', only='orders')", "only"),
        ("limit_memory('1 MB', only='orders', current_thread_only=True)", "only"),
        ("limit_memory('1 MB', only='orders', stable=True)", "only"),
    ],
)
def test_each_budget_that_depends_on_stacks(tmp_path: Path, block: str, names: str) -> None:
    said = outcome(tmp_path, "taken_off(); orders.load()", block)
    assert LOST in said
    assert f"cannot be judged by {names}: " in said


def test_stacks_that_were_lost_before_the_block(tmp_path: Path) -> None:
    """In a block around it, in the same recording."""
    body = "taken_off()\nwith limit_memory('1 MB', only='orders'):\n    orders.load()"
    assert LOST in outcome(tmp_path, body, "limit_memory('60 MB')")


def test_the_filter_of_leaks(tmp_path: Path) -> None:
    """A filter that keeps what one package leaks would see no frame of it."""
    block = "limit_leaks('1 MB', filter_fn=lambda stack: 'orders.py' in str(stack.frames))"
    kept = "orders.kept.append(orders.load())"
    assert "leaked more" in outcome(tmp_path, kept, block)
    assert "judged by limit_leaks: " in outcome(tmp_path, f"taken_off(); {kept}", block)
    # Many small leaks of many lines look like one.
    many = "taken_off()\n" + "orders.kept.append(bytearray(600_000))\n" * 3
    assert "judged by limit_leaks: " in outcome(tmp_path, many, "limit_leaks('1 MB')")
    # What is freed again is no leak, wherever it came from.
    assert outcome(tmp_path, "taken_off(); orders.load()", block) == "passed"


def test_the_hook_of_a_suite(tmp_path: Path) -> None:
    """A block without a limit must not stop a program."""
    hook = (
        "class Suite:\n"
        "    @hookimpl\n"
        "    def membudget_keep_allocation(self, stack):\n"
        "        return 'orders.py' not in str(stack.frames)\n"
        "plugin_manager().register(Suite())\n"
    )
    for block in ("limit_memory('1 MB')", "measure_memory()"):
        body = f"taken_off()\n{hook}with {block}:\n    taken_off(); orders.load()"
        said = outcome(tmp_path, body, "measure_memory()")
        if block == "measure_memory()":
            assert said == "passed"
        else:
            assert "cannot be judged by a plugin's membudget_keep_allocation" in said


def test_threads_that_start_without_memrays_function(tmp_path: Path) -> None:
    """They have no stacks, like threads of a C library."""
    body = "threading.setprofile(lambda *_: None)\nin_a_thread(nothing)"
    back = f"before = threading.getprofile()\n{body}\nthreading.setprofile(before)"
    for code in (body, back):
        assert LOST in outcome(tmp_path, code, "limit_memory('1 MB', only='orders')")
    own = "limit_memory('1 MB', only='orders', current_thread_only=True)"
    assert outcome(tmp_path, body, own) == "passed"
    if sys.version_info >= (3, 12):
        body = "threading.setprofile_all_threads(None)\norders.load()"
        assert LOST in outcome(tmp_path, body, "limit_memory('1 MB', only='orders')")


def test_lost_stacks_of_threads_that_do_not_count_are_ignored(tmp_path: Path) -> None:
    block = "limit_memory('1 MB', only='orders', current_thread_only=True)"
    assert outcome(tmp_path, "in_a_thread(taken_off)", block) == "passed"


def test_threads_that_end_have_not_lost_stacks(tmp_path: Path) -> None:
    """Python removes their profile function at the end, and allocates a little after that."""
    body = "for _ in range(50):\n    in_a_thread(nothing, 10)"
    assert outcome(tmp_path, body, "limit_memory('9 MB', only='orders', stable=True)") == "passed"


def test_a_profiler_without_allocations_after_it(tmp_path: Path) -> None:
    """Everything that counts has its stack."""
    body = "x = orders.load(100_000)\ndel x\nsys.setprofile(None)"
    assert outcome(tmp_path, body, "limit_memory('1 MB', only='orders')") == "passed"


def test_a_failure_says_why_its_stacks_are_missing(tmp_path: Path) -> None:
    """The figures are right, so the verdict is right."""
    for name, block in (
        ("taken_off", "limit_memory('1 MB')"),
        ("nothing", "limit_memory('1 MB')"),
        ("taken_off", "limit_memory('60 MB'), limit_memory('1 MB')"),
        ("taken_off", "limit_memory(retained='1 MB')"),
    ):
        said = outcome(tmp_path, f"{name}(); orders.kept.append(orders.load())", block)
        assert "47.7MiB" in said
        is_said = "Stack traces are incomplete: the code replaced Python's profile function" in said
        assert is_said is (name == "taken_off")
        assert ("<outside of Python code>" in said) is is_said


@in_subprocess
def test_an_exceeded_limit_needs_no_stacks() -> None:
    """limit_leaks cannot be judged without stacks, but the peak is over its limit anyway."""
    from membudget import Budget, LeakLimit, Limit, MemoryLimitExceeded
    from membudget.runs import Block

    try:
        with Block(Budget((Limit("peak_bytes", 1000),), leaks=LeakLimit(1000))):
            sys.setprofile(None)
            kept = [bytearray(100_000)]
    except MemoryLimitExceeded as exceeded:
        assert "judged by limit_leaks" in exceeded.measurement.stacks_problem
    else:
        raise AssertionError(len(kept))


@in_subprocess
def test_the_next_block_has_its_stacks() -> None:
    """Also those of threads, in a run whose recording continues between blocks."""
    import threading

    from membudget import limit_memory, measure_memory
    from membudget.runs import Run, Settings

    def load(kept: list[bytearray]) -> None:
        kept.append(bytearray(100_000))

    run = Run(Settings(most_allocations=5), "unittest")
    run.begin()
    with measure_memory():
        threading.setprofile(None)
        sys.setprofile(None)
    with limit_memory("1 MB", only="test_lost_stacks") as memory:
        kept: list[bytearray] = []
        thread = threading.Thread(target=load, args=(kept,))
        thread.start()
        thread.join()
        load(kept)
    assert memory.peak_bytes >= 200_000
    run.end()
    assert threading.getprofile() is None


@in_subprocess
def test_a_report_says_why_its_stacks_are_missing() -> None:
    from membudget import Budget
    from membudget.report import run_text as report_text
    from membudget.results import result_data as report_json
    from membudget.runs import Block, Run, Settings

    run = Run(Settings(most_allocations=5), "unittest")
    run.begin()
    for name in ("lost", "whole"):

        def keep(*measured: object, name: str = name) -> None:
            run.add(name, *measured)  # type: ignore[arg-type]

        with Block(Budget(), always_allocations=True, on_measured=keep):
            if name == "lost":
                sys.setprofile(None)
            data = bytearray(100_000)
            del data
    results = {result.name: result for result in run.end()}
    for name in ("lost", "whole"):
        result = report_json.result_from_json(report_json.result_to_json(results[name]))
        assert result.measurement.lost_stacks is (name == "lost")
        lines = [line.text for line in report_text.report_lines([result], most_allocations=5)]
        assert any("Stack traces are incomplete" in line for line in lines) is (name == "lost")
