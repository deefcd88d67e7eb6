"""The baseline of a run: the limits from it, and the changes that the run makes to it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final

from ..budget import Limit
from ..errors import InvalidOptionError, RunFileError
from ..host.origins import full_path
from ..host.system import Real
from ..report.baseline_text import baseline_lines, named_tests
from ..report.run_text import Line
from ..results.baseline import Baseline, Changes, file_name
from ..results.environment import Environment
from ..settings import COMMAND_LINE, ENVIRONMENT, Settings, option_named
from ..verdict import Result


class RunBaseline:
    """The baseline of a run.

    Args:
        settings: the settings of the run, with the directory of the baseline.
        root: the directory of the project.

    Raises:
        InvalidOptionError: the file of the baseline cannot be read.

    Attributes:
        directory: the absolute path of the directory with the files.
        collected: the names of all tests of the suite, including those that do not run; empty if
            unknown. Then no test counts as gone.
    """

    def __init__(self, settings: Settings, root: str) -> None:
        self.directory: Final = _directory(settings, root)
        self._settings = settings
        self._root = root
        self.collected: Final[set[str]] = set()
        name = file_name(Environment.of_this_python(), settings)
        path = Real.join(self.directory, name)
        try:
            self._baseline = Baseline.read(path)
        except (OSError, RunFileError) as error:
            raise InvalidOptionError(f"{_flag('memray_baseline')}: {error}") from error
        self._changes = Changes()
        self._written = Changes()
        self._after = self._baseline
        self._results: list[Result] = []

    def limit_for(self, name: str) -> Limit | None:
        """Return the limit from the baseline for a test; None if there is none.

        There is none if the run writes worse figures into the baseline.
        """
        if {"worse", "all"} & set(self._settings.memray_update_baseline):
            return None
        return self._baseline.limit_for(name, self._settings.memray_tolerance, self._root)

    def finish(self, results: Iterable[Result], failed: Iterable[str]) -> None:
        """Compare the run with the baseline, and update that if the settings ask for it.

        Args:
            results: those of all measured tests.
            failed: the names of the tests that failed for another reason than their limit.

        Raises:
            InvalidOptionError: the baseline cannot be written, or does not have a test although
                the settings require it.
        """
        broken = set(failed)
        self._results = [
            one
            for one in results
            if one.name not in broken and one.outcome not in ("skipped", "error")
        ]
        tolerance, modes = self._settings.memray_tolerance, self._settings.memray_update_baseline
        self._changes = self._baseline.changes(self._results, tolerance, self._gone())
        if modes:
            self._written = self._changes.of(modes)
            self._after = self._baseline.updated(self._written, self._results, self._root)
            self._write()
        missing = sorted(one.name for one in self._results if one.name not in self._after.entries)
        if self._settings.memray_require_baseline and missing:
            raise InvalidOptionError(
                f"{_flag('memray_require_baseline')}: {self._baseline.path} has no baseline for "
                f"{named_tests(missing)}: add it with {_flag('memray_update_baseline')}=new"
            )

    def _write(self) -> None:
        if self._written == Changes():
            return
        try:
            self._after.write()
        except OSError as error:
            flag = _flag("memray_update_baseline")
            raise InvalidOptionError(
                f"{flag}: cannot write to {self._after.path!r}: {error}"
            ) from error

    def _gone(self) -> set[str]:
        """Return the tests that are no longer in the files that were collected."""
        files = {name.partition("::")[0] for name in self.collected}
        return {
            name
            for name in self._baseline.entries
            if name not in self.collected and name.partition("::")[0] in files
        }

    def lines(self) -> Iterator[Line]:
        """Yield the lines of a report: what differs, and what was written."""
        peaks = {one.name: one.measurement.peak_bytes for one in self._results}
        tolerance = self._settings.memray_tolerance
        yield from baseline_lines(self._baseline, self._changes, self._written, peaks, tolerance)


def _directory(settings: Settings, root: str) -> str:
    """Return the directory of the baseline; a file names it relative to where the file is.

    So a run that starts in another directory compares with the same baseline.
    """
    origin = settings.origins.get("memray_baseline")
    base = Real.getcwd()
    if origin is not None and origin.place not in (ENVIRONMENT, COMMAND_LINE):
        file = full_path(origin.place)
        # A framework's own file is named without its directory, which is the root.
        base = Real.dirname(file) if os.path.isfile(file) else root
    return str(Real.join(base, str(settings.memray_baseline)))


def _flag(name: str) -> str:
    return option_named(name).flag
