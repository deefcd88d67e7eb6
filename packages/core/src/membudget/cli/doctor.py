"""``membudget doctor``: shows whether budgets are enforced here, and how."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from importlib import metadata

from ..availability import why_not_measured
from ..budget_arguments import object_budget
from ..errors import MembudgetError, UnsupportedLimitError
from ..limits import measure_memory
from ..recording.access import get_recorder
from ..recording.marks import MARKS_ARE_MADE_IN_C
from ..recording.own_allocators import ALLOCATORS, OwnAllocator, is_set
from ..recording.readers.scanner import scanner_problem
from ..sizes import format_size

HELP = "show whether budgets are enforced here, and how memory is measured"
_N_BYTES = 1_000_000


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the command: it has none."""


def run(arguments: Namespace) -> tuple[list[str], int]:
    """Return the lines to show, and the exit status: 1 if budgets are not enforced."""
    lines, enforced = diagnose()
    return lines, int(not enforced)


def diagnose() -> tuple[list[str], bool]:
    """Return the lines to print, and whether budgets are enforced here.

    It measures a small block to find out.
    """
    lines = [f"{name}: {text}" for name, text in _surroundings()]
    try:
        problem = _problem()
        if problem is None:
            lines += [f"{name}: {text}" for name, text in _engine()]
            problem = _measure()
    except MembudgetError as error:
        problem = f"because of an error: {error}"
    lines.append(f"budgets: {f'NOT ENFORCED, {problem}' if problem else 'enforced'}")
    return lines, problem is None


def _surroundings() -> Iterator[tuple[str, str]]:
    implementation = platform.python_implementation()
    yield "membudget", metadata.version("membudget")
    yield "Python", f"{implementation} {platform.python_version()} on {sys.platform}"
    yield "memray", _version_of_memray()
    directory = tempfile.gettempdir()
    free = format_size(shutil.disk_usage(directory).free)
    yield "captures", f"in {directory}, where {free} are free"


def _version_of_memray() -> str:
    try:
        return metadata.version("memray")
    except metadata.PackageNotFoundError:
        return "not installed"


def _problem() -> str | None:
    why = why_not_measured()
    return None if why is None else f"because {why}"


def _engine() -> Iterator[tuple[str, str]]:
    problem = scanner_problem()
    if problem is None and not _scanner_knows_captures():
        problem = "the scanner does not know the capture format of this memray"
    if problem is None:
        yield "reader", "scanner (C), which reads figures while memray is recording"
    else:
        yield "reader", f"replay (Python), slower, because {problem}"
    if MARKS_ARE_MADE_IN_C:
        yield "marks", "made in C: an empty block measures 0 bytes"
    else:
        yield "marks", "made in Python: they are measured if Python allocators are traced"
    try:
        object_budget()
        yield "objects", "tracked, for limit_leaked_objects"
    except UnsupportedLimitError as error:
        yield "objects", f"not tracked: {str(error).partition(': ')[2]}"
    for allocator in ALLOCATORS:
        if importlib.util.find_spec(allocator.module) is not None:
            yield allocator.module, _how_seen(allocator)


def _how_seen(allocator: OwnAllocator) -> str:
    """Describe how memray sees the memory of an installed library with its own allocator."""
    if not allocator.variable:
        return "memray does not see its allocator; limits on code that uses it are blind"
    if is_set(allocator):
        return f"visible, because {allocator.variable} is set in the environment"
    how = "pytest --memray and python -m unittest_membudget make it visible"
    if allocator.pools is not None:
        return f"{how}, and so does a block if it is already loaded"
    return f"{how}; elsewhere limits on code that uses it are blind: {allocator.advice}"


def _scanner_knows_captures() -> bool:
    with measure_memory():
        return get_recorder().scans


def _measure() -> str | None:
    with measure_memory() as memory:
        data = bytearray(_N_BYTES)
    if not len(data) <= memory.peak_bytes < 2 * len(data):
        return (
            f"because a block that allocates {len(data):,} bytes measured {memory.peak_bytes:,}; "
            f"please report this"
        )
    return None
