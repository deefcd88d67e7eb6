"""Stands for something that watches a program, and keeps what it sees."""

from __future__ import annotations

_seen: list[bytearray] = []


def saw(n_bytes: int) -> None:
    _seen.append(bytearray(n_bytes))
