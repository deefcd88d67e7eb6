"""Settings of front ends that have no configuration file of their own: ``[tool.membudget]``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import InvalidOptionError
from .options import OPTIONS, Settings, resolve


def find_settings(front_end: str, command_line: Mapping[str, object] | None = None) -> Settings:
    """Return the settings of a run: from a file, the environment and the command line.

    The file is the nearest one, in the working directory or above it; its table is
    ``[tool.membudget]``, with the names of the options.

    Args:
        front_end: which options it may have, see ``Option.only_for``.
        command_line: values of the command line by option name; None where it has none.

    Raises:
        InvalidOptionError: a value does not fit its option, an option is unknown, or the file
            cannot be read.

    Example:
        >>> find_settings("unittest", {"most_allocations": "3"}).most_allocations
        3
    """
    path = _nearest()
    table = {} if path is None else _table(path, front_end)
    return resolve(config=table, command_line=command_line or {}, config_name=f"{path}")


def _nearest() -> Path | None:
    here = Path.cwd()
    paths = (directory / "pyproject.toml" for directory in (here, *here.parents))
    return next((path for path in paths if path.is_file()), None)


def _table(path: Path, front_end: str) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidOptionError(f"{path} cannot be read: {error}") from error
    table: Any = data
    for key in ("tool", "membudget"):
        table = table.get(key, {})
        if not isinstance(table, dict):
            raise InvalidOptionError(f"{path}: {key} is no table: write [tool.membudget]")
    known = [option.name for option in OPTIONS if option.only_for in ("", front_end)]
    for name in table:
        if name not in known:
            raise InvalidOptionError(
                f"{path}: [tool.membudget] has no option {name!r}; it has {', '.join(known)}"
            )
    return dict(table)
