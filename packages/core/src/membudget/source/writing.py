"""Shows what changes in source files, and writes them."""

from __future__ import annotations

import difflib
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ..host.raised import raised_by_us
from ..host.system import Real, real_functions
from ..host.whole_files import whole_file, write_all
from .changes import ChangedFile
from .files import read_whole
from .fix import FixPlan
from .text import UnchangeableError, lines_of

_MEANS_NO: Final = ("", "0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class NotWritten:
    """A file that was not changed.

    Attributes:
        file: the file, with its changes.
        reason: why.
    """

    file: ChangedFile
    reason: str


@dataclass(frozen=True, slots=True)
class Written:
    """The result of writing a plan.

    Attributes:
        written: the files that were written.
        not_written: the others.
    """

    written: tuple[ChangedFile, ...]
    not_written: tuple[NotWritten, ...]


def diff(plan: FixPlan) -> str:
    """Return a plan as a unified diff for ``patch -p1`` and ``git apply``."""
    return "".join(line for file in plan.files for line in _diff_lines(file))


def _diff_lines(file: ChangedFile) -> Iterator[str]:
    old, new = (lines_of(data.decode(file.encoding)) for data in (file.disk.data, file.new))
    names = (f"a/{file.disk.shown}", f"b/{file.disk.shown}")
    for line in difflib.unified_diff(old, new, *names):
        yield line
        if not line.endswith(("\n", "\r")):
            yield "\n\\ No newline at end of file\n"


def is_in_ci(environment: Mapping[str, str]) -> bool:
    """Whether this runs on a CI server, which sets the variable ``CI``.

    Example:
        >>> is_in_ci({"CI": "true"}), is_in_ci({})
        (True, False)
    """
    return environment.get("CI", "").strip().lower() not in _MEANS_NO


def write_fixes(
    plan: FixPlan,
    *,
    even_in_ci: bool = False,
    environment: Mapping[str, str] = Real.environment,
) -> Written:
    """Write the files of a plan, each as a whole or not at all.

    If a file cannot be written, or has changed since it was read, it is not changed; the others are
    still written.

    Args:
        plan: the result of :func:`membudget.source.fix.plan_fixes`.
        even_in_ci: whether to write on a CI server as well, where changes are lost, or pushed
            without a review.
        environment: the environment variables.
    """
    if is_in_ci(environment) and not even_in_ci:
        reason = (
            "source files are not changed in CI (the environment variable CI is set). To change "
            "them anyway, add --memray-fix-in-ci (for membudget fix: --in-ci)"
        )
        return Written((), tuple(NotWritten(file, reason) for file in plan.files))
    written: list[ChangedFile] = []
    not_written: list[NotWritten] = []
    for file in plan.files:
        try:
            with real_functions():
                _write(file)
            written.append(file)
        except UnchangeableError as error:
            not_written.append(NotWritten(file, str(error)))
        except OSError as error:
            if not raised_by_us(error):
                raise
            reason = f"{file.disk.shown} cannot be written: {error.strerror}"
            not_written.append(NotWritten(file, reason))
    return Written(tuple(written), tuple(not_written))


def _write(file: ChangedFile) -> None:
    path = file.disk.path
    before = Real.stat(path)
    # In a writable directory, even a file that must not be written could be replaced.
    if not before.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise UnchangeableError(f"{file.disk.shown} is read-only")
    with whole_file(path) as fd:
        write_all(fd, file.new)
        if Real.realpath(path) != path or read_whole(path) != file.disk.data:
            raise UnchangeableError(f"{file.disk.shown} was changed during the run")
    after = Real.stat(path)
    if (after.st_size, int(after.st_mtime)) == (before.st_size, int(before.st_mtime)):
        # Otherwise Python would use the old compiled file: it compares only size and seconds.
        Real.utime(path, (after.st_atime, int(after.st_mtime) + 1))
