"""The hooks through which other packages extend membudget.

A package provides its implementations through an entry point in the group ``membudget``. They are
functions with these names, decorated with ``membudget.hookimpl``.
"""

from __future__ import annotations

import pluggy

from .budget import Budget
from .measurement import Stack
from .rules import TestRules

hookspec = pluggy.HookspecMarker("membudget")
hookimpl = pluggy.HookimplMarker("membudget")


@hookspec(firstresult=True)
def membudget_limit_class(cls: type, budget: Budget) -> type | None:
    """Put a budget on a class: called for ``@limit_memory(...)`` above a class.

    Args:
        cls: the decorated class.
        budget: the budget to put on it.

    Returns:
        The class that replaces ``cls``, usually ``cls`` itself; None for a class that this package
        does not know, which is then passed to the next package.
    """


@hookspec(firstresult=True)
def membudget_rules_of(cls: type, method: str) -> TestRules | None:
    """Return the rules of a test: called by front ends that run tests of other frameworks.

    Args:
        cls: the class of the test.
        method: the name of its method.

    Returns:
        The marks from decorators and attributes; None for a class that this package does not know.
    """


@hookspec
def membudget_keep_allocation(stack: Stack) -> bool | None:
    """Return whether memory that a stack allocates counts: called once for each stack of a block.

    Use it to leave out code that is not part of the suite: a tracing agent, a plugin that captures
    output, a cache. See docs/what-counts.md.

    Args:
        stack: where memory was allocated: the innermost frame first, the frame of the block last.
            It has no frames if no Python code requested the memory.

    Returns:
        False to leave the memory out of every figure; anything else to keep it. It is left out if
        any implementation returns False.
    """
