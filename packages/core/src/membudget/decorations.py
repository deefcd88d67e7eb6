"""What a decorator leaves on a function, for adapters that run the function in their own block."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any, Final

from .budget import Budget

BUDGET_ATTRIBUTE: Final = "__membudget_budget__"


class Decoration:
    """Says that a function has a budget; decorators around that function inherit it.

    Attributes:
        budget: the budget.
        wrapper: the function that enforces it.
        bare: what ``wrapper`` runs, for an adapter that enforces the budget itself; None where the
            budget stays, because an adapter enforces it already.
    """

    __slots__ = ("bare", "budget", "wrapper")

    def __init__(self, budget: Budget, wrapper: Any, bare: Any) -> None:
        self.budget = budget
        self.wrapper = wrapper
        self.bare = bare


def budget_of(func: Callable[..., Any]) -> tuple[Budget | None, Callable[..., Any]]:
    """Take the budget off a decorated function, for an adapter that runs it in its own block.

    Args:
        func: a function or a bound method.

    Returns:
        The budget of the function or None, and the function without that budget. A budget that
        cannot be taken off, because it lies below another decorator or an adapter enforces it, is
        returned with ``func`` itself.
    """
    decoration = getattr(func, BUDGET_ATTRIBUTE, None)
    if not isinstance(decoration, Decoration):
        return None, func
    if decoration.bare is None or getattr(func, "__func__", func) is not decoration.wrapper:
        return decoration.budget, func
    instance = getattr(func, "__self__", None)
    if instance is None:
        return decoration.budget, decoration.bare
    # As the wrapper calls it, with the instance first; a partial function would not bind itself.
    return decoration.budget, MethodType(decoration.bare, instance)


def measures(func: Callable[..., Any]) -> bool:
    """Whether an adapter has put a block around a function, so that another one need not."""
    decoration = getattr(func, BUDGET_ATTRIBUTE, None)
    return (
        isinstance(decoration, Decoration)
        and decoration.bare is None
        and getattr(func, "__func__", func) is decoration.wrapper
    )
