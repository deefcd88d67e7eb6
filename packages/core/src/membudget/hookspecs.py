"""The hooks through which other packages extend membudget.

A package offers its implementations through an entry point in the group ``membudget``; they are
plain functions with these names, decorated with ``membudget.hookimpl``.
"""

from __future__ import annotations

import pluggy

from .model import Budget, Marks

hookspec = pluggy.HookspecMarker("membudget")
hookimpl = pluggy.HookimplMarker("membudget")


@hookspec(firstresult=True)
def membudget_limit_class(cls: type, budget: Budget) -> type | None:
    """Put a budget on a class: called for ``@limit_memory(...)`` above a class.

    Args:
        cls: the decorated class.
        budget: the budget to put on it.

    Returns:
        The class that stands for ``cls`` from here on, usually ``cls`` itself; None for a class
        that this package does not know, which is then offered to the next one.
    """


@hookspec(firstresult=True)
def membudget_marks_of(cls: type, method: str) -> Marks | None:
    """Say what is written at a test: called by front ends that run tests of other frameworks.

    Args:
        cls: the class of the test.
        method: the name of its method.

    Returns:
        What its decorators and attributes say; None for a class that this package does not know.
    """
