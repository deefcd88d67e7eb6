"""Running things in processes of their own: one process has one tracker, so tests share none."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import fork_server
import pytest
from hypothesis import HealthCheck, settings

# No test asserts a time: machines are shared, and have their slow moments.
settings.register_profile("membudget", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("membudget")

REPOSITORY = Path(__file__).parents[1]
OPTIONS = ["-W", "error"]


def is_of_a_ci_server(variable: str) -> bool:
    """Whether an environment variable tells programs that they run in CI, or of which commit."""
    return variable.startswith(("GITHUB_", "CI_")) or variable in ("CI", "BUILD_NUMBER")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Prepare the run of the tests."""
    from membudget.host.system import Real  # not imported by programs that import this file

    # With -n, the tests of a group run in one worker: they share what takes long to prepare. Not in
    # the configuration: that of pytest must work without pytest-xdist.
    if getattr(config.option, "dist", "") == "load":
        config.option.dist = "loadgroup"
    # Tests pass alike on a developer's machine and in CI. One about CI sets the variables.
    for variable in filter(is_of_a_ci_server, [*Real.environment]):
        del Real.environment[variable]


class RunPython(Protocol):
    """Runs Python in a process of its own."""

    def __call__(
        self, *arguments: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]: ...


def run_python_in(
    directory: Path,
    *arguments: str,
    environment: dict[str, str] | None = None,
    stdin: str = "",
    fresh: bool = False,
    begins_with_membudget: bool | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``python -W error arguments`` in ``directory`` and return what came of it.

    With ``fresh`` in a new interpreter, otherwise in a child of a fork server where it can:
    ``fork_server`` says how these differ. ``begins_with_membudget`` is whether the program imports
    membudget before it does anything else; by default, ``fork_server`` looks.

    A pytest that runs there loads few plugins, whatever is installed besides, and prints what it
    prints on a developer's machine: with these variables of CI servers, it prints more.
    """
    cleared = {
        name: value
        for name, value in os.environ.items()
        if not (
            name.startswith(("MEMBUDGET", "PYTEST", "PYTHON", "COV")) or is_of_a_ci_server(name)
        )
        or name == "MEMBUDGET_READER"  # CI runs the tests with either reader
        or name == "COVERAGE_PROCESS_CONFIG"  # "coverage run" counts these processes too
    }
    ours = environment or {}
    environment = {
        **cleared,
        "PYTHONIOENCODING": "utf-8",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "-p membudget -p xdist",
        **ours,
    }
    if not fresh and fork_server.can_run(arguments, ours):
        begins = begins_with_membudget
        if begins is None:
            begins = fork_server.begins_with_membudget(arguments, directory, environment)
        return the_fork_server(begins).run(arguments, directory, environment, stdin)
    return subprocess.run(
        [sys.executable, *OPTIONS, *arguments],
        cwd=directory,
        env=environment,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


@functools.cache
def the_fork_server(membudget: bool) -> fork_server.ForkServer:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return fork_server.ForkServer(OPTIONS, {**clean, "PYTHONIOENCODING": "utf-8"}, membudget)


@pytest.fixture
def run_python(tmp_path: Path) -> RunPython:
    """Run Python in an empty directory."""
    return functools.partial(run_python_in, tmp_path)


def in_subprocess(test: Callable[[], None], fresh: bool = False) -> Callable[[Path], None]:
    """Run a test function without arguments in a process of its own.

    The module is loaded from its file there; assertions show as plain tracebacks. With ``fresh``
    it is a new interpreter, which has imported nothing.
    """
    file = test.__code__.co_filename
    program = (
        "import importlib.util as util\n"
        f"spec = util.spec_from_file_location({test.__module__!r}, {file!r})\n"
        "module = util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        f"module.{test.__name__}.plain()"
    )

    def run(tmp_path: Path) -> None:
        path = os.pathsep.join(entry for entry in sys.path if entry.startswith(str(REPOSITORY)))
        environment = {"PYTHONPATH": path}
        done = run_python_in(
            tmp_path,
            "-c",
            program,
            environment=environment,
            fresh=fresh,
            begins_with_membudget=True,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        # What memray says of damaged captures, and of Debian's Python where a test has a tracker of
        # its own, is memray's.
        memrays = ("Memray ERROR:", "Memray WARNING: Correcting symbol")
        lines = [line for line in done.stderr.splitlines() if not line.startswith(memrays)]
        assert not lines, done.stderr

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    run.__module__ = test.__module__
    run.plain = test  # type: ignore[attr-defined]
    return run


in_fresh_interpreter = functools.partial(in_subprocess, fresh=True)
