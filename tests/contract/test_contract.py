"""Every front end: the same work, the same limit, the same measurement, verdict and text."""

from __future__ import annotations

import functools
import re
import tempfile
from pathlib import Path

import front_ends
import pytest
from front_ends import Outcome, Outcomes
from scenarios import KIB, SCENARIOS, Environment, Scenario

FRONT_ENDS = [
    front_ends.with_block,
    front_ends.decorator,
    front_ends.pytest_marker,
    front_ends.unittest_method,
    front_ends.unittest_class,
    front_ends.memory_test_case,
]


@functools.cache
def outcomes_in(environment: Environment) -> dict[str, Outcomes]:
    """Run all scenarios of an environment; return what came of them, by front end."""
    scenarios = [scenario for scenario in SCENARIOS if scenario.environment == environment]
    found = {}
    for front_end in FRONT_ENDS:
        with tempfile.TemporaryDirectory() as directory:
            found[front_end.__name__] = front_end(scenarios, Path(directory), environment)
    return found


# One group for each environment: all scenarios of it run once, in one worker of xdist's.
@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(one, id=one.name, marks=pytest.mark.xdist_group(str(one.environment)))
        for one in SCENARIOS
    ],
)
def test_every_front_end_gives_the_same(scenario: Scenario) -> None:
    found = outcomes_in(scenario.environment)
    outcomes = {name: found[name][scenario.name] for name in found if scenario.name in found[name]}
    assert len(outcomes) == len(FRONT_ENDS) - (not scenario.attribute) - scenario.calls_twice
    for name, outcome in outcomes.items():
        assert (outcome.result, outcome.type) == (scenario.result, scenario.type), (name, outcome)
        assert_as_expected(outcome, scenario)
    reference = next(iter(outcomes.values()))
    for name, outcome in outcomes.items():
        if scenario.noise_bytes:
            assert shape(outcome.text) == shape(reference.text), name
        else:
            assert outcome.text == reference.text, name
        assert_same_measurement(outcome, reference, scenario.noise_bytes)


def shape(text: str) -> list[str]:
    """The first two lines of a text without their numbers."""
    return [re.sub(r"[\d.,]+[KMi]*", "N", line) for line in text.splitlines()[:2]]


def assert_as_expected(outcome: Outcome, scenario: Scenario) -> None:
    measured = outcome.measurement
    if scenario.type not in ("", "LookupError"):
        assert outcome.text, outcome
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
    if scenario.calls_twice:
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
