"""A run as Markdown, for the comment on a pull request and the summary of a run on GitHub.

GitHub takes no comment above 65,536 characters, so the text is always below 60,000: a headline, a
table of what failed or changed, and as much of the rest as there is room for, folded.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Final

from ..results.environment import Environment
from ..verdict import Excess, Result
from .comparison_text import change_row
from .failure_text import amount, counted, exceeded_section, leaks_of, with_figure
from .overview import Overview, failed_otherwise, words_in_text
from .printable import printable
from .table_of_tests import HEADINGS, figure_cells

MOST_CHARACTERS: Final = 60_000
N_ROWS: Final = 30
"""How many rows the table of what failed or changed has."""
_N_FAILURES: Final = 10
"""Of how many tests over their limits the stacks are shown."""
_LONGEST_NAME: Final = 160
_LONGEST_LINE: Final = 300
_LONGEST_FAILURE: Final = 3_000
_COMMIT_DIGITS: Final = 10

# All but letters and digits of all languages, and signs that mean nothing inside of a line.
_ACTIVE: Final = re.compile(r"[^\w /.,=+()%-]|(?<![^\W_])_|_(?![^\W_])|(?<=www)\.")


def markdown_page(overview: Overview) -> str:
    """Return a run as GitHub Flavored Markdown."""
    page = [f"## Memory: {overview.headline}", "", escaped(_about(overview))]
    page += _failed_or_changed(overview)
    failures = [_failure(one) for one in overview.over[:_N_FAILURES]]
    for part in failures:
        page += part if _length(page + part) < MOST_CHARACTERS / 2 else []
    page += _all_tests(overview.tests, MOST_CHARACTERS - _length(page) - 1)
    return "\n".join(page) + "\n"


def escaped(text: str) -> str:
    r"""Return a text in which nothing is markup for Markdown, and which fits into a line.

    Example:
        >>> escaped("test_a.py::test_b[x|y]")
        'test_a.py&#58;&#58;test_b&#91;x&#124;y&#93;'
    """
    text = printable(_shortened(text, _LONGEST_NAME))
    return _ACTIVE.sub(lambda found: f"&#{ord(found[0])};", text)


def _code(text: str) -> str:
    # In code, GitHub looks for no names of people and for no numbers of issues.
    return f"<code>{escaped(text)}</code>"


def _shortened(text: str, most: int) -> str:
    """Return a text without its middle if it is too long."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def _length(lines: Sequence[str]) -> int:
    return sum(len(line) + 1 for line in lines)


def _about(overview: Overview) -> str:
    """Return a line about how the tests were measured, and what the run is compared with."""
    facts = list(_facts(overview.run.environment))
    if overview.baseline is not None:
        commit = overview.baseline.environment.commit[:_COMMIT_DIGITS]
        facts.append(f"compared with {commit or 'an earlier run'}")
        facts += [f"which differs in {one}" for one in overview.differences]
        facts.append(f"tolerance {overview.tolerance}")
    n_broken = sum(map(failed_otherwise, overview.tests))
    if n_broken:
        facts.append(f"{counted(n_broken, 'test')} failed for another reason")
    return ", ".join(facts)


def _facts(environment: Environment) -> Iterator[str]:
    for name, value in (
        (environment.implementation or "Python", environment.python),
        ("memray", environment.memray),
        ("commit", environment.commit[:_COMMIT_DIGITS]),
    ):
        if value:
            yield f"{name} {value}"
    if dict(environment.settings).get("memray_stable") == "true":
        yield "stable figures"


def _failed_or_changed(overview: Overview) -> list[str]:
    rows = [
        *(row for result in overview.over for row in _rows_over(result)),
        *((one.change, *change_row(one)) for one in overview.changes),
    ]
    if not rows:
        return []
    headings = ("", "test", "limit or earlier", "now", "difference")
    lines = ["", *_table_head(headings, right=(2, 3))]
    for what, test, *cells in rows[:N_ROWS]:
        lines.append(_table_row((what, _code(test), *map(escaped, cells))))
    more = len(rows) - N_ROWS
    return [*lines, "", f"and {more:,} more"] if more > 0 else lines


def _rows_over(result: Result) -> Iterator[tuple[str, ...]]:
    for excess in result.verdict.excesses:
        name = with_figure(result.name, excess.limit.figure)
        yield "**OVER**", name, *_excess_cells(excess)
    for leak in leaks_of(result.verdict):
        yield "**OVER**", result.name, "-", "-", leak


def _excess_cells(excess: Excess) -> tuple[str, str, str]:
    figure, maximum = excess.limit.figure, excess.limit.maximum
    percent = f" ({100 * excess.over / maximum:.1f}%)" if maximum else ""
    limit, now, over = (amount(figure, one) for one in (maximum, excess.measured, excess.over))
    return limit, now, f"{over}{percent} over"


def _table_head(headings: Sequence[str], *, right: Sequence[int]) -> tuple[str, str]:
    """Return the first lines of a table; some columns are aligned at the right."""
    rules = ("---:" if number in right else "---" for number in range(len(headings)))
    return _table_row(headings), _table_row([*rules])


def _table_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _failure(result: Result) -> list[str]:
    """Return the text of a failure, folded."""
    section = exceeded_section("Test", result.measurement, result.verdict)
    lines, length = [], 0
    for line in section.splitlines():
        shown = html.escape(_shortened(line.expandtabs(4), _LONGEST_LINE), quote=False)
        length += len(shown) + 1
        if length > _LONGEST_FAILURE:
            lines.append("...")
            break
        lines.append(shown)
    return _folded(_code(result.name), ["<pre>", *lines, "</pre>"])


def _folded(summary: str, lines: Sequence[str]) -> list[str]:
    return ["", f"<details><summary>{summary}</summary>", "", *lines, "", "</details>"]


def _all_tests(results: Sequence[Result], room: int) -> list[str]:
    """Return the table of all tests, folded, with as many rows as there is room for."""
    if not results:
        return []
    head = _table_head((*HEADINGS, "test", ""), right=range(len(HEADINGS)))
    of_all = f"All tests: {len(results):,}, the largest peaks first"
    room -= _length(_folded(of_all, [*head, "", _more(results)]))
    rows = []
    for result in results:
        cells = *figure_cells(result), _code(result.name), words_in_text(result)
        row = _table_row(cells)
        room -= len(row) + 1
        if room < 0:
            break
        rows.append(row)
    rest = results[len(rows) :]
    return _folded(of_all, [*head, *rows, *(["", _more(rest)] if rest else [])])


def _more(results: Sequence[Result]) -> str:
    return f"and {counted(len(results), 'test')} more"
