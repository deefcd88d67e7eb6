"""What ``import membudget`` offers."""

from __future__ import annotations

import ast
import pickle
from importlib import import_module
from pathlib import Path
from types import ModuleType

import membudget.results
import membudget.runs
import pytest
import pytest_membudget
import unittest_membudget
from conftest import in_fresh_interpreter, run_python_in
from membudget import Budget, LeakLimit, Limit, MembudgetError, MemoryLimitExceeded, ObjectLimit
from membudget.testing import make_measurement
from membudget.verdict import judge


@pytest.mark.parametrize(
    "module",
    [membudget, membudget.results, membudget.runs, unittest_membudget, pytest_membudget],
)
def test_all_lists_what_is_public(module: object) -> None:
    """Nothing public is missing from ``__all__``, and nothing in it is missing."""
    listed = getattr(module, "__all__", [])
    assert len(listed) == len(set(listed))
    for name in listed:
        assert hasattr(module, name)


def test_every_error_has_one_base() -> None:
    """``except MembudgetError`` catches all of them."""
    names = [(membudget, name) for name in membudget.__all__]
    names += [(membudget.results, name) for name in membudget.results.__all__]
    for module, name in names:
        offered = getattr(module, name)
        if isinstance(offered, type) and issubclass(offered, Exception):
            assert issubclass(offered, (MembudgetError, Warning))


def test_an_exceeded_limit_travels_between_processes() -> None:
    """A worker of multiprocessing that exceeds its budget raises in its parent."""
    measurement = make_measurement(130)
    verdict = judge(measurement, Budget((Limit("peak_bytes", 100),)))
    error = pickle.loads(pickle.dumps(MemoryLimitExceeded("too much", measurement, verdict)))
    assert (str(error), error.measurement, error.verdict) == ("too much", measurement, verdict)
    assert isinstance(error, AssertionError)
    # Filters stay where they are: they are code.
    leaks, objects = LeakLimit(5, lambda _: True), ObjectLimit(lambda _: True)
    verdict = judge(measurement, Budget(leaks=leaks, objects=objects))
    error = pickle.loads(pickle.dumps(MemoryLimitExceeded("too much", measurement, verdict)))
    assert error.verdict.budget == Budget(leaks=LeakLimit(5), objects=ObjectLimit())


FACES = [membudget, membudget.results, membudget.runs, unittest_membudget]


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_late_names_are_those_that_type_checkers_see(face: ModuleType) -> None:
    tree = ast.parse(Path(str(face.__file__)).read_text())
    (choice,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        (f"{'.' * node.level}{node.module}", alias.name)
        for node in choice.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    (table,) = (node for node in ast.walk(choice) if isinstance(node, ast.Dict))
    names_of = ast.literal_eval(table)
    assert {(module, name) for module, names in names_of.items() for name in names.split()} == seen
    for module, name in seen:
        assert getattr(face, name) is getattr(import_module(module, face.__name__), name)
    assert set(face.__all__) == set(dir(face))


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_other_names_are_attribute_errors(face: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{face.__name__}' has no attribute 'other'"):
        face.other  # noqa: B018


def imported_by(directory: Path, code: str) -> set[str]:
    """Return the modules that are loaded after some code has run in a new interpreter."""
    done = run_python_in(directory, "-c", f"{code}\nimport sys; print(*sys.modules)", fresh=True)
    return set(done.stdout.split())


def test_code_with_budgets_imports_only_what_it_needs(tmp_path: Path) -> None:
    """Not what reads and writes run files and source files, or runs tests.

    A plugin that runs tests does not import what changes source files.
    """
    loaded = imported_by(tmp_path, "from membudget import limit_memory")
    rooms = {name.split(".")[1] for name in loaded if name.startswith("membudget.")}
    assert "block" in rooms
    assert not rooms & {"results", "source", "runs", "cli"}
    loaded = imported_by(tmp_path, "from membudget.runs import Run, report_lines")
    assert "membudget.block" in loaded
    assert "membudget.results.reading" not in loaded
    assert not loaded & {
        "membudget.source.fix",
        "membudget.source.places",
        "membudget.source.sources",
    }


def test_an_installed_adapter_costs_little_where_nothing_is_measured(tmp_path: Path) -> None:
    """pytest loads the plugin in every run: it imports neither the engine nor the reporter."""
    loaded = imported_by(tmp_path, "import pytest_membudget.plugin, unittest_membudget")
    assert "membudget.settings" in loaded
    assert not loaded & {"membudget.block", "membudget.recording.segment", "membudget.report"}


@in_fresh_interpreter
def test_names_are_imported_with_the_real_functions() -> None:
    """The first use may be in a test that has replaced what imports need."""
    import os
    import sys

    import membudget

    def fails(*_: object, **__: object) -> object:
        raise OSError("replaced")

    os.stat, os.open, os.listdir, os.getcwd = [fails] * 4  # type: ignore[assignment]
    assert "membudget.block" not in sys.modules
    with membudget.limit_memory("1 MB") as memory:
        data = bytes(1000)
    assert memory.peak_bytes >= len(data)
    assert os.stat is fails


@in_fresh_interpreter
def test_a_class_gets_its_budget_with_the_real_functions() -> None:
    """The adapter is imported when the first ``TestCase`` is decorated: in a test, perhaps."""
    import os
    import sys
    import unittest

    import membudget

    def fails(*_: object, **__: object) -> object:
        raise OSError("replaced")

    with membudget.measure_memory():
        os.stat, os.open, os.listdir, os.getcwd = [fails] * 4  # type: ignore[assignment]
        assert "unittest_membudget.measuring" not in sys.modules

        @membudget.limit_memory("100 KB")
        class Test(unittest.TestCase):
            def test_it(self) -> None:
                bytearray(200_000)

        result = unittest.TestResult()
        Test("test_it").run(result)
    assert "limited to 100.0KiB but allocated" in result.failures[0][1]


def test_a_block_imports_no_adapter(tmp_path: Path) -> None:
    """Only the hooks of the one for unittest, and not unittest itself."""
    block = "import membudget\nwith membudget.limit_memory('1 MB'): pass"
    loaded = imported_by(tmp_path, block)
    assert "unittest_membudget.hooks" in loaded
    assert not loaded & {"unittest_membudget.measuring", "unittest", "membudget.runs.run"}


@in_fresh_interpreter
def test_importing_is_cheap() -> None:
    """A suite that never measures does not import memray."""
    import importlib
    import sys

    import membudget

    adapters = (
        "pytest_membudget.plugin",
        "pytest_membudget.measuring",
        "unittest_membudget.runner",
    )
    for adapter in adapters:
        importlib.import_module(adapter)
    membudget.limit_memory("1 MB")(print)
    assert not {name for name in sys.modules if name.partition(".")[0] in ("memray", "rich")}
