"""The table of options, which is the fields of ``Settings``."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import pytest
from membudget.runs import Settings, add_options, find_settings, options_of
from membudget.settings import DEFAULTS, OPTIONS, FrontEnd, Origin


def test_each_field_is_an_option() -> None:
    """Each option is declared once, and reaches the code that uses it."""
    names = [option.name for option in OPTIONS]
    assert [*names, "origins"] == [field.name for field in fields(Settings)]
    assert [option.default for option in OPTIONS] == [getattr(DEFAULTS, name) for name in names]


def test_defaults() -> None:
    assert Settings() == Settings(
        memray=False,
        most_allocations=5,
        hide_memray_summary=False,
        stacks=5,
        memray_default_limit=None,
        memray_enforce_markers="enabled",
        memray_stable=False,
        memray_include=("call",),
        memray_margins=False,
        memray_json=None,
        memray_log=None,
        memray_bin_path=None,
        memray_bin_prefix="",
        memray_own_allocators="visible",
        memray_blind="warn",
        native=False,
        trace_python_allocators=False,
    )
    assert not Settings().default_budget.limits_anything


@pytest.mark.parametrize(
    ("front_end", "lacks"),
    [("pytest", set()), ("unittest", {"memray_enforce_markers", "fail_on_increase"})],
)
def test_each_front_end_has_its_own_options(front_end: FrontEnd, lacks: set[str]) -> None:
    """Also on its command line, where an option of another front end is an error."""
    has = {option.name for option in options_of(front_end)}
    assert has == {option.name for option in OPTIONS} - lacks
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument, front_end)
    given = vars(parser.parse_args([]))
    assert given == dict.fromkeys(has)


def test_values_from_a_command_line_are_found() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument, "pytest")
    parser.add_argument("--verbose")
    given = parser.parse_args(
        ["--memray", "--memray-default-limit=1 KB", "--memray-include", "setup", "--verbose=1"]
    )
    settings = find_settings("pytest", vars(given))
    assert settings == Settings(memray=True, memray_default_limit=1024, memray_include=("setup",))


def test_help_says_what_is_always_on() -> None:
    def help_of(front_end: FrontEnd) -> str:
        parser = argparse.ArgumentParser()
        add_options(parser.add_argument, front_end)
        return " ".join(parser.format_help().split())

    assert "--memray Accepted for compatibility" in help_of("unittest")
    assert "--memray Measure the memory of every test" in help_of("pytest")
    assert "--memray-default-limit SIZE The limit of" in help_of("unittest")


@pytest.mark.parametrize(
    ("settings", "pytest_says", "unittest_says"),
    [
        (Settings(), "", ""),
        (Settings(most_allocations=2, native=True), "", ""),
        (Settings(memray=True, memray_stable=True, memray_margins=True), "", ""),
        (
            Settings(memray_margins=True),
            "this setting does nothing without memray = true: memray_margins",
            "",
        ),
        (
            Settings(memray_default_limit=5, memray_stable=True),
            "these settings do nothing without memray = true: memray_default_limit, memray_stable",
            "",
        ),
        # Limits of tests count in every run then, and the settings that change these.
        (
            Settings(
                memray_enforce_markers="always",
                memray_default_limit=5,
                memray_stable=True,
                memray_margins=True,
            ),
            "this setting does nothing without memray = true: memray_margins",
            "",
        ),
        (
            Settings(memray_bin_prefix="p", memray_stable=True),
            "this setting does nothing without memray = true: memray_stable; "
            "this setting does nothing without memray_bin_path: memray_bin_prefix",
            "this setting does nothing without memray_bin_path: memray_bin_prefix",
        ),
    ],
)
def test_settings_without_effect_are_named(
    settings: Settings, pytest_says: str, unittest_says: str
) -> None:
    """All of them in one line, whichever front end it is."""
    expected = [f"membudget: {says}" if says else "" for says in (pytest_says, unittest_says)]
    assert [settings.idle_notice("pytest"), settings.idle_notice("unittest")] == expected


def test_the_needed_option_needs_another_option() -> None:
    """A prefix needs a path for captures, which needs --memray: --memray is missing."""
    settings = Settings(memray_bin_path=Path("kept"), memray_bin_prefix="p")
    assert settings.idle_notice("pytest") == (
        "membudget: these settings do nothing without memray = true: memray_bin_path, "
        "memray_bin_prefix"
    )
    assert settings.idle_notice("unittest") == ""


def test_the_notice_names_the_places() -> None:
    origins = {
        "memray_stable": Origin("pyproject.toml", "memray_stable"),
        "memray_margins": Origin("the environment", "MEMBUDGET_MEMRAY_MARGINS"),
    }
    settings = Settings(memray_stable=True, memray_margins=True, origins=origins)
    assert settings.idle_notice("pytest").endswith(
        ": memray_stable (pyproject.toml), MEMBUDGET_MEMRAY_MARGINS (the environment)"
    )


def test_a_child_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(memray_default_limit=0, memray_include=("setup", "call"), native=True)
    assert settings.environment == {
        "MEMBUDGET_MEMRAY_DEFAULT_LIMIT": "0",
        "MEMBUDGET_MEMRAY_INCLUDE": "setup,call",
        "MEMBUDGET_NATIVE": "True",
    }
    for name, value in settings.environment.items():
        monkeypatch.setenv(name, value)
    assert find_settings("unittest") == settings
