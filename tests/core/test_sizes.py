"""Sizes: what people may write, and what reports print."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from membudget import InvalidSizeError, format_size, parse_size

FACTORS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("24 MB", 24 * 2**20),
        ("24MB", 24 * 2**20),
        ("24 mib", 24 * 2**20),
        ("  1.5 KiB ", 1536),
        (".5 KB", 512),
        ("0 B", 0),
        ("1b", 1),
        ("1\tPB", 2**50),
        ("0.1 KB", 102),
        ("0.3 B", 0),
        ("0.5 B", 1),
        (0, 0),
        (4096, 4096),
    ],
)
def test_sizes_that_people_write(text: str | int, n_bytes: int) -> None:
    """The size grammar of the usage text works, and 1 KB is 1024 bytes."""
    assert parse_size(text) == n_bytes


@pytest.mark.parametrize(
    "bad",
    [
        *(
            "24",
            "",
            "MB",
            "B",
            "1 MBanana",
            "a 1 MB",
            "-1 MB",
            "+1 MB",
            "1,5 MB",
            "1. MB",
            "1 000 MB",
        ),
        *("nan", "inf MB", "1e3 MB", "0x10 B", "1 MB 2", "1 bit", "1 iB", "1 EB", "\u0661 MB"),
        *("1 MB\x00", "9" * 40 + " MB", "1 \u212aB", "1 M B"),
        *(-1, True, False, 1.5, None, b"1 MB", float("nan"), ["1 MB"], 2 + 0j),
    ],
)
def test_other_values_are_refused(bad: object) -> None:
    """A typo in a limit is an error that shows the typo and the grammar, never another limit."""
    with pytest.raises(InvalidSizeError) as refused:
        parse_size(bad, where="limit_memory on test_x")  # type: ignore[arg-type]
    assert isinstance(refused.value, ValueError)
    assert repr(bad) in str(refused.value)
    assert str(refused.value).startswith("limit_memory on test_x: ")
    assert "'24 MB'" in str(refused.value)


@given(
    st.integers(0, 10**12),
    st.sampled_from(list(FACTORS)),
    st.sampled_from(["", " ", "\t  "]),
    st.booleans(),
    st.booleans(),
)
def test_every_whole_size_is_exact(
    number: int, prefix: str, blanks: str, binary: bool, lower: bool
) -> None:
    """Whole numbers of any unit are exact, whatever the case and the blanks."""
    text = f"{number}{blanks}{prefix}{'i' if binary and prefix else ''}B"
    assert parse_size(text.lower() if lower else text) == number * FACTORS[prefix]


@given(st.text())
@example("1 KB")
def test_any_text_is_a_size_or_refused(text: str) -> None:
    """Every text is parsed, or raises InvalidSizeError."""
    with contextlib.suppress(InvalidSizeError):
        assert parse_size(text) >= 0


@given(st.integers(0, 2**62))
@example(1023)
@example(2**20 - 1)
@example(2**50)
def test_printed_sizes_can_be_read_back(n_bytes: int) -> None:
    """What a report prints can be written as a limit: it is within rounding of the number."""
    back = parse_size(format_size(n_bytes))
    if n_bytes < 1024:
        assert back == n_bytes
    else:
        # One decimal of a number that is at least 1.0.
        assert abs(back - n_bytes) <= 0.05 * n_bytes + 1


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0.0B"),
        (1023, "1023.0B"),
        (1024, "1.0KiB"),
        (120_000, "117.2KiB"),
        (100 * 1024, "100.0KiB"),
        (2**20 - 1, "1.0MiB"),
        (5 * 2**50, "5.0PiB"),
        (5000 * 2**50, "5000.0PiB"),
        (-1536, "-1.5KiB"),
    ],
)
def test_sizes_print_as_in_the_usage_text(n_bytes: int, text: str) -> None:
    assert format_size(n_bytes) == text
