"""Imports that happen late: when something is first used, and the program may be running already.

So importing a package is cheap: an adapter is loaded in every run of its test framework, also in
runs that measure nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

from .forks import not_forking
from .system import real_functions


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Import modules in this context, when the measured program may be running already.

    A test may have replaced functions that a module needs. In a child that is forked meanwhile, the
    locks of imports would stay locked.
    """
    with not_forking, real_functions(for_imports=True):
        yield


def late_names(namespace: dict[str, Any], names_of: Mapping[str, str]) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a package, which imports names when they are first used.

    That is the function that PEP 562 describes. Type checkers do not call it, so the package
    imports the same names ``if TYPE_CHECKING``.

    Args:
        namespace: the ``globals()`` of the package.
        names_of: for each module, relative to the package, the names in it, separated by spaces.

    Example:
        >>> namespace = {"__name__": "membudget.runs", "__package__": "membudget.runs"}
        >>> late = late_names(namespace, {"..sizes": "parse_size format_size"})
        >>> late("parse_size")("24 MB")
        25165824
        >>> "parse_size" in namespace
        True
    """
    module_of = {name: module for module, names in names_of.items() for name in names.split()}

    def get(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        with importing():
            module = import_module(module_of[name], namespace["__package__"])
        namespace[name] = getattr(module, name)
        return namespace[name]

    return get
