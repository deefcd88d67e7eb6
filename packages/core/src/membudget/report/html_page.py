"""The HTML report: a page for a browser, in one file that needs no other.

The page is made of the files in ``html``: a template, its style and its script.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jinja2

from ..host.system import real_functions
from ..measurement import Measurement
from ..results.environment import Environment
from ..results.run_file import RunFile
from ..sizes import format_size
from ..source.files import read_whole
from .failure_text import counted
from .first_to_do import STATES, first_to_do
from .overview import Overview
from .page_data import PageData, count_by_state, parts_of
from .printable import printable

N_TESTS: Final = 4
"""How many tests are listed for each work that is to be done."""
_FILES: Final = Path(__file__).with_name("html")


def html_page(run: RunFile, baseline: RunFile | None = None) -> str:
    """Return the report of a run as a page.

    Args:
        run: the run.
        baseline: an earlier run, to show what changed.

    Example:
        >>> from membudget.testing import make_measurement, make_result
        >>> result = make_result("test_load", make_measurement(120_000), 102_400)
        >>> page = html_page(RunFile(Environment(), (result,)))
        >>> "1 of 1 test is over its memory limit" in page
        True
    """
    return page_of(Overview(run, baseline))


def page_of(overview: Overview) -> str:
    """Return an overview as a page; see :func:`html_page`."""
    run = overview.run
    data = PageData(overview)
    with real_functions():
        environment = jinja2.Environment(
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            loader=jinja2.FunctionLoader(lambda name: read_whole(str(_FILES / name)).decode()),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
        return environment.get_template("page.html").render(
            title=_title(run.environment),
            subtitle=list(_subtitle(run.environment)),
            headline=overview.headline,
            head_figures=list(_head_figures(overview)),
            states=_states(overview),
            works=first_to_do(overview, N_TESTS),
            numbers={one.name: number for number, one in enumerate(data.order)},
            differences=[printable(one) for one in overview.differences],
            facts=list(_facts(run.environment)),
            data=data.as_json(),
            printable=printable,
            parts_of=parts_of,
            counted=counted,
        )


def _title(environment: Environment) -> str:
    """Return the name of the project: that of its directory."""
    return printable(Path(environment.root).name)


def _subtitle(environment: Environment) -> Iterator[str]:
    """Yield what was measured, and when."""
    if environment.branch:
        yield printable(environment.branch)
    if environment.commit:
        yield printable(environment.commit[:10])
    if environment.shard:
        yield printable(f"shard {environment.shard}")
    if environment.started_at:
        yield printable(environment.started_at[:16].replace("T", " ")) + " UTC"
    if environment.python:
        yield printable(f"Python {environment.python}")


def _head_figures(overview: Overview) -> Iterator[tuple[str, str, str]]:
    """Yield the figures of the whole run: the value, what it is, and of which test."""
    tests = overview.tests
    yield f"{len(tests):,}", "test measured" if len(tests) == 1 else "tests measured", ""
    yield f"{len(overview.over):,}", "over a limit", ""
    for figure, words in (("peak_bytes", "largest peak"), ("retained_bytes", "left behind most")):
        most = max(tests, key=lambda one: _figure(one.measurement, figure), default=None)
        if most is not None and _figure(most.measurement, figure):
            yield format_size(_figure(most.measurement, figure)), words, most.name


def _figure(measurement: Measurement, figure: str) -> int:
    value: int = getattr(measurement, figure)
    return value


def _states(overview: Overview) -> list[dict[str, Any]]:
    """Return the states that occur, each with its part of all tests in percent and its start."""
    counts = count_by_state(overview.tests)
    states = []
    start = 0.0
    for state, name in STATES.items():
        if state in counts:
            part = 100 * counts[state] / len(overview.tests)
            states.append(
                {"state": state, "name": name, "n": counts[state], "start": start, "part": part}
            )
            start += part
    return states


def _facts(environment: Environment) -> Iterator[tuple[str, str]]:
    """Yield what is known of the conditions of a run: a name and a value each."""
    duration = f"{environment.duration_seconds:,.1f} s" if environment.duration_seconds else ""
    workers = f"{environment.workers:,}" if environment.workers else ""
    facts = {
        "Python": f"{environment.implementation} {environment.python}".strip(),
        "Machine": f"{environment.platform} {environment.machine}".strip(),
        "memray": environment.memray,
        "membudget": environment.membudget,
        "Reader": environment.reader,
        "Made visible": ", ".join(environment.made_visible),
        "Directory": environment.root,
        "Commit": environment.commit,
        "Branch": environment.branch,
        "Shard": environment.shard,
        "Workers": workers,
        "Began": environment.started_at,
        "Took": duration,
        **dict(environment.settings),
    }
    yield from ((printable(name), printable(value)) for name, value in facts.items() if value)
