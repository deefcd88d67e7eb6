"""Where settings come from: which file is read, and which source wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from membudget import InvalidOptionError
from membudget.runs import find_settings
from membudget.settings_sources import resolve


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
def test_files_without_the_table_are_skipped(below: Path, text: bytes) -> None:
    """As in a repository of several projects; an invalid file without the table is skipped."""
    (below / "pyproject.toml").write_bytes(text)
    assert find_settings("unittest", directory=below).stacks == 3


def test_only_the_nearest_table_is_read(below: Path) -> None:
    (below / "pyproject.toml").write_text("[tool.membudget]\nmost_allocations = 2\n")
    settings = find_settings("unittest", directory=below)
    assert (settings.stacks, settings.most_allocations) == (5, 2)


def test_an_empty_table_counts_as_a_table(below: Path) -> None:
    """It hides the tables of files above it."""
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


@pytest.mark.parametrize(
    ("name", "meant"),
    [("memray_defualt_limit", "memray_default_limit"), ("most-allocations", "most_allocations")],
)
def test_a_misspelt_name_is_an_error(below: Path, name: str, meant: str) -> None:
    """Not a warning: a default limit whose name is misspelt would limit nothing."""
    (below / "pyproject.toml").write_text(f"[tool.membudget]\n{name} = 3\n")
    with pytest.raises(InvalidOptionError, match=f"has no option '{name}'; did you mean '{meant}'"):
        find_settings("pytest", directory=below)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One precedence everywhere: default, file, environment, command line."""

    def resolved(**command_line: object) -> int:
        config = {"most_allocations": "1"}
        return resolve(
            config=config, command_line=command_line, config_name="x.ini"
        ).most_allocations

    assert resolved() == 1
    monkeypatch.setenv("MEMBUDGET_MOST_ALLOCATIONS", "2")
    assert resolved() == 2
    assert resolved(most_allocations="3") == 3
    assert resolved(most_allocations=None) == 2


def test_an_invalid_value_is_an_error_in_every_source(
    below: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if another source wins; the message begins with the place."""
    wrong = {"stacks": "x"}
    with pytest.raises(InvalidOptionError, match=r"^a\.ini: stacks: 'x' is not a whole number"):
        find_settings("pytest", directory=below, own_file=wrong, own_file_name="a.ini")
    with pytest.raises(InvalidOptionError, match=r"^--stacks: 'x' is not a whole number"):
        find_settings("pytest", wrong, directory=below)
    monkeypatch.setenv("MEMBUDGET_STACKS", "x")
    with pytest.raises(InvalidOptionError, match=r"^MEMBUDGET_STACKS: 'x' is not a whole number"):
        find_settings("pytest", {"stacks": "3"}, directory=below)
    monkeypatch.setenv("MEMBUDGET_STACKS", "")  # CI files often set variables to nothing
    assert find_settings("pytest", directory=below).stacks == 3


@pytest.mark.parametrize("value", ["always", "alway"])
def test_options_of_another_front_end_are_ignored(
    value: str, below: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From every source: only that front end can check them."""
    monkeypatch.setenv("MEMBUDGET_MEMRAY_ENFORCE_MARKERS", value)
    (below / "pyproject.toml").write_text(f"[tool.membudget]\nmemray_enforce_markers = '{value}'")
    settings = find_settings("unittest", {"memray_enforce_markers": value}, directory=below)
    assert (settings.memray_enforce_markers, settings.origins) == ("enabled", {})


def test_options_without_effect_are_refused_on_a_command_line(below: Path) -> None:
    """All in one message; in a file, they may be for another run."""
    given = {"memray_stable": True, "memray_margins": True, "memray_bin_prefix": "x"}
    with pytest.raises(InvalidOptionError) as raised:
        find_settings("pytest", given, directory=below)
    assert str(raised.value) == (
        "--memray-stable, --memray-margins do nothing without --memray: add --memray; "
        "--memray-bin-prefix does nothing without --memray-bin-path: add --memray-bin-path"
    )
    with pytest.raises(InvalidOptionError, match=r"^--memray-bin-prefix does nothing without"):
        find_settings("unittest", given, directory=below)
    # Limits of tests count in every run then; what is about a report or captures does nothing.
    own_file = {"memray_enforce_markers": "always", "memray_bin_path": "kept"}
    with pytest.raises(InvalidOptionError) as raised:
        find_settings("pytest", given, directory=below, own_file=own_file)
    assert str(raised.value) == (
        "--memray-margins, --memray-bin-prefix do nothing without --memray: add --memray"
    )
    # Equal to the default, and given all the same.
    with pytest.raises(InvalidOptionError, match="--memray-include does nothing without"):
        find_settings("pytest", {"memray_include": "call"}, directory=below)
    settings = find_settings("pytest", directory=below, own_file=given, own_file_name="a.ini")
    assert settings.idle_notice("pytest") == (
        "membudget: these settings do nothing without memray = true: memray_stable (a.ini), "
        "memray_margins (a.ini); this setting does nothing without memray_bin_path: "
        "memray_bin_prefix (a.ini)"
    )
    every = {**given, "memray": True, "memray_bin_path": "kept"}
    assert find_settings("pytest", every, directory=below).idle_notice("pytest") == ""


def test_the_origin_is_that_of_the_source_that_wins(
    below: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMBUDGET_STACKS", "6")
    given = {"most_allocations": "2"}
    origins = find_settings("pytest", given, directory=below).origins
    assert {name: str(origin) for name, origin in origins.items()} == {
        "stacks": "the environment, MEMBUDGET_STACKS",
        "most_allocations": "the command line, --most-allocations",
    }
