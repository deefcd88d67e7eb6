"""Patterns of modules and paths: what they match, and errors if they match nothing."""

from __future__ import annotations

import importlib
import json
import logging.handlers
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from membudget import Frame, InvalidLimitError, Scope, Stack, stack_filter
from membudget.errors import FilterError
from membudget.stack_filter import StackFilter, check_patterns

HERE = Frame("test", __file__, 1)
JSON = Frame("loads", json.__file__, 1)
HANDLERS = Frame("emit", str(logging.handlers.__file__), 1)
GONE = Frame("run", "/somewhere/else/gone.py", 1)
FROZEN = Frame("_find_and_load", "<frozen importlib._bootstrap>", 1)


def kept(stack: tuple[Frame, ...], **scope: tuple[str, ...]) -> bool:
    return StackFilter(Scope(**scope)).keeps([stack])[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("json", True),
        ("json.*", True),
        ("js*", True),
        ("json.decoder", False),
        ("son", False),
        ("JSON", False),
        ("json/*", True),
        ("json/__init__.py", True),
        ("*/json/*", True),
        (json.__file__, True),
        (str(Path(json.__file__).parent), False),
        ("/json/*", False),
    ],
)
def test_what_a_pattern_matches(pattern: str, matches: bool) -> None:
    """A module and what is in it; the end of a path, or all of it."""
    assert kept((HERE, JSON), only=(pattern,)) is matches
    assert kept((HERE, JSON), ignore=(pattern,)) is not matches


@pytest.mark.parametrize(
    ("frame", "pattern"),
    [
        (HANDLERS, "logging"),
        (HANDLERS, "logging.*"),
        (HANDLERS, "logging.handlers"),
        (HANDLERS, "*.handlers"),
        (HERE, "test_stack_filter"),
        (HERE, "core/test_*.py"),
        (FROZEN, "importlib"),
        (FROZEN, "importlib._bootstrap"),
        (GONE, "else/*"),
        (GONE, "gone.py"),
    ],
)
def test_modules_and_their_packages(frame: Frame, pattern: str) -> None:
    assert kept((frame,), only=(pattern,))
    assert not kept((frame,), ignore=("json", pattern))


def test_any_frame_of_the_stack_decides() -> None:
    """Code that the package calls counts for it; memory without a Python stack matches nothing."""
    assert kept((HANDLERS, JSON, HERE), only=("json",))
    assert not kept((HANDLERS, JSON, HERE), only=("json",), ignore=("logging",))
    assert kept((HANDLERS,), only=("json", "logging"))
    assert not kept((), only=("json",))
    assert kept((), ignore=("json",))
    assert not kept((GONE,), only=("gone",))


def test_a_module_that_is_no_longer_loaded_keeps_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unloaded_package").mkdir()
    path = tmp_path / "unloaded_package" / "part.py"
    path.write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    frame = Frame("f", str(path), 1)
    assert kept((frame,), only=("unloaded_package.part",))
    assert kept((frame,), only=("unloaded_package",))
    # As another import mode would name it.
    monkeypatch.syspath_prepend(tmp_path / "unloaded_package")
    assert kept((frame,), only=("unloaded_package.part",))
    assert kept((frame,), only=("part",))


@pytest.mark.parametrize(
    "pattern",
    [
        "json",
        "json.*",
        "jso*",
        "js[no]n*",
        "logging.handlers",
        "*.handlers",
        "os.path",
        "test_stack_filter",
        "tests/core/*.py",
        "*/json/__init__.py",
        str(Path(json.__file__).parent / "*"),
        "json/*",
    ],
)
def test_a_loaded_module_may_match_nothing(pattern: str) -> None:
    """Its code may have run, and have allocated nothing that memray saw."""
    for name in ("only", "ignore"):
        stack_filter = StackFilter(Scope(**{name: (pattern,)}))  # type: ignore[arg-type]
        stack_filter.keeps([(GONE,)])
        assert stack_filter.unmatched == (f"{name}={pattern!r}",)
        assert stack_filter.unknown() == []
        stack_filter.check_only()


@pytest.mark.parametrize(
    "pattern",
    [
        "jsno",
        "json.tolo",
        "jsno.*",
        "json.tool.Main",
        "json.nope.*_x",
        "tests/cor/*.py",
        "/nowhere/*",
        "nosuch_*",
        "[q]zz",
        "email.nosuch*",
        "math",
        "sys",
        "_json",
        "*/site-packages/nosuch/*",
    ],
)
def test_only_with_nothing_loaded_is_an_error(pattern: str) -> None:
    """A limit for a package whose name is misspelt would never be exceeded."""
    stack_filter = StackFilter(Scope(only=(pattern,)))
    stack_filter.keeps([(JSON,)])
    assert stack_filter.unknown() == [f"only={pattern!r}"]
    with pytest.raises(
        InvalidLimitError, match="matches nothing: no code of this name is loaded"
    ) as said:
        stack_filter.check_only()
    assert f"only={pattern!r}" in str(said.value)


def test_one_pattern_of_only_is_enough() -> None:
    """So a list can name a package that is not installed everywhere."""
    stack_filter = StackFilter(Scope(only=("nosuch", "json"), ignore=("*/site-packages/nosuch/*",)))
    assert stack_filter.keeps([(JSON,)]) == [True]
    stack_filter.check_only()
    unmatched = ("only='nosuch'", "ignore='*/site-packages/nosuch/*'")
    assert stack_filter.unmatched == unmatched
    assert stack_filter.unknown() == [*unmatched]


def test_a_module_that_is_made_in_the_block_can_match() -> None:
    """A file that is gone by the end, and no module of the path."""
    for pattern in ("gone.py", "*/else/*"):
        stack_filter = StackFilter(Scope(only=(pattern,)))
        assert stack_filter.keeps([(GONE,), (JSON,)]) == [True, False]
        stack_filter.check_only()
        assert not stack_filter.unmatched


@pytest.mark.parametrize("patterns", ["", "  ", [], (), None, 3, ["a", ""], [None]])
def test_invalid_patterns(patterns: object) -> None:
    with pytest.raises(InvalidLimitError, match=r"limit_memory, only: .* is not a pattern"):
        check_patterns(patterns, where="limit_memory, only")  # type: ignore[arg-type]


@given(st.lists(st.text().filter(str.strip), min_size=1))
def test_any_text_is_a_pattern(patterns: list[str]) -> None:
    """No text breaks the filter."""
    checked = check_patterns(patterns, where="")
    assert len(checked) == len(patterns)
    stack_filter = StackFilter(Scope(only=checked))
    stack_filter.keeps([(JSON,), (HERE, GONE), ()])


def test_plugins_leave_stacks_out() -> None:
    """A plugin can leave stacks out; if it raises, the error names it."""

    def keep(stack: Stack) -> bool:
        return stack.frames[0].function != "loads"

    assert StackFilter(Scope(), keep).keeps([(JSON,), (HERE,)]) == [False, True]
    assert StackFilter(Scope(ignore=("json",)), keep).keeps([(JSON,), (HERE,)]) == [False, True]
    with pytest.raises(FilterError, match="membudget_keep_allocation raised IndexError"):
        StackFilter(Scope(), keep).keeps([()])


def test_loaded_code_is_searched_once_for_a_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test of a suite has the same pattern, and a process can have thousands of modules."""
    pattern = "json.decoder"
    importlib.import_module(pattern)
    StackFilter(Scope(only=(pattern,))).check_whole()

    def search(*_: object) -> bool:
        raise AssertionError("searched again")

    monkeypatch.setattr(stack_filter._Pattern, "matches_one_of", search)
    again = StackFilter(Scope(only=(pattern,)))
    again.check_only()
    assert again.unknown() == []
