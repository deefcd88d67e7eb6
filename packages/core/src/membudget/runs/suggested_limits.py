"""The limits that a run suggests for its tests, and writes into their source if requested."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple
from json import dumps, loads
from typing import Any, Final

from ..errors import MembudgetError
from ..host.system import Real
from ..report.run_text import Line
from ..report.suggestions_text import diff_lines, fix_lines, table_lines
from ..results.suggest import Suggestion, observed_in, suggest
from ..settings import Settings
from ..source.definitions import Definition, WrittenTest
from ..source.files import fingerprint, is_of_the_project
from ..source.fix import FixPlan, plan_fixes
from ..source.writing import Written, write_fixes
from ..verdict import Result

_FORMAT: Final = 1
_CHANGED: Final = "changed"  # no fingerprint is that


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
        self._incomplete: dict[str, str] = {}
        self._left_out: dict[str, str] = {}
        self._reasons: list[str] = []
        self._all_files_ran = True
        self._suggestions: list[Suggestion] | None = None
        self._plan: FixPlan | None = None
        self._written = Written((), ())
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

    def ended(self, name: str, *, incomplete: str = "") -> None:
        """Store how a test ended; if it runs again, the last run counts.

        Args:
            name: the name of the test.
            incomplete: why it may need more than it used; empty if its figures are complete.
        """
        self._left_out.pop(name, None)
        self._incomplete[name] = incomplete

    def leave_out(self, name: str, reason: str) -> None:
        """Suggest nothing for a measured test, for a reason such as ``"skipped"``."""
        self._left_out[name] = reason

    def to_json(self) -> str:
        """Return the data about the tests as JSON, for another process; see :meth:`add_json`."""
        numbers: dict[Definition, int] = {}

        def number(one: Definition) -> int:
            return numbers.setdefault(one, len(numbers))

        tests = [
            [
                name,
                number(test.function),
                None if test.implementation is None else number(test.implementation),
                [number(cls) for cls in test.classes],
                test.module,
                test.framework,
                test.waived,
            ]
            for name, test in self._tests.items()
        ]
        return dumps(
            {
                "format": _FORMAT,
                "tests": tests,
                "definitions": [astuple(one) for one in numbers],
                "files": self._fingerprints,
                "all_files_ran": self._all_files_ran,
            }
        )

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
        definitions = [Definition(*one) for one in data["definitions"]]
        for name, function, implementation, classes, module, framework, waived in data["tests"]:
            self._tests[name] = WrittenTest(
                definitions[function],
                None if implementation is None else definitions[implementation],
                tuple(definitions[cls] for cls in classes),
                module,
                framework,
                waived,
            )
        for path, found in data["files"].items():
            # If processes imported different versions of a file, it must not be written.
            same = self._fingerprints.setdefault(path, found) == found
            self._fingerprints[path] = found if same else _CHANGED
        self._all_files_ran &= data["all_files_ran"]

    def finish(self, results: Iterable[Result], *, refusal: str = "") -> None:
        """Compute the suggestions, and write them if the settings ask for it.

        Args:
            results: those of all measured tests.
            refusal: why nothing may be written; empty to write.
        """
        whole: list[Result] = []
        for result in results:
            if result.name in self._left_out:
                self._reasons.append(self._left_out[result.name])
            else:
                whole.append(result)
        self._suggestions = suggest(
            observed_in(one, self._incomplete.get(one.name, "")) for one in whole
        )
        mode = self._settings.memray_fix
        if mode is None:
            return
        measured = {one.name for one in whole}
        self._plan = plan_fixes(
            self._suggestions,
            self._tests,
            mode=mode,
            root=self._root,
            fingerprints=self._fingerprints,
            unmeasured=[
                test
                for name, test in self._tests.items()
                if name not in measured and not test.waived
            ],
            all_files_ran=self._all_files_ran,
        )
        self._refusal = refusal
        if not refusal:
            self._written = write_fixes(
                self._plan,
                even_in_ci=self._settings.memray_fix_in_ci,
                environment=self._environment,
            )

    def lines(self) -> Iterator[Line]:
        """Yield the lines of a report; none before :meth:`finish`."""
        if self._suggestions is None:
            return
        if self._settings.memray_suggest:
            yield from table_lines(self._suggestions)
        if self._plan is not None:
            yield from diff_lines(self._plan)
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
