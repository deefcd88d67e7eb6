"""Greenlets: memray counts each as a thread, so limits on one thread need care."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import run_python_in

pytest.importorskip("gevent")

SWITCHED = "current_thread_only: this thread ran several greenlets in this block"
BLOCK = "with limit_memory('1 MB', current_thread_only=True):\n    "
RUNS_ANOTHER = "greenlet.greenlet(lambda: bytearray(10_000_000)).switch()\n"


def run(directory: Path, program: str) -> str:
    (directory / "program.py").write_text(f"from membudget import *\n{program}")
    done = run_python_in(directory, "program.py")
    return done.stderr if done.returncode or done.stderr else "passed"


@pytest.mark.parametrize(
    "program",
    [
        f"import greenlet\n{BLOCK}{RUNS_ANOTHER}",
        f"{BLOCK}import greenlet; {RUNS_ANOTHER}",
        f"import greenlet\nwith limit_memory('20 MB'):\n    {BLOCK}    {RUNS_ANOTHER}",
        f"import greenlet\n{BLOCK}{RUNS_ANOTHER}    {BLOCK}    pass",
        f"import gevent\n{BLOCK}gevent.spawn(bytearray, 10_000_000).get()",
        f"import gevent\n{BLOCK}gevent.sleep(0)",
        "import gevent\ndef work():\n    with limit_memory('1 MB', current_thread_only=True):\n"
        "        gevent.sleep(0)\ngevent.spawn(work).get()",
        "import gevent, threading\ndef work():\n    try:\n        "
        "with limit_memory('1 MB', current_thread_only=True):\n            gevent.sleep(0)\n"
        "    except RecordingError as error:\n        errors.append(error)\n"
        "errors = []\nthread = threading.Thread(target=work)\nthread.start()\nthread.join()\n"
        "raise errors[0]",
    ],
    ids=["", "loaded inside", "nested", "around", "gevent", "sleep", "within one", "in a thread"],
)
def test_a_limit_on_one_thread_with_greenlets_is_refused(tmp_path: Path, program: str) -> None:
    """What another greenlet of the thread allocates would not count."""
    assert SWITCHED in run(tmp_path, program)


@pytest.mark.parametrize(
    "program",
    [
        f"import greenlet\n{BLOCK}bytearray(100)",
        f"{BLOCK}import greenlet; bytearray(100)",
        f"import greenlet\n{RUNS_ANOTHER}{BLOCK}pass\n{RUNS_ANOTHER}{BLOCK}pass",
        f"import gevent\ngevent.sleep(0)\nwith limit_memory('20 MB'):\n    {BLOCK}    pass\n"
        f"    gevent.sleep(0)\n    {BLOCK}    pass",
        f"import sys\nsys.modules['greenlet'] = None\n{BLOCK}pass",
    ],
    ids=["", "loaded inside", "outside", "nested", "not to be loaded"],
)
def test_one_greenlet_is_one_thread(tmp_path: Path, program: str) -> None:
    """A program may use them elsewhere, and memray's warning is not printed."""
    assert run(tmp_path, program) == "passed"


def test_limits_on_all_threads_count_all_greenlets(tmp_path: Path) -> None:
    program = (
        "import gevent\n"
        "def load():\n"
        "    data = bytearray(10_000_000)\n"
        "    gevent.sleep(0)\n"
        "    return len(data)\n"
        "around = measure_memory(stable=True)\n"  # stable: no arena of 1 MB may fall into them
        "with around as all_of_it, measure_memory(only='program', stable=True) as filtered:\n"
        "    gevent.joinall([gevent.spawn(load) for _ in range(3)])\n"
        "assert 30_000_000 <= filtered.peak_bytes <= all_of_it.peak_bytes < 31_000_000\n"
    )
    assert run(tmp_path, program) == "passed"
