"""Every front end: the same work, the same limit, the same measurement, verdict and text."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import front_ends
import pytest
from front_ends import Outcome, Scenario
from membudget.limits import OLDEST_PYTHON_WITH_OBJECTS
from membudget.recording.scanner import scanner_problem

KIB = 1024
TRACKS_OBJECTS = sys.version_info >= OLDEST_PYTHON_WITH_OBJECTS and scanner_problem() is None

SCENARIOS = [
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
        "fills_a_cache",
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

FRONT_ENDS = [
    front_ends.with_block,
    front_ends.decorator,
    front_ends.pytest_marker,
    front_ends.unittest_method,
    front_ends.unittest_class,
    front_ends.memory_test_case,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_front_end_gives_the_same(scenario: Scenario, tmp_path: Path) -> None:
    outcomes: dict[Callable[..., Outcome], Outcome] = {}
    for front_end in FRONT_ENDS:
        if front_end is front_ends.memory_test_case and not scenario.attribute:
            continue
        if front_end is front_ends.with_block and scenario.calls_twice:
            continue
        directory = tmp_path / front_end.__name__
        directory.mkdir()
        outcome = outcomes[front_end] = front_end(scenario, directory)
        assert (outcome.result, outcome.type) == (scenario.result, scenario.type), (
            front_end.__name__,
            outcome,
        )
        assert_as_expected(outcome, scenario)
    reference = next(iter(outcomes.values()))
    for front_end, outcome in outcomes.items():
        if scenario.noise_bytes:
            assert shape(outcome.text) == shape(reference.text), front_end.__name__
        else:
            assert outcome.text == reference.text, front_end.__name__
        assert_same_measurement(outcome, reference, scenario.noise_bytes)


def shape(text: str) -> list[str]:
    """The first two lines of a text without their numbers."""
    return [re.sub(r"[\d.,]+[KMi]*", "N", line) for line in text.splitlines()[:2]]


def assert_as_expected(outcome: Outcome, scenario: Scenario) -> None:
    measured = outcome.measurement
    if "MEMBUDGET" in dict(scenario.environment) or scenario.type.startswith(
        ("Invalid", "Unsupported")
    ):
        assert measured is None
        return
    assert measured is not None
    if scenario.peak_bytes is not None:
        assert measured["peak_bytes"] == scenario.peak_bytes, outcome
    if (
        scenario.name.endswith(" over")
        and not scenario.asynchronous
        and "nested" not in scenario.name
    ):
        assert re.search("It was (limited|allowed) to", outcome.text)
    if scenario.workload == "fills_a_cache":
        assert 100 * KIB <= measured["peak_bytes"] < 103 * KIB
    if scenario.name == "steps":
        assert (measured["total_bytes"], measured["n_allocations"]) == (500 * KIB, 4)


def assert_same_measurement(outcome: Outcome, reference: Outcome, noise_bytes: int) -> None:
    if outcome.measurement is None or reference.measurement is None:
        assert outcome.measurement is reference.measurement
    elif noise_bytes:
        difference = outcome.measurement["peak_bytes"] - reference.measurement["peak_bytes"]
        assert abs(difference) <= noise_bytes, (outcome.measurement, reference.measurement)
    else:
        for figure in ("peak_bytes", "total_bytes", "n_allocations", "retained_bytes"):
            assert outcome.measurement[figure] == reference.measurement[figure], figure
