"""Results cross processes as plain data."""

from __future__ import annotations

import json

import pytest
from membudget import Budget, Limit, MembudgetError, Result, Scope
from membudget.results.result_data import result_from_json, result_to_json
from membudget.testing import make_measurement
from membudget.verdict import judge


def test_a_result_survives_json() -> None:
    measurement = make_measurement(100, 20, site=("lädt", "ä.py", 7))
    scope = Scope(True, ("mypkg.*",), ("logging", "tests/*"), ("setup", "call"), stable=True)
    for budget in (Budget(), Budget((Limit("peak_bytes", 50),), scope)):
        result = Result("test_ä[x-\n]", measurement, judge(measurement, budget))
        assert result_from_json(json.loads(json.dumps(result_to_json(result)))) == result


def test_another_format_is_an_error() -> None:
    """Workers and controller with different versions raise an error instead of misreading data."""
    data = result_to_json(Result("x", make_measurement(1), judge(make_measurement(1), Budget())))
    with pytest.raises(MembudgetError, match="one version of membudget"):
        result_from_json({**data, "format": 99})
