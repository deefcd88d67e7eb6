"""The options of all front ends: declared once, as data.

A front end generates its command line and its configuration keys from :data:`OPTIONS`, and hands
what the user gave to :func:`resolve`. The order is: default, configuration file, environment,
command line; the later one wins.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .errors import InvalidOptionError
from .model import TraceSettings

ENFORCEMENT_VARIABLE: Final = "MEMBUDGET"


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
    """

    name: str
    default: bool | int
    help: str
    metavar: str = ""

    @property
    def flag(self) -> str:
        """The name on a command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return f"{ENFORCEMENT_VARIABLE}_{self.name.upper()}"

    def parse(self, value: object, *, source: str) -> bool | int:
        """Return ``value``, as text or as itself, as a value of this option.

        Raises:
            InvalidOptionError: the value does not fit; the message names ``source``.
        """
        if isinstance(self.default, bool):
            if isinstance(value, bool):
                return value
            if isinstance(value, str) and value.strip().lower() in _SWITCHES:
                return _SWITCHES[value.strip().lower()]
            expected = "on or off"
        else:
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                return value
            if isinstance(value, str) and value.strip().isdecimal():
                return int(value)
            expected = "a whole number, 0 or more"
        raise InvalidOptionError(f"{source}: {value!r} is not {expected}")


_SWITCHES: Final = {
    **dict.fromkeys(("1", "on", "true", "yes"), True),
    **dict.fromkeys(("0", "off", "false", "no"), False),
}

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
    native: bool
    trace_python_allocators: bool

    @property
    def trace(self) -> TraceSettings:
        """What the recording of a test has to trace."""
        return TraceSettings(self.native, self.trace_python_allocators)


def resolve(
    *, config: Mapping[str, object], command_line: Mapping[str, object], config_name: str
) -> Settings:
    """Return the settings that follow from what the user gave.

    Args:
        config: values of a configuration file by option name; None where it has none.
        command_line: values of the command line by option name; None where it has none.
        config_name: what to call the configuration file in an error.

    Raises:
        InvalidOptionError: a value does not fit its option.
    """
    values: dict[str, Any] = {}
    for option in OPTIONS:
        values[option.name] = option.default
        for source, value in (
            (f"{config_name}: {option.name}", config.get(option.name)),
            (option.variable, os.environ.get(option.variable)),
            (option.flag, command_line.get(option.name)),
        ):
            if value is not None:
                values[option.name] = option.parse(value, source=source)
    return Settings(**values)


@functools.cache
def enforcement_is_on() -> bool:
    """Whether budgets are measured and enforced in this process.

    ``MEMBUDGET=off`` in the environment turns every block into one that does nothing. It is read
    once, when the first block is opened.

    Raises:
        InvalidOptionError: ``MEMBUDGET`` is neither on nor off.
    """
    value = os.environ.get(ENFORCEMENT_VARIABLE, "on")
    option = Option(ENFORCEMENT_VARIABLE, default=True, help="")
    return bool(option.parse(value or "on", source=ENFORCEMENT_VARIABLE))
