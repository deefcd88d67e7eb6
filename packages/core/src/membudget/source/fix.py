"""Plans how suggested limits get into the source: which limits change, and why others do not.

:mod:`membudget.source.writing` writes the files.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ..limit_words import LimitKind
from ..option_values import FixMode
from ..suggestions import Need, Suggestion
from .changes import Change, ChangedFile, FileChanges
from .definitions import WrittenTest
from .files import ChangeableFiles
from .places import BarePlace, LimitPlace, Places, SourceFile
from .text import UnchangeableError

_WAIVED: Final = "it has a waiver of limits, or is not to be measured"


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A suggestion that changes nothing.

    Attributes:
        test, kind: of the suggestion.
        reason: why.
        wanted: whether a change was requested but cannot be made; False if none was needed.
    """

    test: str
    kind: LimitKind
    reason: str
    wanted: bool


@dataclass(frozen=True, slots=True)
class FixPlan:
    """The changes to write.

    Attributes:
        files: the files that change.
        unchanged: the suggestions that change nothing, in their order.
    """

    files: tuple[ChangedFile, ...]
    unchanged: tuple[Unchanged, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes in all files."""
        return tuple(change for file in self.files for change in file.changes)


def plan_fixes(
    suggestions: Iterable[Suggestion],
    tests: Mapping[str, WrittenTest],
    *,
    mode: FixMode,
    root: str,
    fingerprints: Mapping[str, str],
    unmeasured: Iterable[WrittenTest] = (),
    all_files_ran: bool = True,
) -> FixPlan:
    """Plan how suggested limits get into the source.

    A limit that several tests share (of a class, a module, parameters) becomes the largest of their
    suggestions. It is lowered, or a new one is added, only if all of these tests were measured.

    Args:
        suggestions: for all tests that were measured, even if their limit fits: they can share it
            with other tests.
        tests: where the tests are written, by their names.
        mode: which limits to change.
        root: the directory below which files may change.
        fingerprints: by path, what :func:`membudget.source.files.fingerprint` returned for files
            when the tests were imported. A file without a fingerprint does not change.
        unmeasured: tests that were not measured, but are in the same modules as measured ones:
            deselected, skipped, never run.
        all_files_ran: whether no module was left out of the run. Tests in modules that were left
            out can share a limit that is written in another file.
    """
    places = Places(ChangeableFiles(root, fingerprints))
    return _Plan(mode, tests, places, unmeasured, all_files_ran).made_for(suggestions)


@dataclass(slots=True)
class _Group:
    """A place in the source, and the suggestions for it, by their index."""

    place: LimitPlace | BarePlace
    members: dict[int, Suggestion] = field(default_factory=dict)

    @property
    def need(self) -> Need:
        """What to do with the limit, for all of its tests."""
        needs = {_need_of(one) for one in self.members.values()}
        if "raise" in needs:
            return "raise"
        return needs.pop() if len(needs) == 1 else "keep"

    @property
    def largest(self) -> Suggestion:
        return max(self.members.values(), key=lambda one: one.maximum)


def _need_of(one: Suggestion) -> Need:
    """Return what a suggestion needs: a new limit, if the test has only the default one."""
    return "add" if one.now is not None and one.now.source == "default" else one.need


class _Plan:
    def __init__(
        self,
        mode: FixMode,
        tests: Mapping[str, WrittenTest],
        places: Places,
        unmeasured: Iterable[WrittenTest],
        all_files_ran: bool,
    ) -> None:
        self._mode = mode
        self._tests = tests
        self._places = places
        self._all_files_ran = all_files_ran
        # Definitions whose limits apply to tests that were not measured, and may need more.
        self._in_doubt = {holder for test in unmeasured for holder in places.holders(test)}
        self._with_limits: set[ast.AST] = set()  # functions of tests that have limits
        self._unchanged: dict[int, Unchanged] = {}

    def made_for(self, suggestions: Iterable[Suggestion]) -> FixPlan:
        files: dict[SourceFile, tuple[FileChanges, list[_Group]]] = {}
        for group in self._groups(enumerate(suggestions)):
            file = group.place.file
            changes, groups = files.setdefault(file, (FileChanges(file), []))
            if not self._asks_for(group.need):
                shared = f"it shares its limit with {group.largest.test}, which needs it"
                self._keep(group.members, shared, is_needed=False)
                continue
            try:
                self._check(group)
                _add(changes, group)
                groups.append(group)
            except UnchangeableError as error:
                self._keep(group.members, str(error))
        changed = []
        for changes, groups in files.values():
            try:
                if groups:
                    changed.append(changes.result())
            except UnchangeableError as error:
                for group in groups:
                    self._keep(group.members, str(error))
        unchanged = [self._unchanged[number] for number in sorted(self._unchanged)]
        return FixPlan(tuple(changed), tuple(unchanged))

    def _groups(self, suggestions: Iterable[tuple[int, Suggestion]]) -> list[_Group]:
        """Return the places in the source, each with its suggestions."""
        groups: dict[ast.AST, _Group] = {}
        for number, one in suggestions:
            try:
                place = self._place_of(one)
            except UnchangeableError as error:
                self._keep({number: one}, str(error))
            else:
                groups.setdefault(place.node, _Group(place)).members[number] = one
        return list(groups.values())

    def _place_of(self, one: Suggestion) -> LimitPlace | BarePlace:
        test = self._tests.get(one.test)
        if test is None:
            raise UnchangeableError("it is unknown where the test is written")
        if _need_of(one) == "add":
            if test.waived:
                raise UnchangeableError(_WAIVED)
            return self._places.function_of(test)
        with contextlib.suppress(UnchangeableError):  # its limit may be written somewhere else
            self._with_limits.add(self._places.function_of(test).node)
        assert one.now is not None
        if one.now.source == "baseline":
            raise UnchangeableError("its limit is its baseline, which is not in the source")
        return self._places.limit_of(test, one.now)

    def _check(self, group: _Group) -> None:
        """Check that a change is allowed.

        Raises:
            UnchangeableError: it is not.
        """
        if group.need in ("lower", "add"):
            for one in group.members.values():
                if one.incomplete:
                    which = one.test if len(group.members) > 1 else "it"
                    raise UnchangeableError(f"{which} may need more: {one.incomplete}")
            if group.place.holder in self._in_doubt:
                raise UnchangeableError("not all tests with this limit were measured")
            tests = [self._tests[one.test] for one in group.members.values()]
            if not self._all_files_ran and not all(
                self._places.is_in_its_module(group.place, test) for test in tests
            ):
                raise UnchangeableError(
                    f"{group.place.file.disk.shown} may be used by tests of files that did not run"
                )
        if isinstance(group.place, BarePlace):
            self._check_bare(group.place)

    def _check_bare(self, place: BarePlace) -> None:
        written = place.file.written_at(place.node)
        where = place.file.at(place.node)
        if written.waiver:
            raise UnchangeableError(f"{where}: {_WAIVED}")
        if place.node in self._with_limits or written.limits:
            raise UnchangeableError(f"{where}: other limits are written there")

    def _asks_for(self, need: Need) -> bool:
        return need != "keep" and self._mode in (need, "all")

    def _keep(
        self, members: Mapping[int, Suggestion], reason: str, *, is_needed: bool = True
    ) -> None:
        for number, one in members.items():
            need = _need_of(one)
            if self._asks_for(need):
                wanted, why = is_needed and reason != _WAIVED, reason
            else:
                wanted, why = False, _not_asked_for(one, need, self._mode)
            self._unchanged[number] = Unchanged(one.test, one.kind, why, wanted)


def _not_asked_for(one: Suggestion, need: Need, mode: FixMode) -> str:
    if need == "keep":
        return one.why
    lacks = {"add": "it has no limit of its own", "raise": "its limit is too low"}
    problem = lacks.get(need, "its limit is higher than it needs")
    return f"{problem}, but {mode!r} does not change that"


def _add(changes: FileChanges, group: _Group) -> None:
    largest = group.largest
    tests = tuple(dict.fromkeys(one.test for one in group.members.values()))
    if isinstance(group.place, LimitPlace):
        changes.write_number(group.place, largest.maximum, tests, largest.now_text)
    else:
        changes.add_limit(group.place, largest.maximum, tests)
