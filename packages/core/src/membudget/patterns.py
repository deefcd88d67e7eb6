"""Whose memory counts: patterns of modules and paths, held against the frames of a stack.

A pattern with a slash, or that ends in ``.py``, is one of paths, any other is one of modules:

* ``"mypkg"``, ``"mypkg.*"`` - the module or package and all that is in it, as mypy reads
  ``mypkg.*``;
* ``"mypkg.*_pb2"`` - with the wildcards of :mod:`fnmatch`, in which ``*`` also stands for dots;
* ``"tests/*"``, ``"*/site-packages/ddtrace/*"`` - the end of a path, or all of it when it begins
  with a slash; ``*`` also stands for slashes.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from typing import Final

from .errors import FilterError, InvalidLimitError
from .model import Frame, Scope, Stack
from .system import real_functions

KeepAllocation = Callable[[Stack], bool]


def check_patterns(patterns: str | Iterable[str], *, where: str) -> tuple[str, ...]:
    """Return patterns as they stand in a :class:`Scope`.

    Args:
        patterns: one, or several.
        where: what they are for; it begins the message of the error.

    Raises:
        InvalidLimitError: one is no text, or an empty one; or there is none.

    Example:
        >>> check_patterns("mypkg.*", where="limit_memory, only")
        ('mypkg.*',)
    """
    listed: Sequence[object]
    if isinstance(patterns, str) or not isinstance(patterns, Iterable):
        listed = (patterns,)
    else:
        listed = tuple(patterns)
    wrong = [pattern for pattern in listed if not isinstance(pattern, str) or not pattern.strip()]
    if wrong or not listed:
        raise InvalidLimitError(
            f"{where}: {wrong[0] if wrong else patterns!r} is not a pattern: write a module such "
            f"as 'mypkg' or 'mypkg.*', a path such as 'tests/*', or a list of them"
        )
    return tuple(str(pattern).strip() for pattern in listed)


class StackFilter:
    """Says which stacks count, for one block.

    Args:
        scope: has the patterns.
        keep: what plugins say; see ``membudget_keep_allocation`` in :mod:`membudget.hookspecs`.
    """

    def __init__(self, scope: Scope, keep: KeepAllocation | None = None) -> None:
        self._only = [_Pattern(text) for text in scope.only]
        self._ignore = [_Pattern(text) for text in scope.ignore]
        self._keep = keep

    @real_functions()
    def keeps(self, stacks: Iterable[tuple[Frame, ...]]) -> list[bool]:
        """Say of each stack whether it counts.

        Raises:
            FilterError: a plugin raised something.
        """
        modules = _loaded_modules()
        files: dict[str, tuple[bool, bool]] = {}
        kept = []
        for stack in stacks:
            for file in {frame.filename for frame in stack} - files.keys():
                files[file] = self._judge(file, (*modules.get(file, ()), *_names_by_path(file)))
            found = [files[frame.filename] for frame in stack]
            counts = not self._only or any(is_one_of_only for is_one_of_only, _ in found)
            is_ignored = any(is_ignored for _, is_ignored in found)
            kept.append(counts and not is_ignored and self._is_kept_by_plugins(stack))
        return kept

    def _judge(self, file: str, modules: tuple[str, ...]) -> tuple[bool, bool]:
        """Return whether a file is one of ``only``, and whether it is to be ignored."""
        # Each pattern is tried on every file: which of them match something is known afterwards.
        is_one_of_only = [pattern.matches(file, modules) for pattern in self._only]
        is_ignored = [pattern.matches(file, modules) for pattern in self._ignore]
        return any(is_one_of_only), any(is_ignored)

    def _is_kept_by_plugins(self, stack: tuple[Frame, ...]) -> bool:
        if self._keep is None:
            return True
        try:
            return self._keep(Stack(stack))
        except Exception as error:
            raise FilterError(
                f"a plugin's membudget_keep_allocation raised {type(error).__name__}: {error}, for "
                f"a stack that ends in {stack[0] if stack else 'no Python code'}"
            ) from error

    @real_functions()
    def check_all_match(self) -> None:
        """Refuse patterns that nothing can match, now that the block has ended.

        A pattern is one that can when a frame of the block matched it, or when there is such a
        module or file, whether it is loaded or not: what ran before makes no difference.

        Raises:
            InvalidLimitError: a pattern matches nothing.
        """
        for name, patterns in (("only", self._only), ("ignore", self._ignore)):
            for pattern in patterns:
                if not pattern.matched and not pattern.exists():
                    raise InvalidLimitError(
                        f"{name}={pattern.text!r} matches nothing: no stack of this block, and no "
                        f"{'file' if pattern.is_path else 'module'} that can be imported here"
                    )


class _Pattern:
    """One pattern.

    Attributes:
        matched: whether it has matched anything.
    """

    def __init__(self, text: str) -> None:
        self.text: Final = text
        self.is_path: Final = "/" in text or text.endswith(".py")
        if self.is_path:
            anywhere = text.startswith(("/", "*"))
            translated = fnmatch.translate(text if anywhere else f"*/{text}")
        else:
            # "mypkg.*" is mypkg as well: its package's own module.
            translated = fnmatch.translate(text.removesuffix(".*"))
        self._expression: Final = re.compile(translated)
        self.matched = False

    def matches(self, file: str, modules: Iterable[str]) -> bool:
        """Whether it matches a file, or one of the modules that the file is, or their packages."""
        if self.is_path:
            found = self._expression.match(os.path.abspath(file)) is not None
        else:
            found = any(self._expression.match(name) for name in _with_packages(modules))
        self.matched |= found
        return found

    def exists(self) -> bool:
        """Whether there is anything that it can match, loaded or not."""
        if self.is_path:
            return self._is_a_path()
        loaded = (name for names in _loaded_modules().values() for name in names)
        if any(self._expression.match(name) for name in _with_packages(loaded)):
            return True
        text = self.text.removesuffix(".*")
        beginning = re.split(r"[*?\[]", text, maxsplit=1)[0]
        if beginning == text:
            spec = _find_spec(text)
            return spec is not None and _has_frames(spec)
        package, _, _ = beginning.rpartition(".")
        if not package:
            # Which modules there are in which packages, nobody can say without looking at them all.
            return "." in text or any(map(self._expression.match, _names_in(None)))
        spec = _find_spec(package)
        if spec is None:
            return False
        return any(map(self._expression.match, _names_below(package, spec)))

    def _is_a_path(self) -> bool:
        ending = self.text.removeprefix("*/")
        # In glob, * stands for no slashes; a pattern that ends in one is there when its folder is.
        ending = re.sub(r"/\**$", "", ending)
        roots = [""] if ending.startswith("/") else [os.curdir, *sys.path]
        return any(next(glob.iglob(os.path.join(root, ending)), None) for root in roots)


def _with_packages(modules: Iterable[str]) -> Iterator[str]:
    for name in modules:
        while name:
            yield name
            name = name.rpartition(".")[0]


def _find_spec(name: str) -> ModuleSpec | None:
    """Find a module without importing anything."""
    path: Sequence[str] | None = None
    spec: ModuleSpec | None = None
    found: list[str] = []
    for part in name.split("."):
        if found and path is None:
            return None  # in a module that is no package
        found.append(part)
        finders = (getattr(finder, "find_spec", None) for finder in sys.meta_path)
        specs = (find(".".join(found), path) for find in finders if find is not None)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec


def _has_frames(spec: ModuleSpec) -> bool:
    """Whether code of a module can be in a stack trace; that of one in C is not."""
    is_package = spec.submodule_search_locations is not None
    return is_package or spec.origin == "frozen" or _is_python(spec.origin or "")


def _is_python(file: str) -> bool:
    return file.endswith((".py", ".pyc"))


def _names_in(path: Iterable[str] | None) -> Iterator[str]:
    for module in pkgutil.iter_modules(path):
        yield module.name


def _names_below(package: str, spec: ModuleSpec) -> Iterator[str]:
    """Yield the full names of what is in a package, and in packages in it."""
    for module in pkgutil.iter_modules(spec.submodule_search_locations or ()):
        name = f"{package}.{module.name}"
        yield name
        below = _find_spec(name) if module.ispkg else None
        if below is not None:
            yield from _names_below(name, below)


def _loaded_modules() -> dict[str, tuple[str, ...]]:
    """Return the names of the loaded modules, by file."""
    names: dict[str, tuple[str, ...]] = {}
    for name, module in list(sys.modules.items()):
        written = getattr(module, "__dict__", {})
        file, spec = written.get("__file__"), written.get("__spec__")
        if isinstance(file, str) and _is_python(file):
            # What runs as __main__ has the name that it was started with as well.
            its_names = dict.fromkeys((name, getattr(spec, "name", None) or name))
            names[file] = (*names.get(file, ()), *its_names)
    return names


def _names_by_path(file: str) -> Iterator[str]:
    """Yield the names under which a file would be imported: it may run under another one."""
    if file.startswith("<frozen "):
        yield file.removeprefix("<frozen ").removesuffix(">")
        return
    file = os.path.abspath(file)
    for entry in dict.fromkeys(sys.path):
        root = os.path.join(os.path.abspath(entry), "")
        if file.startswith(root) and file.endswith(".py"):
            inside = file.removeprefix(root).removesuffix(".py").removesuffix("/__init__")
            yield inside.replace(os.sep, ".")
