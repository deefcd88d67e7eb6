"""The options of all front ends: declared once, as data.

A front end generates its command line and its configuration keys from :data:`OPTIONS`, and hands
what the user gave to :func:`resolve`. The order is: default, ``[tool.membudget]`` in
``pyproject.toml``, the front end's own configuration file, environment, command line; the later one
wins.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from .availability import ENFORCEMENT_VARIABLE
from .budget import Budget, Limit, Scope, parse_phases
from .errors import InvalidLimitError, InvalidOptionError, InvalidSizeError
from .host.origins import shown_path
from .option_values import on_or_off
from .recording.request import TraceSettings
from .report.failure_text import N_FRAMES
from .sizes import parse_size

LONGEST_PREFIX: Final = 100
"""How many bytes ``memray_bin_prefix`` may have, so that a file name has room for the test's."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        name: the name in Python and in configuration files; ``most_allocations`` is
            ``--most-allocations`` on a command line and ``MEMBUDGET_MOST_ALLOCATIONS`` in the
            environment.
        default: its value when nobody gives one; its type is the type of the option.
        help: one line for ``--help``.
        metavar: stands for the value in ``--help``.
        least: the smallest value of an option that is a number.
        choices: the values of an option that is one of a few words.
        check: takes the value of any other text and the source, and returns the value to keep.
        only_for: the front end that has it; empty for all.
        needs_measuring: whether it does nothing in a run that does not measure every test, and who
            sets it would expect that it does.
    """

    name: str
    default: bool | int | str
    help: str
    metavar: str = ""
    least: int = 0
    choices: tuple[str, ...] = ()
    check: Callable[[str, str], str] | None = None
    only_for: str = ""
    needs_measuring: bool = False

    @property
    def flag(self) -> str:
        """The name on a command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return f"{ENFORCEMENT_VARIABLE}_{self.name.upper()}"

    def parse(self, value: object, *, source: str) -> bool | int | str:
        """Return ``value``, as text or as itself, as a value of this option.

        Raises:
            InvalidOptionError: the value does not fit; the message names ``source``.
        """
        if isinstance(self.default, bool):
            return on_or_off(value, source)
        if isinstance(self.default, int):
            number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
            if isinstance(number, int) and not isinstance(number, bool) and number >= self.least:
                return number
            expected = f"a whole number, {self.least} or more"
        elif self.check is not None:
            is_bytes = isinstance(value, int) and not isinstance(value, bool)
            if isinstance(value, str) or (is_bytes and self.check is _check_size):
                return self.check(str(value), source)
            expected = "a size" if self.check is _check_size else "a text"
        elif self.choices:
            if value in self.choices:
                return str(value)
            expected = " or ".join(map(repr, self.choices))
        else:
            if isinstance(value, str) and value:
                return value
            expected = "a text"
        raise InvalidOptionError(f"{source}: {value!r} is not {expected}")


def _check_size(size: str, source: str) -> str:
    size = f"{size.strip()} B" if size.strip().isdecimal() else size  # bytes, as an int is in code
    try:
        parse_size(size, where=source)
    except InvalidSizeError as error:
        raise InvalidOptionError(str(error)) from error
    return size


def _check_phases(phases: str, source: str) -> str:
    try:
        return ",".join(parse_phases(phases, where=source))
    except InvalidLimitError as error:
        raise InvalidOptionError(str(error)) from error


def _check_output(path: str, source: str) -> str:
    """Say early when a file cannot be written; tests change the working directory."""
    directory = os.path.dirname(path) or os.curdir
    problem = None
    if not path:
        problem = "it is no file"
    elif not os.path.isdir(directory):
        problem = f"there is no directory {directory!r}"
    elif os.path.isdir(path):
        problem = "it is a directory"
    elif not os.access(path if os.path.exists(path) else directory, os.W_OK):
        problem = "permission denied"
    if problem is not None:
        raise InvalidOptionError(f"{source}: cannot write to {path!r}: {problem}")
    return os.path.abspath(path)


def _check_directory(path: str, source: str) -> str:
    """Say early when no directory can be there."""
    if not path or (os.path.lexists(path) and not os.path.isdir(path)):
        raise InvalidOptionError(f"{source}: {path!r} is not a directory")
    return path


def _check_prefix(prefix: str, source: str) -> str:
    if not prefix or len(os.fsencode(prefix)) > LONGEST_PREFIX or set(prefix) & {"/", "\0"}:
        raise InvalidOptionError(
            f"{source}: {prefix!r} cannot begin the name of a file: write 1 to {LONGEST_PREFIX} "
            f"bytes without a slash"
        )
    return prefix


OPTIONS: Final = (
    Option(
        "memray",
        default=False,
        help="Measure the memory of every test and enforce the limits of tests",
    ),
    Option(
        "most_allocations",
        default=5,
        help="Show the N tests with the largest peak memory (0 for all)",
        metavar="N",
    ),
    Option(
        "hide_memray_summary",
        default=False,
        help="Do not show the memory report at the end of the run",
    ),
    Option(
        "stacks",
        default=N_FRAMES,
        help="Show the N innermost frames of each stack trace of a failure",
        metavar="N",
        least=1,
    ),
    Option(
        "memray_default_limit",
        default="",
        help="The limit of every test that has none of its own, such as '24 MB'",
        metavar="SIZE",
        check=_check_size,
        needs_measuring=True,
    ),
    Option(
        "memray_enforce_markers",
        default="enabled",
        help="When markers count: 'enabled', with --memray only, or 'always', in every run",
        metavar="WHEN",
        choices=("enabled", "always"),
        only_for="pytest",
    ),
    Option(
        "memray_stable",
        default=False,
        help="Measure every test so that the same work gives the same figures (takes longer)",
        needs_measuring=True,
    ),
    Option(
        "memray_include",
        default="call",
        help="The phases of a test that count: 'setup', 'call' and 'teardown', with commas between",
        metavar="PHASES",
        check=_check_phases,
        needs_measuring=True,
    ),
    Option(
        "memray_margins",
        default=False,
        help="List used and allowed for every limit in the report, the tightest first",
        needs_measuring=True,
    ),
    Option(
        "memray_json",
        default="",
        help="Write all measurements and verdicts to this file, as JSON",
        metavar="PATH",
        check=_check_output,
        needs_measuring=True,
    ),
    Option(
        "memray_bin_path",
        default="",
        help="Keep a capture of every test in this directory, for 'memray flamegraph' and others",
        metavar="DIR",
        check=_check_directory,
        needs_measuring=True,
    ),
    Option(
        "memray_bin_prefix",
        default="",
        help="Begin the names of the kept captures with this (a random one for each run)",
        metavar="PREFIX",
        check=_check_prefix,
    ),
    Option(
        "memray_own_allocators",
        default="visible",
        help="Libraries with an allocator of their own: make them 'visible' to memray, or leave "
        "them 'untouched'",
        metavar="HOW",
        choices=("visible", "untouched"),
    ),
    Option(
        "memray_blind",
        default="warn",
        help="A limit that memray cannot check in full, because of memory that it does not see: "
        "'warn' or 'error'",
        metavar="HOW",
        choices=("warn", "error"),
    ),
    Option(
        "native",
        default=False,
        help="Record native stacks as well (changes no figure, costs time)",
    ),
    Option(
        "trace_python_allocators",
        default=False,
        help="Count every Python object, instead of the arenas that Python puts them in",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The value of every option."""

    memray: bool
    most_allocations: int
    hide_memray_summary: bool
    stacks: int
    memray_default_limit: str
    memray_enforce_markers: str
    memray_stable: bool
    memray_include: str
    memray_margins: bool
    memray_json: str
    memray_bin_path: str
    memray_bin_prefix: str
    memray_own_allocators: str
    memray_blind: str
    native: bool
    trace_python_allocators: bool
    default_limit_origin: str = ""
    """Where ``memray_default_limit`` is written."""

    @property
    def default_budget(self) -> Budget:
        """The budget of a test that has none of its own."""
        if not self.memray_default_limit:
            return Budget()
        maximum = parse_size(self.memray_default_limit)
        return Budget((Limit("peak_bytes", maximum, self.default_limit_origin),))

    @property
    def scope(self) -> Scope:
        """What counts of a test that says nothing about it."""
        include = parse_phases(self.memray_include, where="memray_include")
        return Scope(include=include, stable=self.memray_stable)

    @property
    def idle(self) -> list[str]:
        """The names of options that are set here, and do nothing where nothing is measured."""
        return [
            option.name
            for option in OPTIONS
            if option.needs_measuring and getattr(self, option.name) != option.default
        ]

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that say the same, for a child process."""
        values = ((option, getattr(self, option.name)) for option in OPTIONS)
        return {option.variable: str(value) for option, value in values if value != option.default}

    @property
    def trace(self) -> TraceSettings:
        """What the recording of a test has to trace."""
        return TraceSettings(self.native, self.trace_python_allocators)


def resolve(
    *,
    config: Mapping[str, object],
    command_line: Mapping[str, object],
    config_name: str,
    table: Mapping[str, object] = MappingProxyType({}),
    table_name: str = "",
) -> Settings:
    """Return the settings that follow from what the user gave.

    Args:
        config: values of a configuration file by option name; None where it has none.
        command_line: values of the command line by option name; None where it has none.
        config_name: what to call the configuration file in an error.
        table: values of ``[tool.membudget]``, which the others come after.
        table_name: what to call the file with that table in an error.

    Raises:
        InvalidOptionError: a value does not fit its option.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for option in OPTIONS:
        values[option.name] = option.default
        for source, origin, value in (
            (
                f"{table_name}: {option.name}",
                f"{shown_path(table_name)}, {option.name}",
                table.get(option.name),
            ),
            (
                f"{config_name}: {option.name}",
                f"{shown_path(config_name)}, {option.name}",
                config.get(option.name),
            ),
            (
                option.variable,
                f"the environment, {option.variable}",
                # CI files often set variables to nothing.
                os.environ.get(option.variable) or None,
            ),
            (
                option.flag,
                f"the command line, {option.flag}",
                command_line.get(option.name),
            ),
        ):
            if value is not None:
                values[option.name] = option.parse(value, source=source)
                origins[option.name] = origin
    if command_line.get("memray_bin_prefix") is not None and not values["memray_bin_path"]:
        raise InvalidOptionError("--memray-bin-prefix does nothing without --memray-bin-path")
    return Settings(**values, default_limit_origin=origins.get("memray_default_limit", ""))


def from_environment(name: str) -> bool | int | str:
    """Return the value of an option for code that has no other settings than the environment.

    Raises:
        InvalidOptionError: the value does not fit the option.
    """
    option = next(option for option in OPTIONS if option.name == name)
    value = os.environ.get(option.variable) or option.default
    return option.parse(value, source=option.variable)


_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


def find_settings(
    front_end: str,
    command_line: Mapping[str, object] = _NOTHING,
    *,
    directory: Path | None = None,
    own_file: Mapping[str, object] = _NOTHING,
    own_file_name: str = "",
) -> Settings:
    """Return the settings of a run: from files, the environment and the command line.

    The file for every front end is the nearest ``pyproject.toml`` that has a table
    ``[tool.membudget]``, with the names of the options. A front end may have a file of its own,
    which comes after it.

    Args:
        front_end: which options it has, see ``Option.only_for``.
        command_line: values of the command line by option name; None where it has none.
        directory: where to look for ``pyproject.toml`` first, and then above it; None for the
            working directory.
        own_file: values of the front end's own file by option name; None where it has none.
        own_file_name: what to call that file in an error.

    Raises:
        InvalidOptionError: a value does not fit its option, an option is unknown, or a file
            cannot be read.

    Example:
        >>> find_settings("unittest", {"most_allocations": "3"}).most_allocations
        3
    """
    path, table = _nearest_table(Path.cwd() if directory is None else directory)
    others = {option.name for option in OPTIONS if option.only_for not in ("", front_end)}
    shared = {name: value for name, value in table.items() if name not in others}
    return resolve(
        table=shared,
        table_name=f"{path}",
        config=own_file,
        config_name=own_file_name,
        command_line=command_line,
    )


def _nearest_table(directory: Path) -> tuple[Path | None, Mapping[str, object]]:
    """Return the nearest file that has a table, and the table."""
    for path in (folder / "pyproject.toml" for folder in (directory, *directory.parents)):
        table = _table(path)
        if table is not None:
            return path, table
    return None, _NOTHING


def _table(path: Path) -> Mapping[str, object] | None:
    try:
        content = path.read_bytes() if path.is_file() else b""
        # A file without the table is none of ours, even if it is broken.
        data = tomllib.loads(content.decode()) if b"membudget" in content else {}
    except (OSError, ValueError) as error:
        raise InvalidOptionError(f"{path} cannot be read: {error}") from error
    tools: Any = data.get("tool", {})
    table: Any = tools.get("membudget") if isinstance(tools, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        raise InvalidOptionError(f"{path}: membudget is not a table: write [tool.membudget]")
    known = [option.name for option in OPTIONS]
    for name in table:
        if name not in known:
            raise InvalidOptionError(
                f"{path}: [tool.membudget] has no option {name!r}; it has {', '.join(known)}"
            )
    return table
