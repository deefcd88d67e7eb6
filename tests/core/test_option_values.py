"""Parsing of option values."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from membudget import InvalidOptionError
from membudget.runs import Option
from membudget.settings import OPTIONS
from membudget.tolerance import Tolerance

BY_NAME = {option.name: option for option in OPTIONS}


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("memray", "on", True),
        ("memray", " TRUE ", True),
        ("memray", "0", False),
        ("memray", "No", False),
        ("memray", True, True),
        ("most_allocations", "0", 0),
        ("most_allocations", 12, 12),
        ("memray_default_limit", "24 MB", 24 * 1024 * 1024),
        ("memray_default_limit", "1.5 kib", 1536),
        ("memray_default_limit", " 512000 ", 512_000),
        ("memray_default_limit", 512_000, 512_000),
        ("memray_default_limit", "0", 0),
        ("memray_enforce_markers", "always", "always"),
        ("memray_include", "call, setup", ("setup", "call")),
        ("memray_bin_path", "kept", Path("kept")),
        ("memray_bin_prefix", "run-1", "run-1"),
    ],
)
def test_values_have_types(name: str, written: object, value: object) -> None:
    """Values are parsed once, into their types."""
    parsed = BY_NAME[name].parse(written, source="x.ini")
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "written", "problem"),
    [
        ("memray", "maybe", "'maybe' is not on or off"),
        ("memray", 1, "1 is not on or off"),
        ("most_allocations", "-1", "'-1' is not a whole number, 0 or more"),
        ("most_allocations", "", "'' is not a whole number"),
        ("most_allocations", "1.5", "'1.5' is not a whole number"),
        ("most_allocations", 1.5, "1.5 is not a whole number"),
        ("most_allocations", True, "True is not a whole number"),
        ("stacks", 0, "0 is not a whole number, 1 or more"),
        ("memray_default_limit", "24 bananas", "'24 bananas' is not a memory size: "),
        ("memray_default_limit", "", "'' is not a memory size: "),
        ("memray_default_limit", -1, "-1 is not a memory size: "),
        ("memray_default_limit", True, "True is not a size"),
        ("memray_default_limit", [3], "[3] is not a size"),
        ("memray_enforce_markers", "alway", "'alway' is not 'enabled' or 'always'"),
        ("memray_enforce_markers", 3, "3 is not 'enabled' or 'always'"),
        ("memray_include", "setup;call", "'setup;call' does not name phases of a test"),
        ("memray_include", ["call"], "['call'] is not text"),
        ("memray_json", "", "cannot write to '': the path is empty"),
        ("memray_json", "missing/m.json", "'missing/m.json': there is no directory 'missing'"),
        ("memray_json", ".", "cannot write to '.': it is a directory"),
        ("memray_json", [3], "[3] is not text"),
        ("memray_bin_path", "", "'' is not a directory"),
        ("memray_bin_path", __file__, f"{__file__!r} is not a directory"),
        ("memray_bin_path", 3, "3 is not text"),
        ("memray_bin_prefix", "a/b", "a file name cannot start with 'a/b': use 1 to 100 bytes"),
        ("memray_bin_prefix", "ä" * 51, "a file name cannot start with"),
        ("memray_bin_prefix", 3, "3 is not text"),
    ],
)
def test_an_invalid_value_names_its_place(name: str, written: object, problem: str) -> None:
    """A typo in a file is an error that says which key of which file."""
    with pytest.raises(InvalidOptionError) as raised:
        BY_NAME[name].parse(written, source=f"x.ini: {name}")
    assert str(raised.value).startswith(f"x.ini: {name}: ")
    assert problem in str(raised.value)


def test_the_path_of_a_file_to_write_is_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests may change the working directory before the file is written."""
    monkeypatch.chdir(tmp_path)
    path = BY_NAME["memray_json"].parse("memory.json", source="")
    assert path == tmp_path / "memory.json"
    if os.geteuid() != 0:
        path.touch(mode=0o400)
        with pytest.raises(InvalidOptionError, match="permission denied"):
            BY_NAME["memray_json"].parse("memory.json", source="")


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_defaults_and_values_can_be_written_as_text(option: Option, tmp_path: Path) -> None:
    """Child processes get their settings through the environment."""
    values: dict[str, object] = {
        "memray_enforce_markers": "always",
        "memray_default_limit": 10_000,
        "memray_include": ("setup", "teardown"),
        "memray_fix": "add",
        "memray_baseline": tmp_path,
        "memray_tolerance": Tolerance(5, 1024),
        "memray_update_baseline": ("new", "better"),
        "memray_json": tmp_path / "m.json",
        "memray_html": tmp_path / "m.html",
        "memray_markdown": tmp_path / "m.md",
        "memray_github": "off",
        "memray_log": tmp_path / "log.jsonl",
        "memray_bin_path": tmp_path,
        "memray_bin_prefix": "p",
        "memray_evidence": tmp_path,
        "memray_evidence_size": 10_000,
        "memray_own_allocators": "untouched",
        "memray_blind": "error",
    }
    value = values.get(option.name, 7 if option.metavar else True)
    assert value != option.default
    assert option.parse(option.text_of(value), source="") == value
