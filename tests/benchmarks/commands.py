"""The time of whole processes, which take turns, so that a busy machine is busy for all of them."""

from __future__ import annotations

import os
import subprocess
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


def cpu_seconds(command: Command) -> float:
    """Run a command and return the user and system time of it and its children."""
    process = subprocess.Popen(
        command.arguments,
        cwd=command.directory,
        # Compiled files are written once, by the warm-up: compiling is no cost of measuring.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **command.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    printed = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command.arguments)} failed:\n{printed}")
    return usage.ru_utime + usage.ru_stime


def by_turns(commands: Mapping[T, Command], rounds: int) -> dict[T, list[float]]:
    """Run all commands once in each round; return the seconds of each command."""
    seconds: dict[T, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            seconds[name].append(cpu_seconds(command))
    return seconds
