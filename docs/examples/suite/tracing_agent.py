"""Stands for a tool that watches a program and keeps its records."""

from __future__ import annotations

_records: list[bytearray] = []


def record(n_bytes: int) -> None:
    _records.append(bytearray(n_bytes))
