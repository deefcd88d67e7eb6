"""The commit and the branch of a working tree, from the files that git keeps.

No ``git`` is started: it may not be installed, and it would have to be started from a process whose
memory is recorded. Only the layout is read that gitrepository-layout(5) describes; where a
repository keeps its refs in another way (reftable), nothing is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ..host.raised import suppressed
from ..host.system import Real
from ..source.files import read_whole

# GitHub has the branch of a pull request in the first of its variables, and only then.
_CI: Final = (
    ("GITHUB_SHA", "GITHUB_HEAD_REF", "GITHUB_REF_NAME"),
    ("CI_COMMIT_SHA", "CI_COMMIT_REF_NAME"),
)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def commit_and_branch(directory: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the commit and the branch that are checked out; empty where they are not known.

    Args:
        directory: a directory in the working tree.
        environment: the environment variables. What CI servers say in them comes first: they check
            out commits, and their working tree is on no branch.

    Example:
        >>> commit_and_branch("/", {"GITHUB_SHA": "8f3c", "GITHUB_REF_NAME": "main"})
        ('8f3c', 'main')
    """
    for commit, *branches in _CI:
        if environment.get(commit):
            named = (environment.get(branch) for branch in branches)
            return environment[commit], next(filter(None, named), "")
    git = _git_directory(directory)
    if not git:
        return "", ""
    head = _text(git, "HEAD")
    if not head.startswith("ref: "):
        return _commit(head), ""
    ref = head.removeprefix("ref: ")
    # A linked working tree has a HEAD of its own, and shares the branches.
    common = Real.join(git, _text(git, "commondir"))
    commit = _commit(_text(common, ref)) or _packed(common, ref)
    return (commit, ref.removeprefix("refs/heads/")) if commit else ("", "")


def _git_directory(directory: str) -> str:
    """Return where the repository is of a working tree; empty for none."""
    while True:
        git: str = Real.join(directory, ".git")
        if _text(git, "HEAD"):
            return git
        link = _text(git)  # of a submodule or a linked working tree
        if link.startswith("gitdir: "):
            return str(Real.join(directory, link.removeprefix("gitdir: ")))
        parent = Real.dirname(directory)
        if parent == directory:
            return ""
        directory = parent


def _packed(common: str, ref: str) -> str:
    for line in _text(common, "packed-refs").splitlines():
        commit, _, name = line.partition(" ")
        if name == ref:
            return _commit(commit)
    return ""


def _commit(text: str) -> str:
    return text if _COMMIT.fullmatch(text) else ""


def _text(*path: str) -> str:
    """Return the text of a file without blanks around it; empty for one that cannot be read."""
    with suppressed(OSError):
        return read_whole(Real.join(*path)).decode(errors="replace").strip()
    return ""
