"""A run as annotations for GitHub: lines that GitHub Actions shows at the lines of tests.

The form: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ..host.system import Real
from ..limit_words import LimitUse, limit_uses
from ..results.writing import relative_to
from ..verdict import Result
from .failure_text import (
    FIGURE_WORDS,
    allocation_lines,
    amount,
    blamed_allocations,
    exceeded_line,
    origin_lines,
)
from .overview import Overview
from .printable import printable

N_ANNOTATIONS: Final = 10
"""How many errors, and how many warnings, GitHub shows for a step."""
_N_ALLOCATIONS: Final = 3
_N_FRAMES: Final = 3


def github_annotations(
    overview: Overview,
    *,
    errors: bool = True,
    environment: Mapping[str, str] = Real.environment,
) -> str:
    """Return an error for each test over a limit, and a warning for each that is close to one.

    Args:
        overview: of the run.
        errors: whether to write errors; otherwise only warnings.
        environment: the environment variables: paths are relative to ``GITHUB_WORKSPACE``.
    """
    place_of = _Places(overview.run.environment.root, environment.get("GITHUB_WORKSPACE", ""))
    lines = [_error(one, place_of(one)) for one in overview.over[:N_ANNOTATIONS] if errors]
    close = [(use, one) for one in overview.tests for use in _close_limits(one)]
    close.sort(key=lambda each: -each[0].share)
    lines += [_warning(use, one, place_of(one)) for use, one in close[:N_ANNOTATIONS]]
    return "".join(f"{line}\n" for line in lines)


class _Places:
    """Finds where the tests of a run are in the repository."""

    def __init__(self, root: str, workspace: str) -> None:
        self._root = root
        self._shorten = [relative_to(one) for one in (workspace, root) if one]

    def __call__(self, result: Result) -> dict[str, str]:
        if not result.file:
            return {}
        path = full = str(Real.join(self._root, result.file))
        for shorten in self._shorten:
            path = shorten(full)
            if path != full:
                break
        return {"file": printable(path), "line": str(max(result.line, 1))}


def _error(result: Result, place: Mapping[str, str]) -> str:
    blamed = blamed_allocations(result.measurement, result.verdict)
    message = [
        exceeded_line(result.name, result.verdict),
        *origin_lines(result.verdict),
        *allocation_lines(blamed, _N_FRAMES, _N_ALLOCATIONS),
    ]
    return _command("error", {**place, "title": "Memory limit exceeded"}, "\n".join(message))


def _close_limits(result: Result) -> Iterator[LimitUse]:
    """Yield the limits of a passing test that leave so little room that they may soon break."""
    for use in limit_uses(result) if result.verdict.within else ():
        if {"NEAR", "TIGHT"} & set(use.words):
            yield use


def _warning(use: LimitUse, result: Result, place: Mapping[str, str]) -> str:
    figure = use.limit.figure
    used, maximum = amount(figure, use.used), amount(figure, use.limit.maximum)
    what = FIGURE_WORDS[figure].exactly or "allocations"
    message = f"{printable(result.name)} used {used} of {maximum} {what} ({use.percent})"
    return _command("warning", {**place, "title": "Memory limit leaves little room"}, message)


def github_warning(message: str) -> str:
    """Return a warning that belongs to no test."""
    return _command("warning", {"title": "membudget"}, message)


def _command(name: str, properties: Mapping[str, str], message: str) -> str:
    """Return a workflow command; its escapes are those of GitHub's toolkit."""
    of_it = (
        f"{key}={_escaped(value).replace(':', '%3A').replace(',', '%2C')}"
        for key, value in properties.items()
    )
    return f"::{name} {','.join(of_it)}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
