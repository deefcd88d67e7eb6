"""The phases of a test, and how they are written."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from .errors import InvalidLimitError

Phase: TypeAlias = Literal["setup", "call", "teardown"]
"""A phase of a test."""
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
"""The phases of a test, in their order."""


def parse_phases(include: str, *, where: str) -> tuple[Phase, ...]:
    """Return the phases of a test that ``include`` names, in their order.

    Args:
        include: one or several of ``setup``, ``call`` and ``teardown``, with commas between them.
        where: what they are for; it begins the message of the error.

    Raises:
        InvalidLimitError: something else is named, or nothing.

    Example:
        >>> parse_phases("call, setup", where="include")
        ('setup', 'call')
    """
    named = [name.strip() for name in include.split(",")] if isinstance(include, str) else [""]
    if not set(named) <= set(PHASES):
        raise InvalidLimitError(
            f"{where}: {include!r} does not name phases of a test: write {', '.join(PHASES)}, or "
            f"several of them, such as 'setup,call'"
        )
    return tuple(phase for phase in PHASES if phase in named)
