"""The command line: ``membudget``, or ``python -m membudget``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Final, Protocol

from .cli import check, compare, doctor, explain, merge, suggest
from .errors import MembudgetError


class Command(Protocol):
    """A command: a module of :mod:`membudget.cli`."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of the command."""

    def run(self, arguments: argparse.Namespace) -> tuple[list[str], int]:
        """Return the lines to show, and the exit status."""


COMMANDS: Final[Mapping[str, Command]] = {
    "doctor": doctor,
    "merge": merge,
    "compare": compare,
    "suggest": suggest,
    "explain": explain,
    "check": check,
}


def main(arguments: list[str] | None = None, *, name: str = "membudget") -> int:
    """Run a command and return the exit status; 2 if it cannot do its work.

    Args:
        arguments: of the command line; by default those of this process.
        name: how the command line was started, for its messages.
    """
    parser = argparse.ArgumentParser(name)
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for verb, command in COMMANDS.items():
        command.add_arguments(parsers.add_parser(verb, help=command.HELP, description=command.HELP))
    parsed = parser.parse_args(arguments)
    try:
        lines, status = COMMANDS[parsed.command].run(parsed)
    except (MembudgetError, OSError) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 2
    print(*lines, sep="\n")  # noqa: T201 - this is what the command is for
    return status


if __name__ == "__main__":
    raise SystemExit(main(name="python -m membudget"))
