"""Which stacks count: matches the frames of a stack with patterns of modules and paths.

A pattern with a slash, or that ends in ``.py``, matches paths; any other pattern matches modules:

* ``"mypkg"``, ``"mypkg.*"`` - the module or package and everything in it, as mypy reads
  ``mypkg.*``;
* ``"mypkg.*_pb2"`` - with the wildcards of :mod:`fnmatch`; ``*`` also matches dots;
* ``"tests/*"``, ``"*/site-packages/ddtrace/*"`` - the end of a path, or the whole path if the
  pattern begins with a slash or ``*``; ``*`` also matches slashes.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from .budget import Scope
from .errors import CaptureError, InvalidLimitError
from .host.module_names import (
    NOT_UTF_8,
    absolute,
    module_names,
    resolved,
    working_directory,
)
from .measurement import Frame, Stack
from .user_filters import ask_filter

KeepAllocation = Callable[[Stack], bool]


def check_patterns(patterns: str | Iterable[str], *, where: str) -> tuple[str, ...]:
    """Return patterns in the form of a :class:`Scope`.

    Args:
        patterns: one pattern, or several.
        where: what they are for; the error message starts with it.

    Raises:
        InvalidLimitError: a pattern is not text or is empty, or there is no pattern.

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
            f"{where}: {wrong[0] if wrong else patterns!r} is not a pattern: use a module such as "
            f"'mypkg' or 'mypkg.*', a path such as 'tests/*', or a list of them"
        )
    return tuple(str(pattern).strip() for pattern in listed)


def patterns_of(scope: Scope) -> tuple[str, ...]:
    """Return the patterns of a scope as a report shows them.

    Example:
        >>> patterns_of(Scope(only=("mypkg",), ignore=("tests/*",)))
        ("only='mypkg'", "ignore='tests/*'")
    """
    only = (f"only={text!r}" for text in scope.only)
    return (*only, *(f"ignore={text!r}" for text in scope.ignore))


class StackFilter:
    """Decides which stacks count for one block; made when the block opens.

    Args:
        scope: has the patterns.
        keep: the filter of plugins; see ``membudget_keep_allocation`` in
            :mod:`membudget.hookspecs`.
    """

    def __init__(self, scope: Scope, keep: KeepAllocation | None = None) -> None:
        # Stored, because the code of the block may change it.
        directory = working_directory()
        self._directory = directory
        self._only = [_Pattern(text, directory) for text in scope.only]
        self._ignore = [_Pattern(text, directory) for text in scope.ignore]
        self._patterns = dict(zip(patterns_of(scope), self._only + self._ignore, strict=True))
        self._keep = keep
        # For each file: whether ``only`` matches it, and whether ``ignore`` does.
        self._files: dict[str, tuple[bool, bool]] = {}
        # Modules may be removed from sys.modules before the block ends.
        module_names.refresh()

    def keeps(self, stacks: Iterable[tuple[Frame, ...]]) -> list[bool]:
        """Return for each stack whether it counts. Call it within ``real_functions()``.

        Raises:
            FilterError: a plugin raised an exception.
        """
        files = self._files
        kept = []
        for stack in stacks:
            for file in {frame.filename for frame in stack} - files.keys():
                module_names.refresh_for(file)
                files[file] = self._judge(file, module_names.of(file, self._directory))
            found = [files[frame.filename] for frame in stack]
            counts = not self._only or any(is_one_of_only for is_one_of_only, _ in found)
            is_ignored = any(is_ignored for _, is_ignored in found)
            kept.append(counts and not is_ignored and self._is_kept_by_plugins(stack))
        return kept

    def _judge(self, file: str, modules: tuple[str, ...]) -> tuple[bool, bool]:
        """Return whether ``only`` matches a file, and whether ``ignore`` does."""
        # Every pattern is tried on every file, to know afterwards which patterns matched.
        is_one_of_only = [pattern.judge(file, modules) for pattern in self._only]
        is_ignored = [pattern.judge(file, modules) for pattern in self._ignore]
        return any(is_one_of_only), any(is_ignored)

    def _is_kept_by_plugins(self, stack: tuple[Frame, ...]) -> bool:
        return self._keep is None or ask_filter(
            self._keep, Stack(stack), whose="a plugin's membudget_keep_allocation"
        )

    @property
    def unmatched(self) -> tuple[str, ...]:
        """The patterns that matched no stack, as ``only='mypkg'``."""
        return tuple(shown for shown, pattern in self._patterns.items() if not pattern.matched)

    def unknown(self) -> list[str]:
        """Return the patterns that match no stack and no loaded code."""
        return [one for one in self.unmatched if not self._patterns[one].matches_loaded_code()]

    def check_whole(self) -> None:
        """Raise if patterns cannot match, so that the block cannot be judged. For an ended block.

        Raises:
            InvalidLimitError: no pattern of ``only`` matches anything.
            CaptureError: a pattern matches modules that memray cannot record.
        """
        self.check_only()
        unrecorded = self.unrecorded()
        if unrecorded:
            raise CaptureError(f"{', '.join(unrecorded)} cannot be checked: {NOT_UTF_8}")

    def unrecorded(self) -> list[str]:
        """Return the patterns that match a loaded module whose path is not UTF-8.

        memray leaves calls of its functions out of the stacks (CPython 3.11), so the pattern would
        match nothing, whatever the module allocated.
        """
        files = module_names.files_not_utf_8
        return [one for one, pattern in self._patterns.items() if pattern.matches_one_of(files)]

    def check_only(self) -> None:
        """Raise if no code that ``only`` names is loaded. For a block that has ended.

        None of that code can have run in the block, so a limit would hold whatever the block did.
        If such code is loaded and matched no stack, it has allocated nothing that counts.

        Raises:
            InvalidLimitError: no pattern of ``only`` matches anything.
        """
        if self._only and not any(one.matched or one.matches_loaded_code() for one in self._only):
            shown = [one for one, pattern in self._patterns.items() if pattern in self._only]
            raise InvalidLimitError(
                f"{', '.join(shown)} matches nothing: no code of this name is loaded, so nothing "
                f"counts and the limit could never be exceeded. Check the spelling. Modules in C "
                f"cannot be matched, because they have no frames"
            )


_matching: Final[set[tuple[str, str]]] = set()
"""Patterns, with their directories, that match code of a loaded module: names are never removed."""


class _Pattern:
    """One pattern.

    Args:
        text: the pattern of the user.
        directory: the directory to which relative paths of files refer.

    Attributes:
        matched: whether it has matched a file of a stack.
    """

    def __init__(self, text: str, directory: str) -> None:
        self._key = (text, directory)
        self._directory = directory
        self._is_path = "/" in text or text.endswith(".py")
        if self._is_path:
            anywhere = text.startswith(("/", "*"))
            translated = fnmatch.translate(text if anywhere else f"*/{text}")
        else:
            # "mypkg.*" also matches the module of the package itself.
            translated = fnmatch.translate(text.removesuffix(".*"))
        self._expression: Final = re.compile(translated)
        self.matched = False

    def judge(self, file: str, modules: Iterable[str]) -> bool:
        """Return whether it matches a file of a stack, and remember a match."""
        found = self._matches(file, modules)
        self.matched |= found
        return found

    def _matches(self, file: str, modules: Iterable[str]) -> bool:
        """Whether it matches a file, one of the file's modules, or their packages."""
        if not self._is_path:
            return any(self._expression.match(name) for name in _with_packages(modules))
        path = absolute(file, self._directory)
        matches = self._expression.match
        # Both the path under which it was imported, and the path with symbolic links resolved.
        return matches(path) is not None or matches(resolved(path)) is not None

    def matches_loaded_code(self) -> bool:
        """Whether it matches the code of any module that has been loaded so far."""
        # A process can have thousands of modules, and every test asks about the same patterns.
        if self._key not in _matching and self.matches_one_of(module_names.files):
            _matching.add(self._key)
        return self._key in _matching

    def matches_one_of(self, files: Iterable[str]) -> bool:
        """Whether it matches the code in any of the files."""
        return any(self._matches(file, module_names.of(file, self._directory)) for file in files)


def _with_packages(modules: Iterable[str]) -> Iterator[str]:
    for name in modules:
        while name:
            yield name
            name = name.rpartition(".")[0]
