"""The command line: ``python -m membudget doctor``."""

from __future__ import annotations

import argparse

from .cli.doctor import diagnose


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m membudget")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "doctor", help="say whether budgets are enforced here, and how they are measured"
    )
    parser.parse_args(arguments)
    lines, enforced = diagnose()
    print(*lines, sep="\n")  # noqa: T201 - this is what the command is for
    return 0 if enforced else 1


if __name__ == "__main__":
    raise SystemExit(main())
