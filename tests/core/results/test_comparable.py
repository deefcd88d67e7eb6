"""Figures are compared only if they were measured in the same way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from membudget import Scope
from membudget.results import Environment, differences
from membudget.results.comparable import counts_the_same

HERE = Environment.here(environment={})


def test_runs_of_one_environment_compare() -> None:
    """What figures do not depend on may differ, and what is not known differs from nothing."""
    others = [
        replace(HERE, python=HERE.python + "1", membudget="9", commit="8f3c", shard="2/3"),
        replace(HERE, settings=(("memray_stable", "true"), ("stacks", "3"))),
        replace(HERE, settings=(("memray_stable", "true"), ("stacks", "5"))),
        Environment(),
    ]
    assert differences([HERE, *others]) == []


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ({"python": "3.12.9"}, {"python": "3.13.9"}, "Python (3.12, 3.13)"),
        ({"machine": "x86_64"}, {"machine": "arm64"}, "machine (x86_64, arm64)"),
        ({"memray": "1.20"}, {"memray": "1.21"}, "memray (1.20, 1.21)"),
        (
            {"settings": (("memray_stable", "true"),)},
            {"settings": (("memray_stable", "false"),)},
            "memray_stable (true, false)",
        ),
    ],
)
def test_what_keeps_runs_from_being_compared(
    one: dict[str, object], other: dict[str, object], difference: str
) -> None:
    environments = [Environment(**each) for each in (one, {}, other, one)]  # type: ignore[arg-type]
    assert differences(environments) == [difference]


def test_the_same_memory_has_to_count() -> None:
    default = Scope()
    # What nobody has said is what holds by default.
    assert counts_the_same(default, Scope(include=("call",), stable=False))
    for scope in (Scope(stable=True), Scope(only=("app",)), Scope(include=("setup", "call"))):
        assert not counts_the_same(default, scope)
