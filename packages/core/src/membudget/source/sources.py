"""Where the tests of a run are written, as plain data for other processes and for run files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .definitions import WrittenTest


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """A source file of the project, as it was when the tests were imported.

    Attributes:
        file: its path.
        fingerprint: see :func:`membudget.source.files.fingerprint`.
    """

    file: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the tests of a run are written, and which figures are not complete.

    Attributes:
        tests: every test that was found, whether it ran or not.
        files: the source files.
        all_files_ran: whether no file with tests was left out of the run.
        ended: the tests that ended, and why they may need more than they used; empty if not.
        left_out: measured tests for which nothing is suggested, and why.
        ended_early: whether the run ended before its last test.
    """

    tests: tuple[tuple[str, WrittenTest], ...] = ()
    files: tuple[ImportedFile, ...] = ()
    all_files_ran: bool = True
    ended: tuple[tuple[str, str], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    ended_early: bool = False

    @property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprints of the source files, by path."""
        return {one.file: one.fingerprint for one in self.files}


_CHANGED = "changed"  # no fingerprint is that


def combined(sources: Iterable[Sources]) -> Sources:
    """Return the sources of several runs, or of several processes of a run, as one.

    If a test ended in one of them with complete figures, it counts as complete. A file that was not
    the same in all of them gets a fingerprint that no file has, so that it is not written.
    """
    all_of_them = list(sources)
    fingerprints: dict[str, str] = {}
    for each in (file for one in all_of_them for file in one.files):
        same = fingerprints.setdefault(each.file, each.fingerprint) == each.fingerprint
        fingerprints[each.file] = each.fingerprint if same else _CHANGED
    ended: dict[str, str] = {}
    for name, incomplete in (pair for one in all_of_them for pair in one.ended):
        ended[name] = incomplete if ended.get(name, incomplete) else ""
    left_out = {pair for one in all_of_them for pair in one.left_out if pair[0] not in ended}
    return Sources(
        tuple({name: test for one in all_of_them for name, test in one.tests}.items()),
        tuple(ImportedFile(*each) for each in fingerprints.items()),
        all(one.all_files_ran for one in all_of_them),
        tuple(ended.items()),
        tuple(sorted(left_out)),
        any(one.ended_early for one in all_of_them),
    )
