"""Finds out whether several runs were measured in the same way, so that figures are comparable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ..budget import Scope
from .environment import Environment


def _setting(name: str) -> Callable[[Environment], str]:
    return lambda environment: dict(environment.settings).get(name, "")


# The values that figures depend on. Patch versions of Python do not matter.
_MATTERS: Final[dict[str, Callable[[Environment], str]]] = {
    "Python": lambda environment: ".".join(environment.python.split(".")[:2]),
    "implementation": lambda environment: environment.implementation,
    "platform": lambda environment: environment.platform,
    "machine": lambda environment: environment.machine,
    "memray": lambda environment: environment.memray,
    **{
        name: _setting(name)
        for name in (
            "memray_stable",
            "memray_include",
            "memray_own_allocators",
            "trace_python_allocators",
        )
    },
}


def differences(environments: Sequence[Environment]) -> list[str]:
    """Return why the figures of several runs cannot be compared; empty if they can.

    An unknown value of a run is equal to every other value.

    Returns:
        A text for each difference, with the values in the order of the runs.

    Example:
        >>> differences([Environment(python="3.12.1"), Environment(python="3.13.0")])
        ['Python (3.12, 3.13)']
        >>> differences([Environment(python="3.13.1"), Environment(python="3.13.0")])
        []
    """
    found = []
    for name, value_of in _MATTERS.items():
        values = dict.fromkeys(filter(None, map(value_of, environments)))
        if len(values) > 1:
            found.append(f"{name} ({', '.join(values)})")
    return found


def counts_the_same(one: Scope, other: Scope) -> bool:
    """Whether the same memory counted for results with these scopes."""
    return one == other or _written_out(one) == _written_out(other)


def _written_out(scope: Scope) -> Scope:
    return replace(scope, include=scope.phases, stable=bool(scope.stable))
