"""The report of a run: the same lines and the same files for every test framework."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, TextIO
from warnings import catch_warnings, simplefilter

from ..availability import why_not_measured
from ..errors import InvalidOptionError, NotReplacedWarning
from ..host.system import Real
from ..host.whole_files import append, write_whole
from ..recording.process_memory import most_memory
from ..report.left_behind_text import ended_processes_lines, left_behind_line
from ..report.printable import printable
from ..report.run_text import (
    Line,
    can_show_symbols,
    margin_lines,
    pattern_lines,
    summary_lines,
    what_figures_mean,
)
from ..report.run_text import report_lines as result_lines
from ..results.run_log import most_resident_bytes
from ..settings import Settings, option_named
from .notes import Unmeasured
from .run import Run

if TYPE_CHECKING:
    from ..results.run_file import RunFile

_REPORTS: Final[Mapping[str, str]] = {"memray_html": "html", "memray_markdown": "markdown"}
"""The options that name a file for a report of the run, and the forms of these reports."""


def not_measured_text() -> str:
    """Return a line that says why nothing was measured; empty if blocks are measured."""
    why = why_not_measured()
    return "" if why is None else f"Nothing was measured: {why}"


def report_lines(run: Run, stream: TextIO, *, width: int = 0, n_not_run: int = 0) -> Iterator[Line]:
    """Yield the lines of the report of a run, without its title.

    Args:
        run: the run, which has ended.
        stream: where the lines will be written; it may be unable to show all symbols.
        width: how many columns it has, to cut long paths to fit; 0 shows them in full.
        n_not_run: how many tests never began.
    """
    if not_measured_text():
        yield Line(not_measured_text())
        return
    settings, notes, results = run.settings, run.notes, run.results
    yield from result_lines(
        results,
        most_allocations=settings.most_allocations,
        symbols=can_show_symbols(stream),
        failed=notes.failed,
        waivers=notes.waivers,
        width=width,
    )
    if settings.memray_table:
        from ..report.table_of_tests import table_of_tests

        yield from table_of_tests(results, width=width)
        yield Line("")
    if settings.memray_margins:
        yield from margin_lines(results)
    yield from what_figures_mean(results, counts_objects=settings.trace_python_allocators)
    if run.baseline is not None:
        yield from run.baseline.lines()
    yield from _process_lines(run)
    for text in sorted(notes.not_enforced):
        yield Line(f"Not enforced: {text}")
    idle = settings.idle_notice(run.front_end)
    if idle:
        yield Line(idle)
    unmeasured = notes.reasons(measured=run)
    if n_not_run > 0:
        unmeasured[str(Unmeasured.NOT_RUN)] += n_not_run
    for text in summary_lines(
        len(results),
        settings.most_allocations,
        waivers=notes.waivers,
        unmeasured=unmeasured,
        captures=run.captures.pattern if run.captures is not None else "",
        evidence="" if run.evidence is None else run.evidence.pattern,
        n_evidence=0 if run.evidence is None else len(run.evidence.kept()),
        patterns=pattern_lines(results),
    ):
        yield Line(text)


def _process_lines(run: Run) -> Iterator[Line]:
    """Yield lines about processes that ended early, and about the tests that retained most."""
    entries = [] if run.log is None else run.log.entries()
    yield from ended_processes_lines(entries, own_pid=Real.getpid())
    memory = most_memory()
    sizes = [most_resident_bytes(entries) or 0, 0 if memory is None else memory.most_bytes]
    left = [(one.name, one.measurement.retained_bytes) for one in run.results]
    line = left_behind_line(left, max(sizes) or None)
    if line:
        yield Line(line)
    if run.log is not None and run.log.problem:
        yield Line(printable(f"The log ends early: {run.log.path}: {run.log.problem}"), "near")


def files_to_write(settings: Settings) -> list[str]:
    """Return the paths of the files with the results of a run that its settings ask for."""
    paths = [getattr(settings, name) for name in ("memray_json", *_REPORTS)]
    return [str(path) for path in paths if path is not None]


def write_files(run: Run) -> None:
    """Write the files of a run that has ended: the run file, reports and the baseline.

    Raises:
        InvalidOptionError: a file cannot be written, or a test lacks a required baseline.
    """
    settings = run.settings
    if files_to_write(settings):
        _write_results(settings, run.file())
    if run.baseline is not None:
        run.baseline.finish(map(run.notes.completed, run.results), run.notes.failed)


def _write_results(settings: Settings, file: RunFile) -> None:
    from ..results.writing import with_short_paths, write_run

    if settings.memray_json is not None:
        with _writing("memray_json", settings), catch_warnings():
            # As an error (python -W error), it would hide the failures of the run.
            simplefilter("always", NotReplacedWarning)
            write_run(str(settings.memray_json), file, ends_now=True)
    reports = {name: form for name, form in _REPORTS.items() if getattr(settings, name) is not None}
    if not reports:
        return
    from ..report.formats import FORMATS
    from ..report.overview import Overview

    overview = Overview(with_short_paths(file))
    for name, form in reports.items():
        with _writing(name, settings):
            write_whole(str(getattr(settings, name)), FORMATS[form](overview).encode())


@contextlib.contextmanager
def _writing(name: str, settings: Settings) -> Iterator[None]:
    """Name the option if its file cannot be written."""
    try:
        yield
    except OSError as error:
        path = str(getattr(settings, name))
        raise InvalidOptionError(
            f"{option_named(name).flag}: cannot write to {path!r}: {error}"
        ) from error


def github_lines(
    run: Run, *, errors: bool = True, environment: Mapping[str, str] = Real.environment
) -> Iterator[str]:
    """Write the summary of a run for GitHub Actions, and yield lines for its standard output.

    Does nothing elsewhere, in a worker, and if the settings turn it off.

    Args:
        run: the run, which has ended.
        errors: whether to yield errors for tests over their limits: another tool may do that.
        environment: the environment variables, in which GitHub says where the summary goes.
    """
    if environment.get("GITHUB_ACTIONS") != "true" or run.settings.memray_github == "off":
        return
    if run.is_worker or not run.results:
        return
    from ..report.github_annotations import github_annotations, github_warning
    from ..report.markdown_page import markdown_page
    from ..report.overview import Overview
    from ..results.writing import with_short_paths

    overview = Overview(with_short_paths(run.file()))
    summary = environment.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            append(summary, f"{markdown_page(overview)}\n".encode())
        except OSError as error:
            yield github_warning(f"The memory summary could not be written: {error}")
    yield from github_annotations(overview, errors=errors, environment=environment).splitlines()
