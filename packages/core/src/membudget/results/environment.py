"""The environment in which tests were measured; figures are comparable only if it is the same."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from typing import Final, Literal

from ..availability import why_not_measured
from ..errors import InvalidOptionError
from ..host.origins import full_path
from ..host.system import Real, real_functions
from ..recording.own_allocators import is_visible, loaded
from ..recording.readers.scanner import scanner_problem
from ..settings import OPTIONS, Settings
from .git_files import commit_and_branch

# Read at import, before a test replaces these functions.
_PYTHON: Final = platform.python_version()
_IMPLEMENTATION: Final = platform.python_implementation()
_PLATFORM: Final = str(sys.platform)
_MACHINE: Final = platform.machine()


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and how the tests of a run were measured. Values that are empty or 0 are unknown.

    Attributes:
        python: the version, such as ``"3.13.1"``.
        implementation: such as ``"CPython"``.
        platform: ``sys.platform``, such as ``"linux"``.
        machine: such as ``"x86_64"``.
        memray, membudget: their versions.
        reader: the reader of the figures: the ``"scanner"`` in C, or the ``"replay"`` in Python.
        settings: the options of the run that have a value, by name, as text.
        made_visible: the loaded libraries with their own allocator that memray can see.
        root: the directory to which the paths of a run file are relative.
        commit, branch: the commit and the branch that were checked out.
        workers: how many other processes ran the tests.
        shard: which part of the tests ran, if they are divided among several runs.
        started_at: when the run began, in ISO 8601, with the time zone.
        duration_seconds: how long it took.
    """

    python: str = ""
    implementation: str = ""
    platform: str = ""
    machine: str = ""
    memray: str = ""
    membudget: str = ""
    reader: Literal["", "scanner", "replay"] = ""
    settings: tuple[tuple[str, str], ...] = ()
    made_visible: tuple[str, ...] = ()
    root: str = ""
    commit: str = ""
    branch: str = ""
    workers: int = 0
    shard: str = ""
    started_at: str = ""
    duration_seconds: float = 0.0

    @classmethod
    def of_this_python(cls) -> Environment:
        """Return only what is known of the interpreter and the machine, without looking it up."""
        return cls(_PYTHON, _IMPLEMENTATION, _PLATFORM, _MACHINE)

    @classmethod
    def here(
        cls,
        settings: Settings | None = None,
        *,
        root: str = "",
        workers: int = 0,
        shard: str = "",
        started: float | None = None,
        environment: Mapping[str, str] = Real.environment,
    ) -> Environment:
        """Return the environment of a run in this process that ends now.

        Args:
            settings: those of the run; None if they are unknown.
            root: the directory of the project, to which paths are relative. By default, the
                directory in which the process started.
            workers: how many other processes ran tests.
            shard: which part of the tests ran, such as ``"2/4"``. By default, the values of the
                variables ``CI_NODE_INDEX`` and ``CI_NODE_TOTAL``, as on GitLab.
            started: when the run began, in seconds since 1970. By default, when membudget was
                imported.
            environment: the environment variables, in which CI servers store the commit.

        Example:
            >>> Environment.here(shard="2/4").platform == sys.platform
            True
        """
        began = Real.started if started is None else started
        root = full_path(root).rstrip(os.sep)
        with real_functions():
            commit, branch = commit_and_branch(root, environment)
            return replace(
                cls.of_this_python(),
                memray=_version("memray"),
                membudget=_version("membudget"),
                reader=_reader(),
                settings=() if settings is None else tuple(_values(settings)),
                made_visible=tuple(one.module for one in loaded() if is_visible(one)),
                root=root,
                commit=commit,
                branch=branch,
                workers=workers,
                shard=shard or _shard(environment),
                started_at=datetime.fromtimestamp(began, UTC).isoformat(timespec="microseconds"),
                duration_seconds=max(0.0, round(Real.time() - began, 3)),
            )

    @property
    def started(self) -> float:
        """When the run began, in seconds since 1970; 0 if unknown."""
        try:
            return datetime.fromisoformat(self.started_at).timestamp()
        except ValueError:
            return 0.0


def _shard(environment: Mapping[str, str]) -> str:
    index, total = environment.get("CI_NODE_INDEX"), environment.get("CI_NODE_TOTAL")
    return f"{index}/{total}" if index and total else ""


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # memray, where it does not run
        return ""


def _reader() -> Literal["", "scanner", "replay"]:
    try:
        if why_not_measured() is not None:
            return ""
        return "scanner" if scanner_problem() is None else "replay"
    except InvalidOptionError:  # every block has reported it
        return ""


def _values(settings: Settings) -> list[tuple[str, str]]:
    values = ((option, getattr(settings, option.name)) for option in OPTIONS)
    return [
        (option.name, str(value).lower() if isinstance(value, bool) else option.text_of(value))
        for option, value in values
        if value not in (None, "")
    ]
