"""The hooks through which other packages extend membudget.

A package offers its implementations through an entry point in the group ``membudget``; they are
plain functions with these names, decorated with ``membudget.hookimpl``.
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
        The class that stands for ``cls`` from here on, usually ``cls`` itself; None for a class
        that this package does not know, which is then offered to the next one.
    """


@hookspec(firstresult=True)
def membudget_rules_of(cls: type, method: str) -> TestRules | None:
    """Say what is written at a test: called by front ends that run tests of other frameworks.

    Args:
        cls: the class of the test.
        method: the name of its method.

    Returns:
        What its decorators and attributes say; None for a class that this package does not know.
    """


@hookspec
def membudget_keep_allocation(stack: Stack) -> bool | None:
    """Say whether what a stack allocates counts: called for each stack of every block, once.

    For suites in which something allocates that is not theirs: a tracing agent, a plugin that
    captures output, a cache. See docs/guide.md.

    Args:
        stack: where something was allocated: the innermost frame first, the block's own last.
            Without frames for what no Python code has asked for.

    Returns:
        False to leave it out of every figure; anything else to keep it. Whatever one
        implementation leaves out is left out.
    """
