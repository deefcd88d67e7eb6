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
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from .budget import Scope
from .errors import CaptureError, InvalidLimitError
from .host.module_names import (
    NOT_UTF_8,
    absolute,
    is_utf_8,
    module_names,
    resolved,
    working_directory,
)
from .measurement import Frame, Stack
from .user_filters import ask_filter

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


def patterns_of(scope: Scope) -> tuple[str, ...]:
    """Return the patterns of a scope as a report shows them.

    Example:
        >>> patterns_of(Scope(only=("mypkg",), ignore=("tests/*",)))
        ("only='mypkg'", "ignore='tests/*'")
    """
    only = (f"only={text!r}" for text in scope.only)
    return (*only, *(f"ignore={text!r}" for text in scope.ignore))


class StackFilter:
    """Says which stacks count, for one block; made when the block opens.

    Args:
        scope: has the patterns.
        keep: what plugins say; see ``membudget_keep_allocation`` in :mod:`membudget.hookspecs`.
    """

    def __init__(self, scope: Scope, keep: KeepAllocation | None = None) -> None:
        # The code of the block may change it.
        directory = working_directory()
        self._directory = directory
        self._only = [_Pattern(text, directory) for text in scope.only]
        self._ignore = [_Pattern(text, directory) for text in scope.ignore]
        self._patterns = dict(zip(patterns_of(scope), self._only + self._ignore, strict=True))
        self._keep = keep
        # Of each file, whether it is one of ``only``, and whether it is to be ignored.
        self._files: dict[str, tuple[bool, bool]] = {}
        # Modules may be taken out of sys.modules before the block ends.
        module_names.refresh()

    def keeps(self, stacks: Iterable[tuple[Frame, ...]]) -> list[bool]:
        """Say of each stack whether it counts; to be called within ``real_functions()``.

        Raises:
            FilterError: a plugin raised something.
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
        """Return whether a file is one of ``only``, and whether it is to be ignored."""
        # Each pattern is tried on every file: which of them match something is known afterwards.
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
        """Return those that match no stack, and no code of the modules that are loaded here."""
        files = module_names.files
        return [one for one in self.unmatched if not self._patterns[one].matches_one_of(files)]

    def check_whole(self) -> None:
        """Refuse to judge a block by patterns that cannot match, now that it has ended.

        Raises:
            InvalidLimitError: no pattern of ``only`` matches anything.
            CaptureError: one matches modules that memray cannot record.
        """
        self.check_only()
        unrecorded = self.unrecorded()
        if unrecorded:
            raise CaptureError(f"{', '.join(unrecorded)} cannot be checked: {NOT_UTF_8}")

    def unrecorded(self) -> list[str]:
        """Return those that match a loaded module whose path is not UTF-8.

        memray leaves calls of its functions out of the stacks (CPython 3.11), so nothing of it
        would match, whatever it allocated.
        """
        files = [file for file in module_names.files if not is_utf_8(file)]
        return [one for one, pattern in self._patterns.items() if pattern.matches_one_of(files)]

    def check_only(self) -> None:
        """Refuse an ``only`` of which nothing is loaded, now that the block has ended.

        No code of it can have run in the block, so a limit would hold whatever the block did. Where
        something of it is loaded and matched no stack, it has allocated nothing that counts.

        Raises:
            InvalidLimitError: no pattern of ``only`` matches anything.
        """
        files = module_names.files
        if self._only and not any(one.matched or one.matches_one_of(files) for one in self._only):
            shown = [one for one, pattern in self._patterns.items() if pattern in self._only]
            raise InvalidLimitError(
                f"{', '.join(shown)} matches nothing: no code of it is loaded here, so nothing of "
                f"this block counts and the limit would hold whatever the block did. Look for a "
                f"misspelt name, and note that code in C has no frames that a pattern can match"
            )


class _Pattern:
    """One pattern.

    Args:
        text: as the user wrote it.
        directory: what relative paths of files are taken from.

    Attributes:
        matched: whether it has matched anything.
    """

    def __init__(self, text: str, directory: str) -> None:
        self._directory = directory
        self._is_path = "/" in text or text.endswith(".py")
        if self._is_path:
            anywhere = text.startswith(("/", "*"))
            translated = fnmatch.translate(text if anywhere else f"*/{text}")
        else:
            # "mypkg.*" is mypkg as well: its package's own module.
            translated = fnmatch.translate(text.removesuffix(".*"))
        self._expression: Final = re.compile(translated)
        self.matched = False

    def judge(self, file: str, modules: Iterable[str]) -> bool:
        """Whether it matches a file of a stack, and take note of that."""
        found = self._matches(file, modules)
        self.matched |= found
        return found

    def _matches(self, file: str, modules: Iterable[str]) -> bool:
        """Whether it matches a file, or one of the modules that the file is, or their packages."""
        if not self._is_path:
            return any(self._expression.match(name) for name in _with_packages(modules))
        path = absolute(file, self._directory)
        matches = self._expression.match
        # By the path under which it was imported, or where a symbolic link on the way leads.
        return matches(path) is not None or matches(resolved(path)) is not None

    def matches_one_of(self, files: Iterable[str]) -> bool:
        """Whether it matches the code in any of the files."""
        return any(self._matches(file, module_names.of(file, self._directory)) for file in files)


def _with_packages(modules: Iterable[str]) -> Iterator[str]:
    for name in modules:
        while name:
            yield name
            name = name.rpartition(".")[0]
