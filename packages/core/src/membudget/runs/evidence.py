"""Evidence: captures of tests over a limit, of which a run keeps those with the largest excess.

All processes of a run share one directory. How far a test is over its limit is part of the name of
its capture, so each process can compare its test with those of the others. One process at a time
adds a capture, so the limits hold for the whole run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from ..errors import InvalidOptionError
from ..host.raised import suppressed
from ..host.system import Real
from ..host.whole_files import directory_locked
from ..results.capture_names import capture_name
from ..settings import Settings, option_named
from ..verdict import Verdict
from .kept_captures import KeptCaptures

_PREFIX: Final = "evidence"
_MOST_PERCENT: Final = 999_999
# The percentage first, so that a listing of the directory is in that order.
_NAME: Final = re.compile(rf"{_PREFIX}-(\d{{6}})pct-.*-[0-9a-f]+\.bin", re.DOTALL)


class _Kept(NamedTuple):
    """A capture that is kept; those that go first are smaller."""

    percent: int
    was_before: bool
    path: str
    n_bytes: int


class Evidence:
    """The directory with the evidence of one run.

    Args:
        settings: the directory, and how much it may hold.
        worker: the name of this process in the names of its captures; may be empty.

    Raises:
        InvalidOptionError: the directory is not writable, or the scanner is missing.
    """

    def __init__(self, settings: Settings, worker: str = "") -> None:
        assert settings.memray_evidence is not None
        try:
            self._captures = KeptCaptures(settings.memray_evidence, _PREFIX)
        except InvalidOptionError as error:
            raise InvalidOptionError(f"{option_named('memray_evidence').flag}: {error}") from error
        self._most = settings.memray_evidence_count
        self._most_bytes = settings.memray_evidence_size
        self._worker = f"-{worker}" if worker else ""

    @property
    def directory(self) -> str:
        """The absolute path of the directory."""
        return self._captures.directory

    @property
    def pattern(self) -> str:
        """A shell pattern that matches the paths of the captures."""
        return self._captures.pattern

    def clear(self) -> None:
        """Remove the evidence of an earlier run."""
        with directory_locked(self.directory):
            for one in self.kept():
                _remove(one.path)

    def kept(self, new: str = "") -> list[_Kept]:
        """Return the captures in the directory, those with the smallest excess first.

        Args:
            new: the path of a new one, which comes before others with the same excess.
        """
        found = []
        for name in Real.listdir(self.directory):
            match = _NAME.fullmatch(name)
            path = Real.join(self.directory, name)
            if match is not None:
                with suppressed(FileNotFoundError):
                    size = Real.stat(path).st_size
                    found.append(_Kept(int(match[1]), path != new, path, size))
        return sorted(found)

    def keep(self, name: str, verdict: Verdict, write: Callable[[str], bool]) -> str:
        """Keep a capture of a test over its limit, unless enough tests are further over theirs.

        Args:
            name: the test.
            verdict: what was exceeded.
            write: writes the capture to a path, and returns whether that worked.

        Returns:
            The path of the capture; empty if it is not kept.

        Raises:
            OSError: the directory cannot be read.
        """
        percent = min(percent_of_limit(verdict), _MOST_PERCENT)
        prefix = f"{_PREFIX}-{percent:06}pct{self._worker}"
        path: str = Real.join(self.directory, capture_name(prefix, name))
        of_this_test = path[path.rindex("-") :]
        with directory_locked(self.directory):
            kept = self.kept()
            before = [one for one in kept if one.path.endswith(of_this_test)]
            others = [one for one in kept if one not in before]
            if len(others) >= self._most and percent <= others[-self._most].percent:
                return ""
            if not write(path):
                return ""
            for one in before:
                if one.path != path:
                    _remove(one.path)
            return path if self._trim(path) else ""

    def _trim(self, new: str) -> bool:
        """Remove the captures with the smallest excess; return whether the new one stays."""
        kept = self.kept(new)
        if any(one.path == new and one.n_bytes > self._most_bytes for one in kept):
            _remove(new)
            return False
        while len(kept) > self._most or sum(one.n_bytes for one in kept) > self._most_bytes:
            _remove(kept.pop(0).path)
        return any(one.path == new for one in kept)


def percent_of_limit(verdict: Verdict) -> int:
    """Return the largest share of a limit that a block has used, in percent.

    Example:
        >>> from membudget import Budget, Excess, Limit
        >>> limit = Limit("peak_bytes", 1000)
        >>> percent_of_limit(Verdict(Budget((limit,)), (Excess(limit, 2500),)))
        250
    """
    used = [(excess.measured, excess.limit.maximum) for excess in verdict.excesses]
    leaks = verdict.budget.leaks
    if leaks is not None:
        used += [(leak.size_bytes, leaks.maximum) for leak in verdict.leaks]
    used += [(one.n_objects, 1) for one in verdict.leaked_objects]
    return max((measured * 100 // max(limit, 1) for measured, limit in used), default=0)


def _remove(path: str) -> None:
    with suppressed(FileNotFoundError):
        Real.unlink(path)
