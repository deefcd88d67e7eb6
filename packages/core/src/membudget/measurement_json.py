"""Measurements and stacks as plain JSON data, for other processes and for files of results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from .measurement import Allocation, Frame, LeakedObjects, Measurement, Unseen


def measurement_to_json(measurement: Measurement) -> dict[str, Any]:
    """Return a measurement as JSON data."""
    return asdict(measurement)


def measurement_from_json(data: dict[str, Any]) -> Measurement:
    """Read back what :func:`measurement_to_json` returned."""
    return Measurement(
        **{
            **data,
            "size_histogram": tuple(data["size_histogram"]),
            "allocations": allocations_from_json(data["allocations"]),
            "retained": allocations_from_json(data["retained"]),
            "unmatched": tuple(data["unmatched"]),
            "leaked_objects": tuple(
                LeakedObjects(**{**one, "stack": stack_from_json(one["stack"])})
                for one in data["leaked_objects"]
            ),
            "unseen": tuple(Unseen(**one) for one in data.get("unseen", ())),
        }
    )


def allocations_from_json(data: Iterable[dict[str, Any]]) -> tuple[Allocation, ...]:
    """Read allocations back from what ``asdict`` made of them."""
    return tuple(
        Allocation(**{**allocation, "stack": stack_from_json(allocation["stack"])})
        for allocation in data
    )


def stack_to_json(stack: Iterable[Frame]) -> list[dict[str, Any]]:
    """Return a stack trace as JSON data."""
    return [asdict(frame) for frame in stack]


def stack_from_json(data: Iterable[dict[str, Any]]) -> tuple[Frame, ...]:
    """Read back what :func:`stack_to_json` returned."""
    return tuple(Frame(**frame) for frame in data)
