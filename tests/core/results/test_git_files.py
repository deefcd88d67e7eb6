"""The commit and the branch are what git itself says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from membudget.results.git_files import commit_and_branch

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
IDENTITY = {
    f"GIT_{who}_{what}": "somebody@example.com"
    for who in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


def git(directory: Path, *arguments: str) -> str:
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-c", "init.defaultBranch=main", *arguments],
        cwd=directory,
        env={**own, **IDENTITY, "GIT_CONFIG_GLOBAL": os.devnull},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    directory = tmp_path / "repository"
    (directory / "tests").mkdir(parents=True)
    git(directory, "init")
    git(directory, "commit", "--allow-empty", "-m", "first")
    return directory


def found(directory: Path) -> tuple[str, str]:
    return commit_and_branch(str(directory), {})


@needs_git
def test_a_branch(repository: Path) -> None:
    """In the directory itself and below, whether git has packed its branches or not."""
    commit = git(repository, "rev-parse", "HEAD")
    assert found(repository) == found(repository / "tests") == (commit, "main")
    git(repository, "checkout", "-b", "feature/größer")
    git(repository, "commit", "--allow-empty", "-m", "second")
    second = git(repository, "rev-parse", "HEAD")
    assert found(repository) == (second, "feature/größer")
    git(repository, "pack-refs", "--all")
    assert found(repository) == (second, "feature/größer")
    git(repository, "checkout", "main")
    assert found(repository) == (commit, "main")


@needs_git
def test_a_commit_without_a_branch(repository: Path) -> None:
    git(repository, "checkout", "--detach")
    assert found(repository) == (git(repository, "rev-parse", "HEAD"), "")


@needs_git
def test_a_linked_working_tree(repository: Path) -> None:
    tree = repository.parent / "tree"
    git(repository, "worktree", "add", "-b", "other", str(tree))
    git(tree, "commit", "--allow-empty", "-m", "second")
    commit = git(tree, "rev-parse", "HEAD")
    assert found(tree) == (commit, "other")
    git(repository, "pack-refs", "--all")
    assert found(tree) == (commit, "other")
    assert found(repository)[1] == "main"


@needs_git
def test_before_the_first_commit(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert found(tmp_path) == ("", "")


def test_no_repository_and_one_that_is_broken(tmp_path: Path) -> None:
    assert found(tmp_path) == ("", "")
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    assert found(tmp_path) == ("", "")
    (tmp_path / ".git").unlink()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/HEAD").write_bytes(b"\xff\n")
    assert found(tmp_path) == ("", "")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"GITHUB_SHA": "8f3c", "GITHUB_REF_NAME": "main"}, ("8f3c", "main")),
        (
            {"GITHUB_SHA": "8f3c", "GITHUB_HEAD_REF": "fix", "GITHUB_REF_NAME": "12/merge"},
            ("8f3c", "fix"),
        ),
        (
            {"GITHUB_SHA": "8f3c", "GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "main"},
            ("8f3c", "main"),
        ),
        ({"CI_COMMIT_SHA": "8f3c", "CI_COMMIT_REF_NAME": "main"}, ("8f3c", "main")),
        ({"CI_COMMIT_SHA": "8f3c"}, ("8f3c", "")),
    ],
)
def test_a_ci_server_knows_best(
    variables: dict[str, str], expected: tuple[str, str], tmp_path: Path
) -> None:
    """It checks out a commit, and the working tree is on no branch."""
    assert commit_and_branch(str(tmp_path), variables) == expected
