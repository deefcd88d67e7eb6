"""``membudget check``: finds bad limits in source files, without running a test."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from ..host.installed_files import PACKAGES
from ..report.failure_text import counted
from ..source.checking import problems_in
from ..source.files import read_whole
from ..source.text import UnchangeableError

HELP = "find bad sizes and contradicting markers in source files, without running a test"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "paths",
        nargs="*",
        default=["."],
        metavar="PATH",
        help="files, and directories whose Python files are checked (default: this directory)",
    )


def run(arguments: Namespace) -> tuple[list[str], int]:
    """Return the lines to show, and the exit status: 1 for a bad limit, 2 for an unreadable file.

    Raises:
        OSError: a path cannot be read.
    """
    problems: list[str] = []
    unreadable: list[str] = []
    n_files = n_limits = 0
    for path in arguments.paths:
        for file in _files(path):
            n_files += 1
            try:
                found, n_here = problems_in(read_whole(file))
            except UnchangeableError as error:
                unreadable.append(f"{file}: {error}")
            else:
                n_limits += n_here
                problems += [f"{file}:{one.line}: {one.message}" for one in found]
    checked = f"Checked {counted(n_limits, 'limit')} in {counted(n_files, 'file')}"
    counts = f"{checked}: {counted(len(problems), 'problem') if problems else 'no problems'}"
    return [*problems, *unreadable, counts], 2 if unreadable else int(bool(problems))


def _files(path: str) -> Iterator[str]:
    """Yield a file itself, or the Python files below a directory, without hidden ones.

    Directories of installed packages are left out, and so are virtual environments.
    """
    if not os.path.isdir(path):
        yield path
        return
    for directory, below, names in os.walk(path):
        below[:] = sorted(name for name in below if _is_searched(Path(directory, name)))
        yield from (
            os.path.normpath(os.path.join(directory, name))
            for name in sorted(names)
            if name.endswith(".py")
        )


def _is_searched(directory: Path) -> bool:
    is_hidden = directory.name.startswith(".") or directory.name == "__pycache__"
    return not (is_hidden or directory.name in PACKAGES or (directory / "pyvenv.cfg").exists())
