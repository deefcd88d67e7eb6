"""The time of whole processes, which take turns, so that a busy machine is busy for all of them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Command:
    """One side of a comparison."""

    arguments: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)


def elapsed_seconds(command: Command) -> float:
    """Run a command and return how long it takes by the clock."""
    begun = time.perf_counter()
    done = subprocess.run(
        command.arguments,
        cwd=command.directory,
        # Compiled files are written once, by the warm-up: compiling is no cost of measuring.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **command.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{' '.join(command.arguments)} failed:\n{done.stdout.decode()}")
    return seconds


def by_turns(commands: Mapping[T, Command], rounds: int) -> dict[T, list[float]]:
    """Run all commands once in each round; return the seconds of each command."""
    seconds: dict[T, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            seconds[name].append(elapsed_seconds(command))
    return seconds
