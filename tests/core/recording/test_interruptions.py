"""Exceptions that come from outside, such as a signal handler's, at any instant of a block's ends.

Each reaches the program once, nothing is left over, and what the program does next is measured.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import in_subprocess, run_python_in
from membudget.recording.marks import MARKS_ARE_MADE_IN_C

needs_marks_in_c = pytest.mark.skipif(
    not MARKS_ARE_MADE_IN_C, reason="in Python, an interruption can hit the marks themselves"
)

EVERY_OPCODE = """
import dis, functools, gc, os, sys, warnings
import membudget
from membudget import MembudgetError, MemoryLimitExceeded, limit_memory, measure_memory
from membudget.runs import Run, Settings
from membudget.recording.recorder import get_recorder

# Of a limit whose making was interrupted: it was never used.
warnings.simplefilter("ignore", membudget.NotEnforcedWarning)

ROOT = os.path.dirname(membudget.__file__)
RECORDING = os.path.join(ROOT, "recording")
READS = (os.path.join(RECORDING, "readers"), os.path.join(RECORDING, "marks.py"))
MONITORING = getattr(sys, "monitoring", None)
if MONITORING is not None:
    MONITORING.use_tool_id(4, "test")
WHAT, STEP, IN_A_RUN = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "run"

@functools.cache
def instants(code):
    '''Before which opcodes Python runs the handlers of signals: those after a call, and these two.

    A program cannot see an exception elsewhere, and Python itself loses some of these, or
    what they refer to.
    '''
    found, after_call = set(), False
    for opcode in dis.get_instructions(code):
        if opcode.opname == "CACHE":
            continue
        if after_call or opcode.opname in ("RESUME", "JUMP_BACKWARD"):
            found.add(opcode.offset)
        after_call = opcode.opname in ("CALL", "CALL_KW", "CALL_FUNCTION_EX")
    return found

class Interruption(TimeoutError):  # an OSError, as memray raises them
    pass

class Interrupter:
    '''Raises Interruption at the nth instant of membudget.

    Of what reads a capture in Python, each opcode counts once: it loops over thousands of records.
    '''
    def __init__(self, n):
        self.left, self.where = n, None
        self.read = set()
    def __enter__(self):
        if MONITORING is None:
            sys.settrace(self.trace)
        else:  # since Python 3.12; settrace shows few opcodes there
            MONITORING.register_callback(4, MONITORING.events.INSTRUCTION, self.see)
            MONITORING.set_events(4, MONITORING.events.INSTRUCTION)
        return self
    def __exit__(self, *_):
        if MONITORING is None:
            sys.settrace(None)
        else:
            MONITORING.set_events(4, 0)
    def see(self, code, offset):
        if not code.co_filename.startswith(ROOT):
            return MONITORING.DISABLE
        self.count(code, offset)
    def trace(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(ROOT):
            return None
        frame.f_trace_opcodes = True
        return self.step
    def step(self, frame, event, argument):
        if event == "opcode":
            self.count(frame.f_code, frame.f_lasti)
        return self.step
    def count(self, code, offset):
        if offset not in instants(code):
            return
        if code.co_filename.startswith(READS):
            if (code, offset) in self.read:
                return
            self.read.add((code, offset))
        self.left -= 1
        if not self.left:
            self.where = f"{code.co_qualname}, opcode at {offset}"
            self.__exit__()
            raise Interruption(self.where)

def nested(interrupter):
    '''Inside a block; the program goes on, and allocates, and opens another one.'''
    came = False
    with measure_memory() as outer:
        try:
            with interrupter, measure_memory():
                pass
        except Interruption:
            came = True
        interrupter.__exit__()
        kept = bytearray(10_000_000)
        with measure_memory():
            pass
    assert outer.peak_bytes >= 10_000_000, outer.measurement
    return came

def within(interrupter):
    try:
        with interrupter, limit_memory("1 GB"):
            pass
    except Interruption:
        return True
    return False

def over(interrupter):
    '''With a verdict that could come in its place.'''
    try:
        with interrupter, limit_memory("100 KB"):
            bytearray(1_000_000)
    except Interruption:
        return True
    except MemoryLimitExceeded:
        assert interrupter.where is None, "lost"
    return False

def check(interrupter, came):
    where = interrupter.where
    assert came == (where is not None), f"lost: {where}"
    recorder = get_recorder()
    assert not recorder._open, where
    assert IN_A_RUN or recorder._segment is None, where
    assert gc.isenabled() and gc.get_threshold() == THRESHOLDS, where
    assert sys.getprofile() is None, where
    gc.collect()  # what contextlib.ExitStack raises is in a cycle with its frame
    assert len(os.listdir("/proc/self/fd")) <= N_FILES, f"a file is open: {where}"
    with measure_memory() as after:
        kept = bytearray(100_000)
    assert 100_000 <= after.peak_bytes < 110_000, (where, after.measurement)

run = Run(Settings(most_allocations=5), "unittest")
if IN_A_RUN:
    run.begin()
for _ in range(2):
    with measure_memory():
        with measure_memory():  # starts the reading process, where there is one
            pass
over(Interrupter(0)), within(Interrupter(0))
THRESHOLDS = gc.get_threshold()
N_FILES = len(os.listdir("/proc/self/fd"))  # with those of a recording that goes on
n = 1
while True:
    interrupter = Interrupter(n)
    check(interrupter, globals()[WHAT](interrupter))
    if interrupter.where is None:
        break
    n += STEP
assert n > 100, n
run.end()
"""


@needs_marks_in_c
@pytest.mark.parametrize(
    ("what", "step", "reader"),
    [
        ("nested run", 1, "auto"),
        ("within run", 3, "auto"),
        ("within", 37, "auto"),
        ("over", 61, "auto"),
        ("nested", 13, "replay"),
        ("within", 97, "replay"),
        ("over", 211, "replay"),
    ],
)
def test_an_exception_at_every_opcode(tmp_path: Path, what: str, step: int, reader: str) -> None:
    """Of entering and leaving a block. A step of 1 is all of them, others are samples."""
    name, _, in_a_run = what.partition(" ")
    done = run_python_in(
        tmp_path, "-c", EVERY_OPCODE, name, str(step), in_a_run or "-",
        environment={"MEMBUDGET_READER": reader},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


ALARMS = """
import collections, random, signal
from membudget import MemoryLimitExceeded, TrackerConflictError, limit_memory, measure_memory

fired = False
def timeout(*_):
    global fired
    fired = True
    raise TimeoutError

signal.signal(signal.SIGALRM, timeout)
came = collections.Counter()
with measure_memory():
    pass
for n in range(60):
    fired = False
    kept = None
    try:
        try:
            with limit_memory("1 MB"):
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(5e-6, 150e-6))
                    with measure_memory():
                        pass
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except TimeoutError:
                    came["inner"] += 1
                    fired = False
                kept = bytearray(10_000_000)
                with measure_memory():
                    pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert kept is None, "a limit that was not checked"
    except MemoryLimitExceeded:
        assert not fired, "a lost exception"
    except TimeoutError:
        came["outer"] += 1
def timeout(*_):
    global fired
    fired = True
    raise LookupError  # memray itself drops an OSError, where it opens its file

signal.signal(signal.SIGALRM, timeout)
for n in range(60):
    fired = False
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-4, 12e-3))
            with measure_memory():
                pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert not fired, "a lost exception"
    except LookupError:
        came["single"] += 1
with measure_memory() as memory:
    kept = bytearray(100_000)
assert memory.peak_bytes >= 100_000
assert came["inner"] and came["single"], came
"""


def test_alarms(tmp_path: Path) -> None:
    """Real ones, with a handler that raises: nothing is lost, no limit passes."""
    done = run_python_in(tmp_path, "-c", ALARMS)
    assert done.returncode == 0, done.stderr


@in_subprocess
def test_a_thread_that_leaves_its_block_after_all_others() -> None:
    """The thread is back at the program's work: the next block counts it."""
    import threading
    from typing import Any

    from membudget import Budget, measure_memory
    from membudget.runs import Block, Run, Settings

    run = Run(Settings(most_allocations=5), "unittest")
    run.begin()
    ended, go_on, allocate, done = (threading.Event() for _ in range(4))
    kept: list[bytearray] = []

    def wait(*_: Any) -> None:
        ended.set()
        go_on.wait()

    def work() -> None:
        with Block(Budget(), on_measured=wait):
            pass
        left.set()
        allocate.wait()
        kept.append(bytearray(10_000_000))
        done.set()

    left = threading.Event()
    thread = threading.Thread(target=work)
    with measure_memory():
        thread.start()
        ended.wait()
    go_on.set()
    left.wait()
    with measure_memory() as memory:
        allocate.set()
        done.wait()
    assert memory.peak_bytes >= 10_000_000
    thread.join()
    run.end()


@in_subprocess
def test_blocks_in_the_work_of_a_framework() -> None:
    """They measure their own code and interrupt nothing; membudget's work is still left out."""
    from membudget import measure_memory
    from membudget.runs import Run, Settings

    run = Run(Settings(most_allocations=5), "unittest")
    run.begin()
    with measure_memory() as outer:
        with run.left_out():
            kept = [bytearray(5_000_000)]
            with run.left_out(), measure_memory() as inner:
                with measure_memory() as innermost:
                    kept.append(bytearray(1_000_000))
                kept.append(bytearray(1_000_000))
            kept.append(bytearray(5_000_000))
        kept.append(bytearray(300_000))
    assert 1_000_000 <= innermost.peak_bytes < 1_100_000
    assert 2_000_000 <= inner.peak_bytes < 2_200_000
    assert 2_300_000 <= outer.peak_bytes < 2_600_000, outer.measurement
    run.end()


@in_subprocess
def test_a_block_that_ends_in_the_work_of_a_framework() -> None:
    """For example a block that a hook of a test suite ends: its figures are complete."""
    from membudget import measure_memory
    from membudget.runs import Run, Settings

    run = Run(Settings(most_allocations=5), "unittest")
    run.begin()
    block = measure_memory()
    with measure_memory() as outer:
        block.__enter__()
        kept: list[bytearray] = [bytearray(1_000_000)]
        with run.left_out():
            block.__exit__(None, None, None)
            kept.append(bytearray(5_000_000))
        kept.append(bytearray(300_000))
    assert 1_000_000 <= block.peak_bytes < 1_100_000
    assert 1_300_000 <= outer.peak_bytes < 1_500_000, outer.measurement
    run.end()


@in_subprocess
def test_another_threads_setting_of_the_collector_is_kept() -> None:
    """Even if it changes while a block is read."""
    import gc
    import threading

    from membudget.recording.garbage import CollectorPause

    before = gc.get_threshold()
    for decide, thresholds in (
        (gc.disable, before),
        (lambda: gc.set_threshold(5), (5, *before[1:])),
    ):
        garbage, inner = CollectorPause(), CollectorPause()
        garbage.begin()
        inner.begin()
        inner.end()
        assert gc.get_threshold() != before
        thread = threading.Thread(target=decide)
        thread.start()
        thread.join()
        garbage.end()
        assert not gc.isenabled()
        assert gc.get_threshold() == thresholds


@pytest.mark.parametrize("reader", ["auto", "replay"])
def test_a_signal_handler_with_blocks_of_its_own(tmp_path: Path, reader: str) -> None:
    """A block in it is refused while another block is opened or read, which is not affected."""
    program = """
import signal
from membudget import MemoryLimitExceeded, MisuseError, limit_memory
from membudget.recording import segment

def handler(*_):
    try:
        with limit_memory("1 KB"):
            data = bytearray(5000)
    except (MemoryLimitExceeded, MisuseError) as error:
        ends.append(type(error).__name__)
    else:
        ends.append("passed")
signal.signal(signal.SIGUSR1, handler)

def interrupted(function):
    def call(*arguments):
        signal.raise_signal(signal.SIGUSR1)
        result = function(*arguments)
        signal.raise_signal(signal.SIGUSR1)
        return result
    return call
for name in ("start", "expect", "scan"):
    setattr(segment.Segment, name, interrupted(getattr(segment.Segment, name)))

for _ in range(3):
    ends = []
    try:
        with limit_memory("1 MB"):
            data = bytearray(5_000_000)
            before, ends = ends, []
            handler()
            inner, ends = ends, []
        print("passed")
    except MemoryLimitExceeded:
        print(before, inner.count("MemoryLimitExceeded"), ends)
"""
    done = run_python_in(tmp_path, "-c", program, environment={"MEMBUDGET_READER": reader})
    refused = ["MisuseError"]
    line = f"{refused * 4} 1 {refused * 2}\n"
    assert (done.returncode, done.stdout) == (0, line * 3), done.stderr
