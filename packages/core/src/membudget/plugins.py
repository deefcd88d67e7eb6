"""The plug-in manager: loads the packages that extend membudget."""

from __future__ import annotations

import functools

import pluggy

from . import hookspecs


@functools.cache
def plugin_manager() -> pluggy.PluginManager:
    """Return the manager with every installed extension loaded."""
    manager = pluggy.PluginManager("membudget")
    manager.add_hookspecs(hookspecs)
    manager.load_setuptools_entrypoints("membudget")
    return manager
