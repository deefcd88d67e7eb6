"""Finds the modules to which the code in a file belongs: frames name files, patterns name modules.

The file name in a frame is the one with which its code was compiled. For a module that was loaded
from its source, this is the path of the source. Compiled files without source keep the name from
the machine that compiled them, so for these the functions of the module tell the file name.
"""

from __future__ import annotations

import functools
import os
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from operator import call, is_
from types import FunctionType, ModuleType, NoneType
from typing import Any, Final

from .raised import suppressed
from .system import Real

_SUFFIXES_OF_C: Final = tuple(EXTENSION_SUFFIXES)


NOT_UTF_8: Final = (
    "memray cannot record functions of a file whose path is not UTF-8: rename the file, or the "
    "directory that it is in"
)


def working_directory() -> str:
    """Return the working directory; the root directory if it was removed."""
    with suppressed(OSError):
        return Real.getcwd()
    return os.sep


def absolute(path: str, directory: str) -> str:
    """Return an absolute path; a relative one is relative to ``directory``."""
    if not path.startswith(os.sep):
        path = f"{directory}{os.sep}{path}"
    return str(Real.normpath(path)) if "/." in path or "//" in path else path


def is_utf_8(path: str) -> bool:
    """Whether a path is UTF-8. Other bytes are surrogates in the text, which cannot be encoded."""
    return path.isascii() or not any("\ud800" <= character <= "\udfff" for character in path)


@functools.lru_cache(maxsize=10_000)
def resolved(path: str) -> str:
    """Return an absolute path without symbolic links; the path itself if that fails."""
    with suppressed(Exception):  # a test may have replaced functions that Python needs for it
        return str(Real.realpath(path))
    return path


class ModuleNames:
    """The names of all modules that have been loaded so far, by the files of their code.

    A module keeps its names when a test removes it from ``sys.modules``.
    """

    def __init__(self) -> None:
        # No lock, because it could stay locked in a forked child. Each step is one dict operation.
        self._seen: dict[str, weakref.ref[ModuleType]] = {}
        self._names: dict[str, dict[str, None]] = {}
        self._not_utf_8: dict[str, None] = {}
        # sys.modules at the last refresh: the names, and functions that return the modules.
        self._loaded: tuple[str, ...] = ()
        self._get_loaded: list[Callable[[], object]] = []
        # Those of them that are read each time.
        self._may_grow: list[str] = []

    def refresh(self) -> None:
        """Record the modules that are loaded now."""
        names, modules = tuple(sys.modules), list(sys.modules.values())
        # Most blocks find the modules of the block before, and need not look at each of them.
        if not self._are_loaded(names, modules):
            self._loaded = ()
            for name, module in list(sys.modules.items()):
                seen = self._seen.get(name)
                if (seen is None or seen() is not module) and isinstance(module, ModuleType):
                    self._record(name, module)
            self._get_loaded = list(map(_getter_of, modules))
            self._may_grow = [name for name in names if name not in self._seen]
            self._loaded = names
            return
        for name in self._may_grow:
            growing = sys.modules.get(name)
            if isinstance(growing, ModuleType):
                self._record(name, growing)

    def _are_loaded(self, names: tuple[str, ...], modules: list[ModuleType]) -> bool:
        """Whether these are the modules of the last refresh."""
        if names != self._loaded or len(modules) != len(self._get_loaded):
            return False
        return all(map(is_, map(call, self._get_loaded), modules))

    def refresh_for(self, file: str) -> None:
        """Record the modules that are loaded now, if that can matter for a file."""
        if file not in self._names or tuple(sys.modules) != self._loaded:
            self.refresh()

    def _record(self, name: str, module: ModuleType) -> None:
        namespace = module.__dict__
        spec = namespace.get("__spec__")
        files = set(_files_of(namespace, spec))
        # A module that runs as __main__ also has the name with which it was started.
        names = dict.fromkeys((name, getattr(spec, "name", None) or name))
        for file in files:
            self._names.setdefault(file, {}).update(names)
            if not is_utf_8(file):
                self._not_utf_8[file] = None
        if not _may_get_functions(namespace, spec):
            self._seen[name] = weakref.ref(module)

    @property
    def files(self) -> list[str]:
        """The files of all these modules."""
        return list(self._names)

    @property
    def files_not_utf_8(self) -> list[str]:
        """Those of these files whose path is not UTF-8."""
        return list(self._not_utf_8)

    def of(self, file: str, directory: str) -> tuple[str, ...]:
        """Return the names of a file's modules, and the names under which it would be imported.

        Args:
            file: the file name of a frame.
            directory: the directory to which relative paths refer.
        """
        by_path = _names_by_path(file, directory)
        return tuple(dict.fromkeys((*tuple(self._names.get(file, ())), *by_path)))


module_names: Final = ModuleNames()


def _getter_of(module: object) -> Callable[[], object]:
    """Return a function that returns a module, and does not keep it alive."""
    try:
        return weakref.ref(module)
    except TypeError:  # sys.modules can have anything, such as None
        return NoneType if module is None else object  # a new object is never the same one


def _may_get_functions(namespace: Mapping[str, Any], spec: Any) -> bool:
    """Whether only the functions of a module tell its files, so that it is read each time."""
    file = str(namespace.get("__file__"))
    is_known = getattr(spec, "origin", None) in ("frozen", "built-in")
    return not (is_known or file.endswith((".py", *_SUFFIXES_OF_C)))


def _files_of(namespace: Mapping[str, Any], spec: Any) -> Iterator[str]:
    """Yield the file names that the code of a module can have."""
    file = namespace.get("__file__")
    if getattr(spec, "origin", None) == "frozen":
        yield f"<frozen {spec.name}>"
    elif isinstance(file, str) and file.endswith(".py"):
        yield file
    elif _may_get_functions(namespace, spec):
        yield from _files_of_functions(namespace)


def _files_of_functions(namespace: Mapping[str, Any]) -> Iterator[str]:
    values = list(namespace.values())
    for value in list(values):
        if isinstance(value, type) and value.__module__ == namespace.get("__name__"):
            values.extend(vars(value).values())
    for value in values:
        function = getattr(value, "__func__", None) if _wraps(value) else value
        # The name of its module would not do: decorators copy it to their own functions.
        if isinstance(function, FunctionType) and function.__globals__ is namespace:
            file = function.__code__.co_filename
            if not file.startswith("<"):  # such as <string>, which is in many modules
                yield file


def _wraps(value: object) -> bool:
    return isinstance(value, (staticmethod, classmethod))


def _names_by_path(file: str, directory: str) -> Iterator[str]:
    """Yield the names under which a file would be imported; it may run under another name."""
    if file.startswith("<frozen "):
        yield file.removeprefix("<frozen ").removesuffix(">")
        return
    if not file.endswith(".py"):
        return
    file = absolute(file, directory)
    # Like Python, skip entries that are not text.
    for root in _roots(tuple(entry for entry in sys.path if isinstance(entry, str)), directory):
        if file.startswith(root):
            inside = file.removeprefix(root).removesuffix(".py").removesuffix("/__init__")
            yield inside.replace(os.sep, ".")


@functools.lru_cache(maxsize=8)
def _roots(entries: tuple[str, ...], directory: str) -> tuple[str, ...]:
    paths = (absolute(entry, directory).rstrip(os.sep) for entry in entries)
    return tuple(dict.fromkeys(f"{path}{os.sep}" for path in paths))
