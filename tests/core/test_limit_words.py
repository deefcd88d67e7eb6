"""The words that a report uses for a limit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from membudget import Figure, Limit, Measurement, Unseen
from membudget.limit_words import limit_words
from membudget.report.run_text import margin_lines
from membudget.suggestions import LimitNow, Observed, suggest
from membudget.testing import make_measurement, make_result

KB, MB = 1 << 10, 1 << 20


def words(used: int, maximum: int, *, stable: bool = False, figure: Figure = "peak_bytes") -> str:
    measurement = Measurement(used, used, used, used)
    return " ".join(limit_words(Limit(figure, maximum), measurement, stable=stable))


@pytest.mark.parametrize(
    ("used", "maximum", "stable", "expected"),
    [
        (10 * MB, 10 * MB - 1, False, "OVER"),
        (10 * MB, 10 * MB, False, "NEAR TIGHT"),
        (10 * MB, 11 * MB - 1, False, "TIGHT"),
        (10 * MB, 11 * MB, False, ""),
        (95 * MB, 100 * MB, False, "NEAR"),
        (95 * MB - 1, 100 * MB, False, ""),
        (10 * MB, 12 * MB, False, ""),
        (10 * MB, 44 * MB - 1, False, ""),
        (10 * MB, 44 * MB, False, "LOOSE"),
        (0, 1 * MB - 1, False, "TIGHT"),
        (0, 1 * MB, False, ""),
        (0, 4 * MB, False, "LOOSE"),
        (100 * KB, 104 * KB - 1, True, "NEAR TIGHT"),
        (100 * KB, 104 * KB, True, "NEAR"),
        (100 * KB, 106 * KB, True, ""),
        (100 * KB, 112 * KB, True, ""),
        (100 * KB, 416 * KB, True, "LOOSE"),
        (0, 0, True, "TIGHT"),
    ],
)
def test_each_word_begins_where_the_guide_says(
    used: int, maximum: int, stable: bool, expected: str
) -> None:
    """Each begins exactly where the guide says it does."""
    assert words(used, maximum, stable=stable) == expected


def test_counts_have_their_own_room() -> None:
    assert words(1000, 1099, figure="n_allocations") == "TIGHT"
    assert words(1000, 1100, figure="n_allocations") == ""
    assert words(1000, 1010, figure="n_allocations", stable=True) == "NEAR"


def test_memory_that_was_not_seen() -> None:
    """Only the limits that it could have exceeded are blind."""
    seen = replace(make_measurement(5 * MB), unseen=(Unseen("pyarrow", 20 * MB),))
    assert limit_words(Limit("peak_bytes", 24 * MB), seen, stable=True) == ("LOOSE", "BLIND")
    assert limit_words(Limit("peak_bytes", 25 * MB), seen, stable=True) == ("LOOSE",)


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 42), st.booleans())
def test_words_and_suggestions_agree(used: int, maximum: int, stable: bool) -> None:
    """Limits that are over or tight are raised, loose ones are lowered, and suggested ones fit."""
    now = (LimitNow("peak_bytes", maximum),)
    (found,) = suggest([Observed("test", {"peak_bytes": used}, now, stable)])
    said = words(used, maximum, stable=stable)
    assert (found.need == "raise") == ("OVER" in said or "TIGHT" in said)
    if "LOOSE" in said:
        assert found.need == "lower"
    fits = words(used, found.maximum, stable=stable)
    assert {"OVER", "NEAR", "TIGHT", "LOOSE"}.isdisjoint(fits.split())


def test_margins_show_the_words() -> None:
    """In colour if the user should act."""
    results = [
        make_result(f"test_{maximum}", make_measurement(10 * MB), maximum * MB)
        for maximum in (9, 10, 20, 50)
    ]
    lines = list(margin_lines(results))[1:]
    assert [line.text.partition("at the peak")[2] for line in lines] == [
        *(" OVER", " NEAR TIGHT", "", " LOOSE")
    ]
    assert [line.tells for line in lines] == ["over", "near", "", ""]
