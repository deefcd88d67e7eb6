"""The kinds of values that options have: from what a user wrote to a typed value."""

from __future__ import annotations

from typing import Final

from .errors import InvalidOptionError

_SWITCHES: Final = {
    **dict.fromkeys(("1", "on", "true", "yes"), True),
    **dict.fromkeys(("0", "off", "false", "no"), False),
}


def on_or_off(value: object, where: str) -> bool:
    """Return a bool for one, or for one of the usual words in any case.

    Example:
        >>> on_or_off("TRUE", "pytest.ini: memray")
        True
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _SWITCHES:
        return _SWITCHES[value.strip().lower()]
    raise InvalidOptionError(f"{where}: {value!r} is not on or off")
