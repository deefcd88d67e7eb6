"""Suggested limits as text: a table, and the result of writing them into the source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ..limit_words import KIND_NAMES
from ..source.fix import FixPlan
from ..source.text import lines_of
from ..source.writing import Written, diff
from ..suggestions import Need, Suggestion
from .failure_text import counted
from .printable import printable
from .run_text import Line, named
from .tables import aligned

_HEADINGS: Final = ("test", "used", "limit now", "suggested", "why")
_FIRST: Final[tuple[Need, ...]] = ("raise", "add", "lower")


def table_lines(suggestions: Iterable[Suggestion]) -> Iterator[Line]:
    """Yield a table of the limits that should change, starting with those that are too low."""
    suggestions = list(suggestions)
    needed = [one for need in _FIRST for one in suggestions if one.need == need]
    if needed:
        heading, *lines = aligned([_HEADINGS, *map(_row, needed)])
        yield Line(heading)
        for one, line in zip(needed, lines, strict=True):
            yield Line(line, "over" if one.need == "raise" else "")
    n_fit = len(suggestions) - len(needed)
    if n_fit:
        yield Line(f"{counted(n_fit, 'limit')} {'fits' if n_fit == 1 else 'fit'} as written")
    if not suggestions:
        yield Line("No test was measured, so no limit can be suggested")


def _row(one: Suggestion) -> tuple[str, str, str, str, str]:
    used = one.used_text
    if one.kind != "peak_bytes":
        used += f" {KIND_NAMES[one.kind]}"
    return printable(one.test), used, one.now_text or "-", one.suggested_text, one.why


def diff_lines(plan: FixPlan) -> Iterator[Line]:
    """Yield the changes of a plan as a diff."""
    for line in lines_of(diff(plan)):
        yield Line(printable(line.rstrip("\r\n")))


def fix_lines(plan: FixPlan, written: Written) -> Iterator[Line]:
    """Yield the result of a plan: which limits were not written and why, and how many were."""
    for reason, tests in _by_reason(plan):
        yield Line(f"Not changed: {named(tests)}: {printable(reason)}", "near")
    for reason in dict.fromkeys(one.reason for one in written.not_written):
        n_limits = sum(len(one.file.changes) for one in written.not_written if one.reason == reason)
        yield Line(f"Not written: {counted(n_limits, 'limit')}: {printable(reason)}", "near")
    changes = [change for file in written.written for change in file.changes]
    if changes:
        n_new = sum(not change.old for change in changes)
        some = "all" if n_new == len(changes) else n_new
        new = f", {some} of them new" if n_new else ""
        files = counted(len(written.written), "file")
        yield Line(f"Wrote {counted(len(changes), 'limit')} into {files}{new}")
    elif not plan.changes:
        yield Line("Nothing was written: no limit had to be changed, or none could be")


def _by_reason(plan: FixPlan) -> Iterator[tuple[str, list[str]]]:
    tests: dict[str, list[str]] = {}
    for one in plan.unchanged:
        if one.wanted:
            tests.setdefault(one.reason, []).append(printable(one.test))
    for reason, of_reason in tests.items():
        yield reason, list(dict.fromkeys(of_reason))
