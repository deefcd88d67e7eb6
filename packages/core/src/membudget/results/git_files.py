"""Reads the commit and the branch of a working tree from the files of git.

It does not start ``git``: that may not be installed, and this process may be recording its memory.
It reads the layout of gitrepository-layout(5); for a repository with another format of refs
(reftable), commit and branch are unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ..host.raised import suppressed
from ..host.system import Real
from ..source.files import read_whole

# GitHub sets the first branch variable only for pull requests.
_CI: Final = (
    ("GITHUB_SHA", "GITHUB_HEAD_REF", "GITHUB_REF_NAME"),
    ("CI_COMMIT_SHA", "CI_COMMIT_REF_NAME"),
)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def commit_and_branch(directory: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the commit and the branch that are checked out; empty if unknown.

    Args:
        directory: a directory in the working tree.
        environment: the environment variables. Values from CI servers are preferred, because these
            check out a commit without a branch.

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
    # A linked working tree has its own HEAD, and shares the branches.
    common = Real.join(git, _text(git, "commondir"))
    commit = _commit(_text(common, ref)) or _packed(common, ref)
    return (commit, ref.removeprefix("refs/heads/")) if commit else ("", "")


def _git_directory(directory: str) -> str:
    """Return the directory of a working tree's repository; empty if there is none."""
    while True:
        git: str = Real.join(directory, ".git")
        if _text(git, "HEAD"):
            return git
        link = _text(git)  # a file, in a submodule or a linked working tree
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
    """Return the stripped text of a file; empty if it cannot be read."""
    with suppressed(OSError):
        return read_whole(Real.join(*path)).decode(errors="replace").strip()
    return ""
