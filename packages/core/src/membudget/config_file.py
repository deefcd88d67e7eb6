"""Settings of a project, for every front end: ``[tool.membudget]`` in ``pyproject.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from .errors import InvalidOptionError
from .options import OPTIONS, Settings, resolve

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
