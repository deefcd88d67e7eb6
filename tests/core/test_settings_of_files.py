"""``[tool.membudget]``: which file counts, and what comes after it."""

from __future__ import annotations

from pathlib import Path

import pytest
from membudget import InvalidOptionError, find_settings


@pytest.fixture
def below(tmp_path: Path) -> Path:
    """A folder below one whose file has a table."""
    (tmp_path / "pyproject.toml").write_text("[tool.membudget]\nstacks = 3\n")
    below = tmp_path / "packages" / "one"
    below.mkdir(parents=True)
    return below


@pytest.mark.parametrize(
    "text", [b"", b"[project]\nname = 'one'\n", b"[tool.ruff]\n", b"[tool", b"tool = 3", b"\xff"]
)
def test_files_without_the_table_are_passed_over(below: Path, text: bytes) -> None:
    """As in a repository of several projects; a file that is broken is not read for its table."""
    (below / "pyproject.toml").write_bytes(text)
    assert find_settings("unittest", directory=below).stacks == 3


def test_the_nearest_table_counts_alone(below: Path) -> None:
    (below / "pyproject.toml").write_text("[tool.membudget]\nmost_allocations = 2\n")
    settings = find_settings("unittest", directory=below)
    assert (settings.stacks, settings.most_allocations) == (5, 2)


def test_an_empty_table_is_one(below: Path) -> None:
    """Which keeps out what is written above."""
    (below / "pyproject.toml").write_text("[tool.membudget]\n")
    assert find_settings("unittest", directory=below).stacks == 5


def test_the_file_of_a_front_end_comes_after_the_table(
    below: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stacks(**options: object) -> int:
        own = {"stacks": "4", "native": None}
        return find_settings(
            "pytest", options, directory=below, own_file=own, own_file_name="pytest.ini"
        ).stacks

    assert stacks() == 4
    monkeypatch.setenv("MEMBUDGET_STACKS", "6")
    assert stacks() == 6
    assert stacks(stacks="7") == 7


def test_each_front_end_takes_its_own_options(below: Path) -> None:
    """One table serves both."""
    (below / "pyproject.toml").write_text("[tool.membudget]\nmemray_enforce_markers = 'always'\n")
    always = [
        find_settings(front_end, directory=below).memray_enforce_markers
        for front_end in ("pytest", "unittest")
    ]
    assert always == ["always", "enabled"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.membudget]\nmost = 1\n", r"\[tool.membudget\] has no option 'most'; it has memray"),
        ("[tool.membudget]\nstacks = 'x'\n", r"pyproject.toml: stacks: 'x' is not a whole number"),
        ("[tool.membudget", r"pyproject.toml cannot be read: "),
        ("[tool]\nmembudget = 3", r"pyproject.toml: membudget is not a table: write \[tool.memb"),
    ],
)
def test_mistakes_name_their_file(below: Path, text: str, message: str) -> None:
    (below / "pyproject.toml").write_text(text)
    with pytest.raises(InvalidOptionError, match=message):
        find_settings("unittest", directory=below)


def test_settings_that_need_measuring(below: Path) -> None:
    """So that a run that measures nothing can say that they do nothing."""
    given = {"memray_default_limit": "1 MB", "memray_stable": "on", "most_allocations": "2"}
    settings = find_settings("pytest", given, directory=below)
    assert settings.idle == ["memray_default_limit", "memray_stable"]
    assert find_settings("pytest", directory=below).idle == []
