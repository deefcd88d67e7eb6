"""A project with measured tests, in which limits are changed."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from membudget.limit_words import LimitKind
from membudget.option_values import FixMode
from membudget.source.definitions import Definition, Framework, WrittenTest, written_test
from membudget.source.files import fingerprint
from membudget.source.fix import FixPlan, plan_fixes
from membudget.suggestions import LimitNow, Observed, suggest

MB = 1 << 20
_numbers = itertools.count()


@dataclass(frozen=True)
class Use:
    """What a test used: by default 9 MB, for which 12 MB is suggested."""

    used: int | Mapping[LimitKind, int] = 9 * MB
    limit: int | tuple[LimitNow, ...] = ()
    incomplete: str = ""
    stable: bool = False
    waived: bool = False
    framework: Framework = "pytest"

    def observed(self, test: str) -> Observed:
        used: Mapping[LimitKind, int]
        used = {"peak_bytes": self.used} if isinstance(self.used, int) else self.used
        limits = self.limit
        if isinstance(limits, int):
            limits = (LimitNow("peak_bytes", limits),)
        return Observed(test, used, limits, self.stable, self.incomplete)


@dataclass
class Project:
    """Files, the tests in them, and what their bytes were when they were imported."""

    root: Path
    is_imported: bool = True
    fingerprints: dict[str, str] = field(default_factory=dict)
    loaded: dict[str, object] = field(default_factory=dict)

    def write(self, name: str, source: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        self.fingerprints[str(path)] = fingerprint(str(path))
        return path

    def module(self, name: str) -> object:
        """Import a file, once."""
        if name not in self.loaded:
            unique = f"{Path(name).stem}_{next(_numbers)}"
            spec = importlib.util.spec_from_file_location(unique, self.root / name)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[unique] = module
            spec.loader.exec_module(module)
            self.loaded[name] = module
        return self.loaded[name]

    def written(self, name: str, test: str, use: Use) -> WrittenTest:
        """Return where a test of a file is written, as an adapter finds it.

        Or as its names alone say, in a project that is not imported.
        """
        if not self.is_imported:
            path = str(self.root / name)
            function = Definition(path, test.partition("[")[0])
            around = function.name.rpartition(".")[0]
            class_ = (Definition(path, around),) if around else ()
            return WrittenTest(function, None, class_, path, use.framework, use.waived)
        *classes, method = test.partition("[")[0].split(".")
        holder: object = self.module(name)
        for one in classes:
            holder = getattr(holder, one)
        return written_test(
            getattr(holder, method),
            method,
            module=str(self.root / name),
            cls=holder if isinstance(holder, type) else None,
            framework=use.framework,
            waived=use.waived,
        )

    def plan(
        self,
        name: str,
        uses: Mapping[str, Use],
        mode: FixMode = "all",
        *,
        unmeasured: Sequence[str] = (),
        all_files_ran: bool = True,
    ) -> FixPlan:
        """Plan changes for tests of a file."""
        return plan_fixes(
            suggest(use.observed(test) for test, use in uses.items()),
            {test: self.written(name, test, use) for test, use in uses.items()},
            mode=mode,
            root=str(self.root),
            fingerprints=self.fingerprints,
            unmeasured=[self.written(name, test, Use()) for test in unmeasured],
            all_files_ran=all_files_ran,
        )

    def fixed(
        self,
        name: str,
        uses: Mapping[str, Use],
        mode: FixMode = "all",
        *,
        unmeasured: Sequence[str] = (),
        all_files_ran: bool = True,
    ) -> str:
        """Return a file after the changes, or the reason why there are none."""
        plan = self.plan(name, uses, mode, unmeasured=unmeasured, all_files_ran=all_files_ran)
        if not plan.files:
            return "; ".join(dict.fromkeys(one.reason for one in plan.unchanged))
        (file,) = plan.files
        return file.new.decode()
