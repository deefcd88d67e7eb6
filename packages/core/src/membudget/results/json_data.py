"""Results as plain JSON data, for what crosses a process.

``FORMAT`` is the version of the data; it is increased for incompatible changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from json import dumps
from typing import Any, Final

from ..budget import Budget, LeakLimit, Limit, ObjectLimit, Scope
from ..errors import MembudgetError
from ..host.whole_files import write_whole
from ..measurement_json import allocations_from_json
from ..measurement_json import measurement_from_json as measurement_from_json
from ..measurement_json import measurement_to_json as measurement_to_json
from ..verdict import Excess, Result, Verdict, is_blind

FORMAT: Final = 1


def result_to_json(result: Result) -> dict[str, Any]:
    """Return a result as JSON data; :func:`result_from_json` reads it back."""
    return {
        "format": FORMAT,
        "name": result.name,
        "measurement": measurement_to_json(result.measurement),
        "budget": budget_to_json(result.verdict.budget),
        "excesses": [asdict(excess) for excess in result.verdict.excesses],
        "leaks": [asdict(allocation) for allocation in result.verdict.leaks],
        "blind": result.verdict.within and is_blind(result.measurement, result.verdict.budget),
        "phases": {phase: measurement_to_json(used) for phase, used in result.phases},
    }


def results_to_text(results: Iterable[Result]) -> str:
    """Return the text of a JSON file with results; docs/json.md describes it."""
    data = {"format": FORMAT, "results": [result_to_json(result) for result in results]}
    return dumps(data, indent=1) + "\n"


def write_results(path: str, results: Iterable[Result]) -> None:
    """Write a JSON file with results, as a whole; see :mod:`membudget.host.whole_files`.

    Raises:
        OSError: it cannot be written.
    """
    write_whole(path, results_to_text(results).encode())


def result_from_json(data: dict[str, Any]) -> Result:
    """Read back what :func:`result_to_json` returned.

    Raises:
        MembudgetError: the data has another format, from another version of membudget.
    """
    if data.get("format") != FORMAT:
        raise MembudgetError(
            f"a result has format {data.get('format')!r}, and this membudget reads format "
            f"{FORMAT}: use one version of membudget in all processes"
        )
    excesses = (Excess(Limit(**excess["limit"]), excess["measured"]) for excess in data["excesses"])
    measurement = measurement_from_json(data["measurement"])
    return Result(
        data["name"],
        measurement,
        Verdict(
            budget_from_json(data["budget"]),
            tuple(excesses),
            allocations_from_json(data["leaks"]),
            measurement.leaked_objects,
        ),
        tuple((phase, measurement_from_json(used)) for phase, used in data["phases"].items()),
    )


def budget_to_json(budget: Budget) -> dict[str, Any]:
    """Return a budget as JSON data: filters are left out, as they are code."""
    return {
        "limits": [asdict(limit) for limit in budget.limits],
        "scope": asdict(budget.scope),
        "leaks": _leaks_to_json(budget.leaks),
        "objects": budget.objects is not None,
        "objects_origin": "" if budget.objects is None else budget.objects.origin,
    }


def _leaks_to_json(leaks: LeakLimit | None) -> dict[str, Any] | None:
    return None if leaks is None else {"maximum": leaks.maximum, "origin": leaks.origin}


def budget_from_json(data: dict[str, Any]) -> Budget:
    """Read back what :func:`budget_to_json` returned."""
    limits = tuple(Limit(**limit) for limit in data["limits"])
    leaks = data["leaks"]
    return Budget(
        limits,
        scope_from_json(data["scope"]),
        None if leaks is None else LeakLimit(leaks["maximum"], origin=leaks["origin"]),
        ObjectLimit(origin=data["objects_origin"]) if data["objects"] else None,
    )


def scope_from_json(data: dict[str, Any]) -> Scope:
    """Read back a scope."""
    lists = {name: tuple(data[name]) for name in ("only", "ignore", "include")}
    return Scope(**{**data, **lists})
