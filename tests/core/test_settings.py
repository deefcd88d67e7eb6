"""The table of options and what is made of it."""

from __future__ import annotations

from dataclasses import fields

import pytest
from membudget import OPTIONS, InvalidOptionError, Settings, resolve


def test_every_option_is_a_setting() -> None:
    """An option that is declared reaches the code that uses it."""
    names = [option.name for option in OPTIONS]
    assert [*names, "default_limit_origin"] == [field.name for field in fields(Settings)]


def test_defaults() -> None:
    assert resolve(config={}, command_line={}, config_name="") == Settings(
        memray=False,
        most_allocations=5,
        hide_memray_summary=False,
        stacks=5,
        memray_default_limit="",
        memray_enforce_markers="enabled",
        memray_stable=False,
        memray_include="call",
        memray_margins=False,
        memray_json="",
        memray_bin_path="",
        memray_bin_prefix="",
        memray_own_allocators="visible",
        memray_blind="warn",
        native=False,
        trace_python_allocators=False,
    )


def test_a_prefix_for_captures_that_nobody_keeps() -> None:
    """On the command line it would do nothing; a file may have it for runs that keep some."""
    given = {"memray_bin_prefix": "x"}
    with pytest.raises(InvalidOptionError, match="does nothing without --memray-bin-path"):
        resolve(config={}, command_line=given, config_name="")
    assert resolve(config=given, command_line={}, config_name="").memray_bin_prefix == "x"
    kept = {**given, "memray_bin_path": "here"}
    assert resolve(config={}, command_line=kept, config_name="").memray_bin_path == "here"


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


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "", -1, True, 1.5])
def test_a_wrong_value_names_its_place(value: object) -> None:
    """A typo in a file is an error that says which key of which file."""
    with pytest.raises(InvalidOptionError, match=r"x\.ini: most_allocations: "):
        resolve(config={"most_allocations": value}, command_line={}, config_name="x.ini")
    for name in "memray_default_limit", "memray_json", "memray_bin_path", "memray_bin_prefix":
        with pytest.raises(InvalidOptionError, match=rf"x\.ini: {name}: \[3\] is not a "):
            resolve(config={name: [3]}, command_line={}, config_name="x.ini")
    with pytest.raises(InvalidOptionError, match="memray_default_limit: True is not a size"):
        resolve(config={"memray_default_limit": True}, command_line={}, config_name="x.ini")
    with pytest.raises(InvalidOptionError, match="--hide-memray-summary: 'maybe'"):
        resolve(config={}, command_line={"hide_memray_summary": "maybe"}, config_name="")


@pytest.mark.parametrize(
    ("text", "value"), [("on", True), ("TRUE", True), ("0", False), ("No", False)]
)
def test_switches_take_the_usual_words(text: str, value: bool) -> None:
    assert resolve(config={"memray": text}, command_line={}, config_name="x").memray is value
