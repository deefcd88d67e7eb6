"""The report of a run: the same lines and the same file for every test framework."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from ..availability import why_not_measured
from ..errors import InvalidOptionError
from ..host.system import Real
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
from ..results.json_data import write_run_of_now
from ..results.run_log import most_resident_bytes
from ..settings import option_named
from .notes import Unmeasured
from .run import Run


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


def write_files(run: Run) -> None:
    """Write the run file and the baseline of a run that has ended, if its settings ask for them.

    Raises:
        InvalidOptionError: a file cannot be written, or a test lacks a required baseline.
    """
    path = run.settings.memray_json
    if path is not None:
        _write_run(str(path), run)
    if run.baseline is not None:
        run.baseline.finish(map(run.notes.completed, run.results), run.notes.failed)


def _write_run(path: str, run: Run) -> None:
    try:
        write_run_of_now(path, run.file())
    except OSError as error:
        flag = option_named("memray_json").flag
        raise InvalidOptionError(f"{flag}: cannot write to {str(path)!r}: {error}") from error
