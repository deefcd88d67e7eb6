"""Where settings come from: files, the environment and the command line.

The order is: default, ``[tool.membudget]`` in ``pyproject.toml``, the front end's own configuration
file, environment, command line; the later one wins.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from .errors import InvalidOptionError
from .host.origins import shown_path
from .settings import (
    COMMAND_LINE,
    ENVIRONMENT,
    OPTIONS,
    FrontEnd,
    Option,
    Origin,
    Settings,
    option_named,
    options_of,
)

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Source:
    """Where values are written.

    Attributes:
        values: by the name of the option; None for options that are not set.
        place: its name in messages.
        key: returns the name of an option there.
        file: error messages start with it; empty if the key is enough.
    """

    values: Mapping[str, object]
    place: str
    key: Callable[[Option], str]
    file: str = ""

    def parse(self, option: Option, value: object) -> Any:
        key = self.key(option)
        return option.parse(value, source=f"{self.file}: {key}" if self.file else key)


def _file(values: Mapping[str, object], name: str) -> _Source:
    return _Source(values, shown_path(name), attrgetter("name"), name)


def _environment() -> Mapping[str, object]:
    # CI files often set variables to nothing.
    return {option.name: os.environ.get(option.variable) or None for option in OPTIONS}


def resolve(
    *,
    config: Mapping[str, object],
    command_line: Mapping[str, object],
    config_name: str,
    table: Mapping[str, object] = _NOTHING,
    table_name: str = "",
    front_end: FrontEnd = "pytest",
) -> Settings:
    """Return the settings from all sources.

    Args:
        config: values of a configuration file by option name; None for options that are not set.
        command_line: values of the command line by option name; None for options that are not
            given. Names that are not options are ignored.
        config_name: the name of the configuration file in error messages.
        table: values of ``[tool.membudget]``, which all others override.
        table_name: the name of the file with that table in error messages.
        front_end: whose options are looked up; the others keep their defaults.

    Raises:
        InvalidOptionError: an option has an invalid value, or the command line has an option that
            does nothing without another one.
    """
    sources = (
        _file(table, table_name),
        _file(config, config_name),
        _Source(_environment(), ENVIRONMENT, attrgetter("variable")),
        _Source(command_line, COMMAND_LINE, attrgetter("flag")),
    )
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for option in options_of(front_end):
        for source in sources:
            value = source.values.get(option.name)
            if value is not None:
                values[option.name] = source.parse(option, value)
                origins[option.name] = Origin(source.place, source.key(option))
    settings = Settings(**values, origins=origins)
    _refuse_idle(settings, front_end)
    return settings


def _refuse_idle(settings: Settings, front_end: FrontEnd) -> None:
    """Refuse options on the command line that do nothing; in a file, they may be for other runs."""
    idle: dict[str, list[str]] = {}
    for option in options_of(front_end):
        origin = settings.origins.get(option.name)
        missing = settings.missing_for(option, front_end)
        if missing is not None and origin is not None and origin.place == COMMAND_LINE:
            idle.setdefault(missing.flag, []).append(option.flag)
    if idle:
        raise InvalidOptionError(
            "; ".join(
                f"{', '.join(flags)} {'does' if len(flags) == 1 else 'do'} nothing without {need}: "
                f"add {need}"
                for need, flags in idle.items()
            )
        )


def from_environment(name: str) -> Any:
    """Return the value of an option for code whose only settings are in the environment.

    Raises:
        InvalidOptionError: the option has an invalid value.
    """
    option = option_named(name)
    value = os.environ.get(option.variable)
    return option.parse(value, source=option.variable) if value else option.default


def find_settings(
    front_end: FrontEnd,
    command_line: Mapping[str, object] = _NOTHING,
    *,
    directory: Path | None = None,
    own_file: Mapping[str, object] = _NOTHING,
    own_file_name: str = "",
) -> Settings:
    """Return the settings of a run: from files, the environment and the command line.

    All front ends read the nearest ``pyproject.toml`` that has a table ``[tool.membudget]``, with
    the names of the options as keys. A front end may have its own file, which overrides it.

    Args:
        front_end: whose options to read; the table may also have options of other front ends.
        command_line: values of the command line by option name, for instance from options that
            :func:`membudget.add_options` added; None for options that are not given. Names that
            are not options are ignored.
        directory: where to look for ``pyproject.toml`` first, and then above it; None for the
            working directory.
        own_file: values of the front end's own file by option name; None for options that are not
            set.
        own_file_name: the name of that file in error messages.

    Raises:
        InvalidOptionError: an option has an invalid value, an option in the table is unknown, a
            file cannot be read, or the command line has an option that does nothing without another
            one.

    Example:
        >>> find_settings("unittest", {"most_allocations": "3"}).most_allocations
        3
    """
    path, table = _nearest_table(Path.cwd() if directory is None else directory)
    return resolve(
        table=table,
        table_name=f"{path}",
        config=own_file,
        config_name=own_file_name,
        command_line=command_line,
        front_end=front_end,
    )


def _nearest_table(directory: Path) -> tuple[Path | None, Mapping[str, object]]:
    """Return the nearest file that has a table, and the table."""
    for path in (folder / "pyproject.toml" for folder in (directory, *directory.parents)):
        table = _table(path)
        if table is not None:
            return path, table
    return None, _NOTHING


def _table(path: Path) -> Mapping[str, object] | None:
    import tomllib  # imported only where there can be a file to read

    try:
        content = path.read_bytes() if path.is_file() else b""
        # A file without the table is ignored, even if it is invalid.
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
                f"{path}: [tool.membudget] has no option {name!r}{_suggestion(name, known)}"
            )
    return table


def _suggestion(name: str, known: list[str]) -> str:
    """Return the end of an error about an unknown name: a similar name, or all names."""
    from difflib import get_close_matches  # imported only when there is an error

    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(known)}"
