"""``membudget fix``: writes the limits that run files suggest into the source of the tests."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import get_args

from ..errors import RunFileError
from ..option_values import FixMode
from ..results import read_run
from ..runs import Settings, SuggestedLimits

HELP = "write suggested limits into the source of the tests; with several runs, the largest counts"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run files, oldest first")
    parser.add_argument(
        "--mode",
        choices=get_args(FixMode),
        default="all",
        help="which limits to write, as with --memray-fix (default: %(default)s)",
    )
    parser.add_argument(
        "--root",
        default=os.curdir,
        metavar="DIR",
        help="the directory of the project; no file outside of it changes (default: this one)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show the changes, and write nothing"
    )
    parser.add_argument(
        "--in-ci", action="store_true", help="write even if the environment variable CI is set"
    )


def run(arguments: Namespace) -> tuple[list[str], int]:
    """Return the lines to show, and the exit status."""
    if not os.path.isdir(arguments.root):
        raise RunFileError(f"--root: {arguments.root!r} is not a directory")
    settings = Settings(memray_fix=arguments.mode, memray_fix_in_ci=arguments.in_ci)
    limits = SuggestedLimits(settings, arguments.root)
    limits.finish_runs(map(read_run, arguments.runs), writes=not arguments.dry_run)
    return [line.text for line in limits.lines()], 0
