"""A run of many blocks, such as a run of tests, for all adapters."""

from __future__ import annotations

import contextlib
import functools
import heapq
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ..availability import measuring_is_on, why_not_measured
from ..block import KeepsEvidence
from ..budget import Budget, Limit, Phase
from ..host.raised import suppressed
from ..host.system import Real
from ..measurement import Allocation, Curve, Measurement
from ..recording.access import get_recorder
from ..recording.marks import AtWork
from ..recording.request import LateStacks
from ..results.environment import Environment
from ..results.run_log import RunLog
from ..rules import TestRules
from ..settings import FrontEnd, Settings, option_named
from ..verdict import Result, Verdict
from .evidence import Evidence
from .kept_captures import KeptCaptures
from .notes import Notes

if TYPE_CHECKING:
    # Imported by the functions below, for runs that use them.
    from ..results.run_file import RunFile
    from ..source.sources import Sources
    from .baseline import RunBaseline


@dataclass(frozen=True, slots=True)
class Worker:
    """The values that a worker process gets from the reporting process.

    Attributes:
        name: the name of the worker in messages; may be empty.
        capture_prefix: the start of the names of kept captures; empty for that of the settings.
        log: the file to which all processes of the run write; empty for that of the settings.
    """

    name: str = ""
    capture_prefix: str = ""
    log: str = ""


class Run:
    """Keeps the recording running between the blocks of a run, and collects their results.

    Reading the allocations at the peak takes time, and a report shows only some of the results: so
    the allocations are read only for the results with the largest peaks.

    Args:
        settings: what is measured, shown and kept.
        front_end: the front end to which the settings belong.
        worker: the values from the reporting process; None if this process reports itself.
        root: the directory of the project; the paths in a run file are relative to it.

    Raises:
        InvalidOptionError: captures are to be kept, but cannot be written.

    Attributes:
        settings, front_end: as given.
        captures: where the captures of its blocks are kept; None to keep none.
        evidence: where captures of tests over a limit are kept; None to keep none.
        log: the log of tests that start and end; None for no log.
        baseline: the baseline; None for no baseline.
        notes: notes about its tests, in addition to their results.
        n_workers: how many other processes run its tests.
        find_sources: returns where its tests are written, for the run file; None if unknown.

    Example:
        >>> from membudget.runs import Block, Budget, Settings
        >>> run = Run(Settings(most_allocations=5), "unittest")
        >>> run.begin()
        >>> def keep(*measured):
        ...     run.add("load", *measured)
        >>> with Block(Budget(), always_allocations=True, on_measured=keep):
        ...     data = bytearray(100_000)
        >>> [result.name for result in run.end()]
        ['load']
    """

    def __init__(
        self,
        settings: Settings,
        front_end: FrontEnd,
        *,
        worker: Worker | None = None,
        root: str = "",
    ) -> None:
        self.settings: Final = settings
        self.front_end: Final = front_end
        self.captures: Final = _captures(settings, front_end, worker or Worker())
        self.evidence: Final = _evidence(settings, front_end, worker or Worker())
        self.log: RunLog | None = _log(settings, front_end, worker or Worker())
        self.root: Final = root
        self.n_workers = 0
        self.find_sources: Callable[[], Sources | None] | None = None
        self._worker = worker
        self._started = Real.time()
        self._attempts: Counter[str] = Counter()
        self.notes: Final = Notes()
        self.baseline: Final = _baseline(settings, front_end, root)
        # A baseline keeps stacks of every test.
        writes_baseline = self.baseline is not None and bool(settings.memray_update_baseline)
        self._most = 0 if writes_baseline else settings.most_allocations
        self._results: dict[str, Result] = {}
        self._late: dict[str, LateStacks] = {}
        self._recording = False

    def begin(self) -> None:
        """Begin the run: from now on, the recording continues between blocks."""
        if self.log is not None and self._worker is None:
            self.log.begin()
        if self.evidence is not None and self._worker is None:
            self.evidence.clear()
        if measuring_is_on():
            get_recorder().begin_run()
            self._recording = True

    def add(
        self,
        name: str,
        measurement: Measurement,
        verdict: Verdict,
        late: LateStacks | None,
        phases: Mapping[Phase, Measurement] = MappingProxyType({}),
        *,
        is_warm: bool = False,
    ) -> Result:
        """Store the measurement of a block under a name, and return it as a result.

        Args:
            name: the name under which a report shows it.
            measurement, verdict, late: the arguments of the block's ``on_measured``.
            phases: the measurement of each phase, see :class:`PhasedBlock`.
            is_warm: whether the test ran before, to fill caches.
        """
        self._attempts[name] += 1
        result = Result(
            name,
            measurement,
            verdict,
            tuple(phases.items()),
            worker="" if self._worker is None else self._worker.name,
            attempt=self._attempts[name],
            is_warm=is_warm,
        )
        self.add_result(result)
        if late is not None:
            self._late[name] = late
            # Keep more than will be shown: a test that runs again replaces its result.
            if self._most and len(self._late) > 2 * self._most:
                self._forget_smaller()
        return result

    def _forget_smaller(self) -> None:
        """Drop unread stacks, except for the results with the largest peaks."""
        results = self._results
        largest = heapq.nlargest(
            self._most or len(self._late),
            self._late,
            key=lambda name: results[name].measurement.peak_bytes,
        )
        for name in self._late.keys() - set(largest):
            self._late.pop(name).wanted = False

    def budget_of(self, name: str, rules: TestRules) -> Budget:
        """Return the budget that applies to a test in this run.

        Raises:
            InvalidLimitError: the default limit would also apply, but counts other memory.
        """
        return rules.budget_with(self.settings, self.baseline_limit(name))

    def baseline_limit(self, name: str) -> Limit | None:
        """Return the limit from the baseline for a test; None if there is none."""
        return None if self.baseline is None else self.baseline.limit_for(name)

    def path_of(self, name: str) -> str:
        """Return where to keep the capture of a block of that name; empty to keep none."""
        return "" if self.captures is None else self.captures.path_of(name)

    def evidence_of(self, name: str) -> KeepsEvidence | None:
        """Return what keeps the evidence of a block of that name; None to keep none."""
        return None if self.evidence is None else functools.partial(self.evidence.keep, name)

    @property
    def is_worker(self) -> bool:
        """Whether another process reports the run."""
        return self._worker is not None

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that make another process part of this run."""
        variables = self.settings.environment
        if self.captures is not None:
            # A test may change the working directory before another one uses the path.
            variables[option_named("memray_bin_path").variable] = self.captures.directory
            variables[option_named("memray_bin_prefix").variable] = self.captures.prefix
        if self.evidence is not None:
            variables[option_named("memray_evidence").variable] = self.evidence.directory
        if self.baseline is not None:
            variables[option_named("memray_baseline").variable] = self.baseline.directory
        if self.log is not None:
            variables[option_named("memray_log").variable] = self.log.path
        return variables

    def add_result(self, result: Result) -> None:
        """Store a result of another process; it replaces an earlier one of the same name."""
        self._results[result.name] = result
        late = self._late.pop(result.name, None)
        if late is not None:
            late.wanted = False

    def add_allocations(
        self,
        name: str,
        allocations: tuple[Allocation, ...],
        problem: str = "",
        lost_stacks: bool = False,
        curve: Curve | None = None,
    ) -> None:
        """Add its allocations at the peak to a result, if the run has that result.

        Args:
            name: the name of the result.
            allocations: the allocations that were alive at the peak.
            problem: why they could not be read.
            lost_stacks: whether memray has lost the stacks of some of them.
            curve: how much was alive over time.
        """
        result = self._results.get(name)
        if result is not None:
            measurement = replace(
                result.measurement,
                allocations=allocations,
                stacks_problem=problem or result.measurement.stacks_problem,
                lost_stacks=lost_stacks or result.measurement.lost_stacks,
                curve=curve or result.measurement.curve,
            )
            self._results[name] = replace(result, measurement=measurement)

    def starts(self, name: str) -> None:
        """Write to the log that a test starts."""
        if self.log is not None:
            with self.left_out():
                self.log.start(name)

    def ended(self, name: str, measurement: Measurement | None = None) -> None:
        """Write to the log that a test has ended.

        Args:
            name: the name of the test.
            measurement: that of the test; None for that of its result, if there is one.
        """
        if self.log is not None:
            with self.left_out():
                if measurement is None and name in self._results:
                    measurement = self._results[name].measurement
                self.log.end(name, measurement)

    @contextlib.contextmanager
    def log_of_workers(self) -> Iterator[str]:
        """Yield the file to which the workers of this run log; a temporary one if it has none.

        A worker that dies sends nothing any more, but its log stays.
        """
        with contextlib.ExitStack() as stack:
            if self.log is None:
                directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="membudget-"))
                self.log = RunLog(os.path.join(directory, "log.jsonl"))
            yield self.log.path
            self.log.close()

    def left_out(self) -> contextlib.AbstractContextManager[None]:
        """While this lasts, count nothing of this thread in any block.

        It is for the work of a test framework, such as reporting a subtest during its test. A block
        that opens meanwhile still counts, and so do the blocks around it.
        """
        return AtWork() if self._recording else contextlib.nullcontext()

    def stop_recording(self) -> None:
        """Stop the recording until the next block, for code that uses memray itself."""
        if self._recording:
            get_recorder().settle()

    def __contains__(self, name: object) -> bool:
        """Whether there is a result of that name."""
        return name in self._results

    def result_of(self, name: str) -> Result | None:
        """Return the result of that name so far; None if there is none."""
        return self._results.get(name)

    @property
    def results(self) -> list[Result]:
        """The results so far, in the order in which they came."""
        return list(self._results.values())

    def file(self) -> RunFile:
        """Return the results and the environment of the run so far."""
        from ..results.run_file import RunFile
        from ..source.limit_origins import with_origins

        settings = self.settings
        if self.captures is not None:
            # The prefix is random by default: with the one in use, the file names its captures.
            settings = replace(
                settings,
                memray_bin_path=Path(self.captures.directory),
                memray_bin_prefix=self.captures.prefix,
            )
        environment = Environment.here(
            settings, root=self.root, workers=self.n_workers, started=self._started
        )
        results = list(map(self._without_removed_capture, self.results))
        sources = None if self.find_sources is None else self.find_sources()
        if sources is not None:
            results = list(with_origins(results, sources, self.root))
        return RunFile(environment, tuple(map(self.notes.completed, results)), sources)

    def _without_removed_capture(self, result: Result) -> Result:
        """Return a result without its capture if other tests were further over their limit."""
        capture = result.verdict.capture
        if not capture or _is_there(capture):
            return result
        return replace(result, verdict=replace(result.verdict, capture=""))

    def end(self) -> list[Result]:
        """End the run, and return the results in the order in which they came.

        The results with the largest peaks have their allocations.
        """
        if self._recording:
            self._recording = False
            self._forget_smaller()
            recorder = get_recorder()
            recorder.end_run()
            for name, late in self._late.items():
                allocations = recorder.read_late(late)
                self.add_allocations(name, allocations, late.problem, late.lost_stacks, late.curve)
        return self.results


def _is_there(path: str) -> bool:
    with suppressed(OSError):
        Real.stat(path)
        return True
    return False


def _in_effect(settings: Settings, front_end: FrontEnd, name: str) -> Any:
    """Return the value of an option; None where it does nothing, or nothing is measured."""
    is_idle = settings.missing_for(option_named(name), front_end) is not None
    return None if is_idle or why_not_measured() is not None else getattr(settings, name)


def _captures(settings: Settings, front_end: FrontEnd, worker: Worker) -> KeptCaptures | None:
    path = _in_effect(settings, front_end, "memray_bin_path")
    if path is None:
        return None
    return KeptCaptures(path, worker.capture_prefix or settings.memray_bin_prefix)


def _evidence(settings: Settings, front_end: FrontEnd, worker: Worker) -> Evidence | None:
    path = _in_effect(settings, front_end, "memray_evidence")
    return None if path is None else Evidence(settings, worker.name)


def _baseline(settings: Settings, front_end: FrontEnd, root: str) -> RunBaseline | None:
    if _in_effect(settings, front_end, "memray_baseline") is None:
        return None
    from .baseline import RunBaseline

    return RunBaseline(settings, root)


def _log(settings: Settings, front_end: FrontEnd, worker: Worker) -> RunLog | None:
    path = worker.log or _in_effect(settings, front_end, "memray_log")
    return None if path is None else RunLog(str(path), worker.name)
