"""The plug-in manager: loads the packages that extend membudget."""

from __future__ import annotations

import functools

import pluggy

from . import hookspecs
from .host.late_imports import importing
from .measurement import Stack
from .rules import TestRules


@functools.cache
def plugin_manager() -> pluggy.PluginManager:
    """Return the manager, with every installed extension loaded. Register others with it.

    Example:
        >>> from membudget import hookimpl
        >>> class Suite:
        ...     @hookimpl
        ...     def membudget_keep_allocation(self, stack):
        ...         return not any("/tracing_agent/" in frame.filename for frame in stack.frames)
        >>> name = plugin_manager().register(Suite())
    """
    manager = pluggy.PluginManager("membudget")
    manager.add_hookspecs(hookspecs)
    with importing():
        manager.load_setuptools_entrypoints("membudget")
    return manager


def rules_of(cls: type, method: str) -> TestRules:
    """Return the rules of a test of a class, from the installed packages."""
    rules: TestRules | None = plugin_manager().hook.membudget_rules_of(cls=cls, method=method)
    return rules or TestRules()


def keeps_allocation(stack: Stack) -> bool:
    """Whether memory that a stack allocates counts: no plugin leaves it out."""
    kept: list[bool] = plugin_manager().hook.membudget_keep_allocation(stack=stack)
    return all(kept)


def filter_allocations() -> bool:
    """Whether any plugin filters allocations."""
    return bool(plugin_manager().hook.membudget_keep_allocation.get_hookimpls())
