"""The functions of the system and of the standard library as they were when this was imported.

Tests replace such functions: they mock ``os.close``, ``threading.Thread`` or ``open``, or use a
fake file system. membudget must not call a replacement, or rely on its result. So

* import a function that has nothing to do with files by its name: ``from time import
  perf_counter``;
* use :class:`Real` for file functions, because fake file systems replace them in the names of
  every module, but not there;
* call other packages, above all memray, within :func:`real_functions`.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import gc
import glob
import importlib
import io
import os
import pathlib
import pkgutil
import platform
import posixpath
import select
import site
import sys
import sysconfig
import tempfile
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from operator import is_
from types import ModuleType
from typing import Any, Final

try:
    import fcntl
    import resource
except ImportError:  # Windows
    fcntl = resource = None  # type: ignore[assignment]


def _of(module: ModuleType | None, name: str) -> Any:
    """Return a function of a module; None if this platform does not have it."""
    return getattr(module, name, None)


class Real:
    """Functions and values of the system, where code that replaces names of modules misses them."""

    # Files.
    open: Final = staticmethod(os.open)
    close: Final = staticmethod(os.close)
    read: Final = staticmethod(os.read)
    write: Final = staticmethod(os.write)
    pread: Final = staticmethod(_of(os, "pread"))
    pwrite: Final = staticmethod(_of(os, "pwrite"))
    stat: Final[Any] = staticmethod(os.stat)
    lstat: Final[Any] = staticmethod(os.lstat)
    fstat: Final = staticmethod(os.fstat)
    control: Final = staticmethod(_of(fcntl, "fcntl"))
    lock_file: Final = staticmethod(_of(fcntl, "flock"))
    locked: Final[int] = getattr(fcntl, "LOCK_EX", 0)
    unlocked: Final[int] = getattr(fcntl, "LOCK_UN", 0)
    dup_above: Final[int] = getattr(fcntl, "F_DUPFD_CLOEXEC", 0)
    dup2: Final = staticmethod(os.dup2)
    get_inheritable: Final = staticmethod(os.get_inheritable)
    set_inheritable: Final = staticmethod(os.set_inheritable)
    truncate: Final = staticmethod(os.ftruncate)
    listdir: Final = staticmethod(os.listdir)
    readlink: Final[Any] = staticmethod(_of(os, "readlink"))
    unlink: Final = staticmethod(os.unlink)
    utime: Final = staticmethod(os.utime)
    replace: Final = staticmethod(os.replace)
    fchmod: Final = staticmethod(_of(os, "fchmod"))
    fchown: Final = staticmethod(_of(os, "fchown"))
    set_blocking: Final = staticmethod(_of(os, "set_blocking"))
    realpath: Final[Any] = staticmethod(os.path.realpath)
    normpath: Final[Any] = staticmethod(os.path.normpath)
    getcwd: Final = staticmethod(os.getcwd)
    dirname: Final[Any] = staticmethod(os.path.dirname)
    join: Final = staticmethod(os.path.join)
    directory: Final = staticmethod(tempfile.gettempdir)
    random: Final = staticmethod(os.urandom)

    # Processes.
    pipe: Final = staticmethod(os.pipe)
    spawn: Final = staticmethod(_of(os, "posix_spawn"))
    waitpid: Final = staticmethod(os.waitpid)
    getpid: Final = staticmethod(os.getpid)
    usage: Final = staticmethod(_of(resource, "getrusage"))
    of_this_process: Final[int] = getattr(resource, "RUSAGE_SELF", 0)
    spawn_dup2: Final[int] = getattr(os, "POSIX_SPAWN_DUP2", 0)
    poll: Final = staticmethod(_of(select, "poll"))  # not on Windows
    poll_in: Final[int] = getattr(select, "POLLIN", 0)
    poll_out: Final[int] = getattr(select, "POLLOUT", 0)
    poll_gone: Final[int] = getattr(select, "POLLHUP", 0)

    started: float = time.time()  # when membudget was imported
    # Tools that freeze time replace these functions in every module.
    perf_counter: Final = staticmethod(time.perf_counter)
    time: Final = staticmethod(time.time)

    executable: Final = sys.executable
    path: Final = tuple(sys.path)
    environment: Final = dict(os.environ)


_MISSING: Final = object()
# Names that memray, and the standard modules that it uses, look up while membudget calls memray.
# Some are needed only in some versions of Python.
_NEEDED: Final[tuple[tuple[Any, str], ...]] = (
    (builtins, "__import__ open"),
    (gc, "disable enable isenabled"),
    (glob, "glob iglob"),
    (importlib, "import_module"),
    (io, "FileIO TextIOWrapper open text_encoding"),
    (
        os,
        "access close fsdecode fsencode fspath fstat getcwd getenv getpid getuid listdir lstat "
        "mkdir open path readlink scandir stat uname unlink urandom write",
    ),
    (pathlib, "Path PosixPath PurePath PurePosixPath"),
    (pathlib.Path, "__init__ __new__ exists is_file open samefile stat"),
    (pkgutil, "iter_modules"),
    (platform, "system uname"),
    (
        posixpath,
        "abspath basename dirname exists expanduser isabs isdir isfile islink join lexists "
        "normcase normpath realpath samefile split splitext",
    ),
    (site, "getsitepackages getuserbase getusersitepackages"),
    (sys, "_getframe getprofile intern platform setprofile"),
    (sysconfig, "get_config_var get_config_vars get_path get_paths"),
    (threading, "Lock RLock Thread current_thread get_ident getprofile setprofile"),
    (time, "monotonic perf_counter time"),
    (warnings, "warn"),
)


class _Names:
    """Names of a module, or of a class, with their original values."""

    def __init__(self, owner: Any, names: Iterable[str]) -> None:
        self._owner = owner
        self._namespace = vars(owner)
        self._names = tuple(names)
        self._values = tuple(self._namespace.get(name, _MISSING) for name in self._names)

    def replaced(self) -> list[tuple[Any, str, Any, Any]]:
        """Return the names whose value has changed, as (owner, name, original, present value)."""
        get = self._namespace.get
        missing = (_MISSING,) * len(self._names)
        if all(map(is_, map(get, self._names, missing), self._values)):
            return []
        now = [get(name, _MISSING) for name in self._names]
        changes = zip(self._names, self._values, now, strict=True)
        return [(self._owner, *change) for change in changes if change[1] is not change[2]]


def _put(owner: Any, name: str, value: Any) -> None:
    if value is _MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, value)


def _functions_of(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        # Hooks are meant to be replaced.
        if callable(value) and not name.startswith("_") and not name.endswith("hook"):
            yield name


# Code that runs when modules are imported may call anything.
_kept_for_imports: Final = [
    _Names(module, _functions_of(module)) for module in (atexit, os, sys, threading, time, warnings)
]
_kept: Final = [_Names(owner, names.split()) for owner, names in _NEEDED]
# A fake file system gives its own modules to code that imports some of these.
_modules: Final[dict[str, ModuleType]] = {
    module.__name__: module for module, _ in _NEEDED if isinstance(module, ModuleType)
}
_modules["os.path"] = os.path


def keep_module(module: ModuleType, *names: str) -> None:
    """Make :func:`real_functions` restore a module, and some of its names, as they are now."""
    _modules[module.__name__] = module
    _kept.append(_Names(module, [name for name in names if name in vars(module)]))


@contextlib.contextmanager
def _text_only() -> Iterator[None]:
    """Leave only UTF-8 text in ``sys.argv`` and ``sys.path`` while the context is open.

    Python ignores entries of its search path that are not text.
    """
    argv, path = getattr(sys, "argv", None), sys.path
    if _is_text(argv) and _is_text(path):
        yield
        return
    sys.argv, sys.path = _texts(argv), _texts(path)
    try:
        yield
    finally:
        sys.argv, sys.path = argv, path  # type: ignore[assignment]


def _is_text(entries: object) -> bool:
    return isinstance(entries, list) and all(
        isinstance(entry, str) and _in_utf_8(entry) == entry for entry in entries
    )


def _texts(entries: object) -> list[str]:
    listed = entries if isinstance(entries, list) else []
    return [_in_utf_8(entry) for entry in listed if isinstance(entry, str)]


def _in_utf_8(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def search_path() -> list[str]:
    """Return the entries of the original and of the present ``sys.path``, each once."""
    now = sys.path if isinstance(sys.path, list) else []
    return list(dict.fromkeys(entry for entry in (*Real.path, *now) if isinstance(entry, str)))


@contextlib.contextmanager
def real_functions(*, for_imports: bool = False) -> Iterator[None]:
    """Restore replaced functions of the system while membudget calls other packages.

    Also leaves only text in ``sys.argv`` and ``sys.path``. Other threads see this too. Only one
    thread at a time may be in this context.

    Args:
        for_imports: whether modules are imported in the context.
    """
    kept = [*_kept, *_kept_for_imports] if for_imports else _kept
    replaced = [change for names in kept for change in names.replaced()]
    modules = {name: sys.modules.get(name, _MISSING) for name in _modules}
    for owner, name, real, _ in replaced:
        _put(owner, name, real)
    sys.modules.update(_modules)
    try:
        with _text_only():
            yield
    finally:
        for name, module in modules.items():
            if module is _MISSING:
                del sys.modules[name]
            elif module is not _modules[name]:
                sys.modules[name] = module  # type: ignore[assignment]
        for owner, name, _, replacement in reversed(replaced):
            _put(owner, name, replacement)
