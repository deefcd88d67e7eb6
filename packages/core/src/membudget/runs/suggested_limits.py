"""The limits that a run suggests for its tests, and writes into their source if requested."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final

from ..errors import MembudgetError, RunFileError
from ..host.system import Real
from ..plain_data import coder_of
from ..report.run_text import Line
from ..results.run_file import RunFile
from ..settings import Settings
from ..source.definitions import WrittenTest
from ..source.files import fingerprint, is_of_the_project
from ..source.sources import ImportedFile, Sources, combined
from ..suggestions import Observed, Suggestion, observed_in, suggest
from ..verdict import Result

if TYPE_CHECKING:  # imported at run time only if limits are suggested
    from ..source.fix import FixPlan
    from ..source.writing import Written

_FORMAT: Final = 2
_SOURCES: Final = coder_of(Sources)


class SuggestedLimits:
    """Suggests limits for the tests of a run, and writes them.

    Call :meth:`found` for every collected test, including those that will not run: a limit that
    such a test shares is not lowered. Call :meth:`finish` with the results at the end.

    Args:
        settings: whether to suggest, and what to write.
        root: only source files below this directory may change.
        environment: the environment variables; they show whether this is CI.
    """

    def __init__(
        self,
        settings: Settings,
        root: str,
        *,
        environment: Mapping[str, str] = Real.environment,
    ) -> None:
        self._settings = settings
        self._root: str = Real.realpath(root)
        self._environment = environment
        self._tests: dict[str, WrittenTest] = {}
        self._fingerprints: dict[str, str] = {}
        self._ended: dict[str, str] = {}
        self._left_out: dict[str, str] = {}
        self._all_files_ran = True
        self._ended_early = False
        self._of_workers: list[Sources] = []
        self._reasons: list[str] = []
        self._suggestions: list[Suggestion] | None = None
        self._plan: FixPlan | None = None
        self._written: Written | None = None
        self._refusal = ""

    def imports(self, path: str) -> None:
        """Store the fingerprint of a source file that is about to be imported, or has just been."""
        if path not in self._fingerprints:
            try:
                self._fingerprints[path] = fingerprint(path)
            except OSError:  # a file that does not exist is not written later
                return

    def see_loaded_modules(self) -> None:
        """Store the fingerprints of the files of all modules of the project."""
        for module in list(sys.modules.values()):
            # Do not use getattr: it would import modules that load lazily.
            path = getattr(module, "__dict__", {}).get("__file__")
            if not (isinstance(path, str) and path.endswith(".py")):
                continue
            if is_of_the_project(Real.realpath(path), self._root):
                self.imports(path)

    def found(self, name: str, test: WrittenTest) -> None:
        """Store where a test is written, whether it will run or not."""
        self._tests[name] = test

    def ran_some_files_only(self) -> None:
        """Store that there may be tests in files that were not collected."""
        self._all_files_ran = False

    def ends_early(self) -> None:
        """Store that the run ends before its last test; then nothing is written."""
        self._ended_early = True

    def ended(self, name: str, *, incomplete: str = "") -> None:
        """Store how a test ended; if it runs again, the last run counts.

        Args:
            name: the name of the test.
            incomplete: why it may need more than it used; empty if its figures are complete.
        """
        self._left_out.pop(name, None)
        self._ended[name] = incomplete

    def leave_out(self, name: str, reason: str) -> None:
        """Suggest nothing for a measured test, for a reason such as ``"skipped"``."""
        self._ended.pop(name, None)
        self._left_out[name] = reason

    @property
    def sources(self) -> Sources:
        """What is known so far, for a run file."""
        here = Sources(
            tuple(self._tests.items()),
            tuple(ImportedFile(*each) for each in self._fingerprints.items()),
            self._all_files_ran,
            tuple(self._ended.items()),
            tuple(self._left_out.items()),
            self._ended_early,
        )
        return combined([here, *self._of_workers])

    def to_json(self) -> str:
        """Return the data about the tests as JSON, for another process; see :meth:`add_json`.

        How they ended is not in it: the other process gets their reports.
        """
        sources = replace(self.sources, ended=(), left_out=(), ended_early=False)
        return dumps({"format": _FORMAT, "sources": _SOURCES.to_data(sources)})

    def add_json(self, text: str) -> None:
        """Add the data of another process.

        Raises:
            MembudgetError: the other process has another version of membudget.
        """
        data: dict[str, Any] = loads(text)
        if data.get("format") != _FORMAT:
            raise MembudgetError(
                "a worker process has another version of membudget: use the same version in all "
                "processes"
            )
        self._of_workers.append(_SOURCES.from_data(data["sources"], "sources"))

    def finish(self, results: Iterable[Result]) -> None:
        """Compute the suggestions, and write them if the settings ask for it.

        Args:
            results: those of all measured tests.
        """
        sources = self.sources
        self._finish(sources, self._observed(results, sources))

    def finish_runs(self, runs: Iterable[RunFile], *, writes: bool) -> None:
        """Like :meth:`finish`, for run files.

        Args:
            runs: the runs, oldest first.
            writes: whether to write; otherwise the changes are only shown.

        Raises:
            RunFileError: a run file does not say where its tests are written.
        """
        sources: list[Sources] = []
        observed: list[Observed] = []
        for run in runs:
            if run.sources is None:
                raise RunFileError(
                    "a run does not say where its tests are written: it is of an earlier version "
                    "of membudget, or its tests ran in processes of unittest. Measure again"
                )
            sources.append(run.sources)
            observed += self._observed(run.results, run.sources)
        self._finish(combined(sources), observed, writes=writes)

    def _observed(self, results: Iterable[Result], sources: Sources) -> list[Observed]:
        left_out, ended = dict(sources.left_out), dict(sources.ended)
        observed: list[Observed] = []
        for result in results:
            if result.name in left_out:
                self._reasons.append(left_out[result.name])
            else:
                observed.append(observed_in(result, ended.get(result.name, "")))
        return observed

    def _finish(self, sources: Sources, observed: list[Observed], *, writes: bool = True) -> None:
        self._suggestions = suggest(observed)
        mode = self._settings.memray_fix
        if mode is None:
            return
        from ..source.fix import plan_fixes
        from ..source.writing import Written, write_fixes

        self._written = Written((), ())
        measured = {one.test for one in observed}
        self._plan = plan_fixes(
            self._suggestions,
            dict(sources.tests),
            mode=mode,
            root=self._root,
            fingerprints=sources.fingerprints,
            unmeasured=[
                test for name, test in sources.tests if name not in measured and not test.waived
            ],
            all_files_ran=sources.all_files_ran,
        )
        if sources.ended_early:
            self._refusal = "the run ended early"
        elif not writes:
            self._refusal = "this only shows the changes (--dry-run)"
        else:
            self._written = write_fixes(
                self._plan,
                even_in_ci=self._settings.memray_fix_in_ci,
                environment=self._environment,
            )

    def lines(self) -> Iterator[Line]:
        """Yield the lines of a report; none before :meth:`finish`."""
        if self._suggestions is None:
            return
        from ..report.suggestions_text import diff_lines, fix_lines, table_lines

        if self._settings.memray_suggest:
            yield from table_lines(self._suggestions)
        if self._plan is not None:
            yield from diff_lines(self._plan)
            assert self._written is not None
            yield from fix_lines(self._plan, self._written)
        if self._refusal and self._plan is not None and self._plan.changes:
            yield Line(f"Nothing was written: {self._refusal}", "near")
        yield from self._notes()

    def _notes(self) -> Iterator[Line]:
        if self._reasons:
            reasons = ", ".join(sorted(set(self._reasons)))
            n_tests = len(self._reasons)
            tests = "1 test" if n_tests == 1 else f"{n_tests} tests"
            yield Line(f"No limit is suggested for {tests}: {reasons}")
        origin = self._settings.origins.get("memray_stable")
        if self._settings.memray_stable and origin is not None and origin.key == "--memray-stable":
            yield Line(
                "These limits are for stable figures: set memray_stable = true in the "
                "configuration, so that every run measures like this one"
            )
