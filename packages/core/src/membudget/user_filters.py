"""Calls the filters that users and plugins write."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .errors import FilterError
from .measurement import Stack, type_name

T = TypeVar("T")


def ask_filter(keep: Callable[[T], object], one: T, *, whose: str) -> bool:
    """Return whether a filter counts a stack or an object.

    Args:
        keep: the filter.
        one: the stack or object.
        whose: the name of the filter in error messages.

    Raises:
        FilterError: the filter raised an exception.
    """
    try:
        return bool(keep(one))
    except Exception as error:
        raise FilterError(
            f"{whose} raised {type(error).__name__}: {error}, for {_described(one)}"
        ) from error


def _described(one: object) -> str:
    if isinstance(one, Stack):
        return f"a stack that ends in {one.frames[0] if one.frames else 'no Python code'}"
    return f"an object of type {type_name(one)}"
