"""Parses the values of options: from what a user wrote to a typed value.

Each parser takes the value, as text or as a value from a configuration file, and the place where it
is written; error messages start with the place. It raises :class:`InvalidOptionError` for an
invalid value.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast, get_args

from .budget import Phase, parse_phases
from .errors import InvalidLimitError, InvalidOptionError
from .sizes import parse_size
from .tolerance import Tolerance, parse_tolerance

FixMode: TypeAlias = Literal["raise", "lower", "add", "all"]
"""Which limits to change in the source: raise, lower or add some, or all of these."""
UpdateMode: TypeAlias = Literal["new", "worse", "better", "all"]
"""Which tests get another baseline; ``"all"`` also takes out those that are gone."""
LONGEST_PREFIX: Final = 100
"""The largest number of bytes in a prefix of file names; it leaves room for a test's name."""

_SWITCHES: Final = {
    **dict.fromkeys(("1", "on", "true", "yes"), True),
    **dict.fromkeys(("0", "off", "false", "no"), False),
}


def _refused(value: object, where: str, expected: str) -> InvalidOptionError:
    return InvalidOptionError(f"{where}: {value!r} is not {expected}")


def on_or_off(value: object, where: str) -> bool:
    """Return a bool for a bool, or for one of the usual words in any case.

    Example:
        >>> on_or_off("TRUE", "pytest.ini: memray")
        True
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _SWITCHES:
        return _SWITCHES[value.strip().lower()]
    raise _refused(value, where, "on or off")


def whole_number(*, least: int) -> Callable[[object, str], int]:
    """Return a parser of whole numbers that are not smaller than ``least``."""

    def parse(value: object, where: str) -> int:
        number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
        if isinstance(number, int) and not isinstance(number, bool) and number >= least:
            return number
        raise _refused(value, where, f"a whole number, {least} or more")

    return parse


def one_of(*words: str) -> Callable[[object, str], str]:
    """Return a parser that accepts one of a few words."""

    def parse(value: object, where: str) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise _refused(value, where, " or ".join(map(repr, words)))

    return parse


def fix_mode(value: object, where: str) -> FixMode:
    """Return one of the words of :data:`FixMode`."""
    return cast(FixMode, _word(value, where, get_args(FixMode), "--memray-fix=all"))


def update_modes(value: object, where: str) -> tuple[UpdateMode, ...]:
    """Return some of the words of :data:`UpdateMode`; a text has commas between them.

    Example:
        >>> update_modes("new, better", "--memray-update-baseline")
        ('new', 'better')
    """
    words = [word.strip() for word in _text(value, where).split(",")]
    example = "--memray-update-baseline=new"
    return tuple(
        cast(UpdateMode, _word(word, where, get_args(UpdateMode), example)) for word in words
    )


def _word(value: object, where: str, words: tuple[str, ...], example: str) -> object:
    """Return one of the words of an option whose flag can stand alone."""
    if value in words:
        return value
    raise InvalidOptionError(
        f"{where}: {value!r} is not one of {', '.join(words)}. On a command line, write one of "
        f"them with an equals sign: {example}"
    )


def tolerance(value: object, where: str) -> Tolerance:
    """Return the tolerance that a text says, such as ``"10% + 64 KB"``."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return parse_tolerance(_text(text, where), where=where)


def size(value: object, where: str) -> int:
    """Return a number of bytes; a number without a unit counts bytes.

    Example:
        >>> size("24 MB", "--memray-default-limit") == size("25165824", "") == 25165824
        True
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise _refused(value, where, "a size")
    is_bytes = isinstance(value, str) and value.strip().isdecimal()
    try:
        return parse_size(f"{value} B" if is_bytes else value, where=where)
    except InvalidLimitError as error:
        raise InvalidOptionError(str(error)) from error


def _text(value: object, where: str) -> str:
    if isinstance(value, str):
        return value
    raise _refused(value, where, "text")


def phases(value: object, where: str) -> tuple[Phase, ...]:
    """Return the phases of a test from a text that names them, separated by commas."""
    try:
        return parse_phases(_text(value, where), where=where)
    except InvalidLimitError as error:
        raise InvalidOptionError(str(error)) from error


def file_to_write(value: object, where: str) -> Path:
    """Return the path of a file that can be written: absolute, as tests may change directory."""
    path = _text(value, where)
    parent = os.path.dirname(path) or os.curdir
    problem = None
    if not path:
        problem = "the path is empty"
    elif not os.path.isdir(parent):
        problem = f"there is no directory {parent!r}"
    elif os.path.isdir(path):
        problem = "it is a directory"
    elif not os.access(path if os.path.exists(path) else parent, os.W_OK):
        problem = "permission denied"
    if problem is not None:
        raise InvalidOptionError(f"{where}: cannot write to {path!r}: {problem}")
    return Path(os.path.abspath(path))


def directory(value: object, where: str) -> Path:
    """Return the path of a directory, which need not exist yet."""
    path = _text(value, where)
    if not path or (os.path.lexists(path) and not os.path.isdir(path)):
        raise _refused(path, where, "a directory")
    return Path(path)


def start_of_file_names(value: object, where: str) -> str:
    """Return a text that file names can start with."""
    prefix = _text(value, where)
    if not prefix or len(os.fsencode(prefix)) > LONGEST_PREFIX or set(prefix) & {"/", "\0"}:
        raise InvalidOptionError(
            f"{where}: a file name cannot start with {prefix!r}: use 1 to {LONGEST_PREFIX} bytes "
            f"without a slash"
        )
    return prefix
