"""What every front end is asked: work, a limit as written in Python, and what must come of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from membudget.budget_arguments import OLDEST_PYTHON_WITH_OBJECTS
from membudget.recording.readers.scanner import scanner_problem

KIB: Final = 1024
TRACKS_OBJECTS: Final = sys.version_info >= OLDEST_PYTHON_WITH_OBJECTS and scanner_problem() is None

Environment = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Scenario:
    """Work, a limit, and what must come of it.

    Attributes:
        name: what the scenario shows.
        workload: the function of :mod:`workloads` that does the work.
        limit: the arguments of the limiter, as Python code.
        result: ``passed``, ``failed`` or ``error``.
        type: the class of the exception, if there is one.
        peak_bytes: the exact peak, where it is known.
        asynchronous: whether the work is an ``async def``.
        noise_bytes: what Python's own machinery for threads and event loops allocates besides,
            which depends on timing and on the runner.
        environment: the environment variables of the run.
        attribute: whether the limit can be written as ``memory_limit``.
        limiter: what is written: ``limit_memory``, ``limit_leaks``, ...
        calls_twice: the limiter measures the second call of a function; a ``with`` block has none.
    """

    name: str
    workload: str
    limit: str
    result: str
    type: str = ""
    peak_bytes: int | None = None
    asynchronous: bool = False
    noise_bytes: int = 0
    environment: Environment = ()
    attribute: bool = True
    limiter: str = "limit_memory"
    calls_twice: bool = False

    @property
    def is_bad(self) -> bool:
        """Whether the limit is an error where it is written."""
        is_about_the_limit = self.type.startswith(("Invalid", "Unsupported"))
        return is_about_the_limit and self.name != "a pattern that matches nothing"


SCENARIOS: Final = [
    Scenario("within", "large", "'2 MB'", "passed", peak_bytes=1000 * KIB),
    Scenario("steps", "steps", "'300 KB'", "passed", peak_bytes=300 * KIB),
    Scenario("exactly at the limit", "large", "1024000", "passed", peak_bytes=1000 * KIB),
    Scenario(
        "one byte over", "large", "1023999", "failed", "MemoryLimitExceeded", peak_bytes=1000 * KIB
    ),
    Scenario(
        "far over", "large", "'10 KB'", "failed", "MemoryLimitExceeded", peak_bytes=1000 * KIB
    ),
    Scenario("mapped memory", "mapping", "'256 KiB'", "passed", peak_bytes=256 * KIB),
    Scenario("a limit of nothing", "small", "0", "failed", "MemoryLimitExceeded", 100 * KIB),
    Scenario(
        "total over",
        "steps",
        "total='300 KB'",
        "failed",
        "MemoryLimitExceeded",
        300 * KIB,
        attribute=False,
    ),
    Scenario(
        "every kind over",
        "steps",
        "'200 KB', total='300 KB', allocations=3, retained=0",
        "failed",
        "MemoryLimitExceeded",
        300 * KIB,
        attribute=False,
    ),
    Scenario(
        "retained over",
        "retains",
        "retained='10 KB'",
        "failed",
        "MemoryLimitExceeded",
        attribute=False,
    ),
    Scenario(
        "every kind within",
        "steps",
        "'300 KB', total='500 KB', allocations=4, retained=0",
        "passed",
        peak_bytes=300 * KIB,
        attribute=False,
    ),
    Scenario("no limit", "steps", "", "error", "InvalidLimitError", attribute=False),
    Scenario("no count", "steps", "allocations='3'", "error", "InvalidLimitError", attribute=False),
    Scenario(
        "leaks over",
        "leaks",
        "'10 KB'",
        "failed",
        "MemoryLimitExceeded",
        attribute=False,
        limiter="limit_leaks",
        noise_bytes=10 * KIB,
    ),
    Scenario(
        "leaks within",
        "leaks",
        "'20 KB', current_thread_only=True",
        "passed",
        attribute=False,
        limiter="limit_leaks",
        noise_bytes=10 * KIB,
    ),
    Scenario(
        "leaks that a filter leaves out",
        "leaks",
        "'10 KB', filter_fn=lambda stack: stack.frames[0].function != 'malloc'",
        "passed",
        attribute=False,
        limiter="limit_leaks",
        noise_bytes=10 * KIB,
    ),
    Scenario(
        "garbage is no leak",
        "garbage",
        "'10 KB'",
        "passed",
        attribute=False,
        limiter="limit_leaks",
        noise_bytes=10 * KIB,
    ),
    Scenario(
        "a bad limit of leaks",
        "leaks",
        "'10 KB', filter_fn=1",
        "error",
        "InvalidLimitError",
        attribute=False,
        limiter="limit_leaks",
    ),
    Scenario(
        "only over",
        "mixed",
        "'50 KB', only='elsewhere.*'",
        "failed",
        "MemoryLimitExceeded",
        1000 * KIB,
        attribute=False,
    ),
    Scenario(
        "ignore",
        "mixed",
        "'100 KB', ignore=['*/elsewhere.py']",
        "passed",
        "",
        100 * KIB,
        attribute=False,
    ),
    Scenario(
        "a hook that leaves a module out",
        "mixed",
        "'100 KB'",
        "passed",
        peak_bytes=100 * KIB,
        environment=(("LEAVES_ELSEWHERE_OUT", "1"),),
    ),
    Scenario(
        "a pattern that matches nothing",
        "mixed",
        "'9 MB', only='elsewere'",
        "error",
        "InvalidLimitError",
        attribute=False,
    ),
    Scenario(
        "no pattern", "mixed", "'9 MB', ignore=''", "error", "InvalidLimitError", attribute=False
    ),
    Scenario(
        "stable",
        "fills_a_cache",
        "'110 KB', stable=True",
        "passed",
        noise_bytes=KIB,
        attribute=False,
        calls_twice=True,
    ),
    Scenario(
        "stable over",
        "fills_another_cache",
        "'90 KB', stable=True",
        "failed",
        "MemoryLimitExceeded",
        noise_bytes=KIB,
        attribute=False,
        calls_twice=True,
    ),
    Scenario("a stretch left out", "pauses", "'310 KB'", "passed", noise_bytes=4 * KIB),
    Scenario(
        "objects left",
        "keeps_objects",
        "filter_fn=lambda each: type(each) is bytearray",
        *(
            ("failed", "MemoryLimitExceeded")
            if TRACKS_OBJECTS
            else ("error", "UnsupportedLimitError")
        ),
        attribute=False,
        limiter="limit_leaked_objects",
        noise_bytes=KIB,
    ),
    Scenario("nested", "nested", "'200 KB'", "passed"),
    Scenario("nested over", "nested_over", "'2 MB'", "failed", "MemoryLimitExceeded"),
    Scenario("sibling threads", "siblings", "'4 MB'", "passed", noise_bytes=300 * KIB),
    Scenario(
        "overlapping tasks",
        "overlapping",
        "'30 MB'",
        "passed",
        asynchronous=True,
        noise_bytes=4096 * KIB,
    ),
    Scenario(
        "async over",
        "async_large",
        "'10 KB'",
        "failed",
        "MemoryLimitExceeded",
        asynchronous=True,
        noise_bytes=4096 * KIB,
    ),
    Scenario("body raises within", "raises_within", "'2 MB'", "error", "LookupError", 100 * KIB),
    Scenario("body raises over", "raises_over", "'1 KB'", "error", "LookupError", 1000 * KIB),
    Scenario("bad size", "small", "'1 MBanana'", "error", "InvalidSizeError"),
    Scenario("bad unit", "small", "'24'", "error", "InvalidSizeError"),
    Scenario("disabled", "large", "'1 KB'", "passed", environment=(("MEMBUDGET", "off"),)),
]
