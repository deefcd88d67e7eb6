"""Which modules the code in a file belongs to: a frame names its file, a pattern names modules.

A file's name in a frame is the one that its code was compiled with. For a module that was loaded
from its source, that is where the source is. Compiled files without source keep the name that they
had where they were compiled, so for these the functions of the module are asked.
"""

from __future__ import annotations

import functools
import os
import sys
import weakref
from collections.abc import Iterator, Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from types import FunctionType, ModuleType
from typing import Any, Final

from .raised import suppressed
from .system import Real

_SUFFIXES_OF_C: Final = tuple(EXTENSION_SUFFIXES)


NOT_UTF_8: Final = (
    "memray cannot record functions of a file whose path is not UTF-8: rename the file, or the "
    "directory that it is in"
)


def working_directory() -> str:
    """Return the working directory, to which relative paths belong; the root if it was removed."""
    with suppressed(OSError):
        return Real.getcwd()
    return os.sep


def absolute(path: str, directory: str) -> str:
    """Return a path as an absolute one, taken from ``directory``."""
    if not path.startswith(os.sep):
        path = f"{directory}{os.sep}{path}"
    return str(Real.normpath(path)) if "/." in path or "//" in path else path


def is_utf_8(path: str) -> bool:
    """Whether a path is UTF-8: other bytes of it are surrogates here, which have no encoding."""
    return path.isascii() or not any("\ud800" <= character <= "\udfff" for character in path)


@functools.lru_cache(maxsize=10_000)
def resolved(path: str) -> str:
    """Return an absolute path without symbolic links; as it is if it cannot be looked up."""
    with suppressed(Exception):  # a test may have replaced what Python looks it up with
        return str(Real.realpath(path))
    return path


class ModuleNames:
    """The names of modules by the files of their code, of all modules seen loaded so far.

    A module keeps its names when a test takes it out of ``sys.modules``.
    """

    def __init__(self) -> None:
        # No lock, which a fork could leave taken: each step is one operation on a dict.
        self._seen: dict[str, weakref.ref[ModuleType]] = {}
        self._names: dict[str, dict[str, None]] = {}
        self._loaded: frozenset[str] = frozenset()

    def refresh(self) -> None:
        """Take note of the modules that are loaded now."""
        self._loaded = frozenset(sys.modules)
        for name, module in list(sys.modules.items()):
            seen = self._seen.get(name)
            if (seen is None or seen() is not module) and isinstance(module, ModuleType):
                self._take(name, module)

    def refresh_for(self, file: str) -> None:
        """Take note of the modules that are loaded now, if that can matter for a file."""
        if file not in self._names or sys.modules.keys() != self._loaded:
            self.refresh()

    def _take(self, name: str, module: ModuleType) -> None:
        namespace = module.__dict__
        spec = namespace.get("__spec__")
        files = set(_files_of(namespace, spec))
        # What runs as __main__ has the name that it was started with as well.
        names = dict.fromkeys((name, getattr(spec, "name", None) or name))
        for file in files:
            self._names.setdefault(file, {}).update(names)
        if not _may_get_functions(namespace, spec):
            self._seen[name] = weakref.ref(module)

    @property
    def files(self) -> list[str]:
        """The files of all these modules."""
        return list(self._names)

    def of(self, file: str, directory: str) -> tuple[str, ...]:
        """Return the names of the module that a file is, and those that it would be imported by.

        Args:
            file: as a frame has it.
            directory: what relative paths are taken from.
        """
        by_path = _names_by_path(file, directory)
        return tuple(dict.fromkeys((*tuple(self._names.get(file, ())), *by_path)))


module_names: Final = ModuleNames()


def _may_get_functions(namespace: Mapping[str, Any], spec: Any) -> bool:
    """Whether the functions of a module say what its files are, so that it is looked at again."""
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
        # Not by the name of its module: decorators copy that to functions of their own.
        if isinstance(function, FunctionType) and function.__globals__ is namespace:
            file = function.__code__.co_filename
            if not file.startswith("<"):  # such as <string>, which is in many modules
                yield file


def _wraps(value: object) -> bool:
    return isinstance(value, (staticmethod, classmethod))


def _names_by_path(file: str, directory: str) -> Iterator[str]:
    """Yield the names under which a file would be imported: it may run under another one."""
    if file.startswith("<frozen "):
        yield file.removeprefix("<frozen ").removesuffix(">")
        return
    if not file.endswith(".py"):
        return
    file = absolute(file, directory)
    # Python skips entries of other types as well.
    for root in _roots(tuple(entry for entry in sys.path if isinstance(entry, str)), directory):
        if file.startswith(root):
            inside = file.removeprefix(root).removesuffix(".py").removesuffix("/__init__")
            yield inside.replace(os.sep, ".")


@functools.lru_cache(maxsize=8)
def _roots(entries: tuple[str, ...], directory: str) -> tuple[str, ...]:
    paths = (absolute(entry, directory).rstrip(os.sep) for entry in entries)
    return tuple(dict.fromkeys(f"{path}{os.sep}" for path in paths))
