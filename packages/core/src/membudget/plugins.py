"""The plug-in manager: loads the packages that extend membudget."""

from __future__ import annotations

import functools

import pluggy

from . import hookspecs
from .model import Marks


@functools.cache
def plugin_manager() -> pluggy.PluginManager:
    """Return the manager with every installed extension loaded."""
    manager = pluggy.PluginManager("membudget")
    manager.add_hookspecs(hookspecs)
    manager.load_setuptools_entrypoints("membudget")
    return manager


def marks_of(cls: type, method: str) -> Marks:
    """Return what installed packages know to be written at a test of a class."""
    marks: Marks | None = plugin_manager().hook.membudget_marks_of(cls=cls, method=method)
    return marks or Marks()
