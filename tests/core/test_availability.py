"""Whether blocks are measured, and the messages if they are not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import in_subprocess
from membudget import InvalidOptionError, why_not_measured
from membudget.runs import measuring_is_on


@pytest.fixture(autouse=True)
def unread() -> Iterator[None]:
    """The answer is cached for the process: clear it before and after each test."""
    why_not_measured.cache_clear()
    yield
    why_not_measured.cache_clear()


@pytest.mark.parametrize("text", ["off", "0", "False"])
def test_values_of_membudget_that_turn_off_measuring(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMBUDGET", text)
    assert why_not_measured() == f"MEMBUDGET={text} is in the environment"
    assert not measuring_is_on()
    # It is read once.
    monkeypatch.delenv("MEMBUDGET")
    assert not measuring_is_on()


@pytest.mark.parametrize("text", ["on", "1", ""])
def test_values_of_membudget_that_keep_measuring_on(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMBUDGET", text)
    assert why_not_measured() is None
    assert measuring_is_on()


def test_an_invalid_value_of_membudget_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """MEMBUDGET=of is an error; it neither measures nor stops silently."""
    monkeypatch.setenv("MEMBUDGET", "of")
    for ask in (why_not_measured, measuring_is_on, why_not_measured):
        with pytest.raises(InvalidOptionError, match="MEMBUDGET: 'of' is not on or off"):
            ask()


@in_subprocess
def test_all_messages_give_the_same_reason_where_memray_does_not_run() -> None:
    """One warning, at the user's line; blocks and the doctor give the same reason."""
    import sys
    import warnings

    from membudget import NotEnforcedWarning, NotMeasuredError, availability, limit_memory
    from membudget.cli.doctor import diagnose

    availability.platform_is_supported = lambda: False
    why = f"memray does not run with cpython on {sys.platform}"
    assert availability.why_not_measured() == why
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            with limit_memory("1 B") as memory:
                bytearray(1000)
        lines, enforced = diagnose()
    assert [str(one.message) for one in caught] == [f"memory budgets are not enforced: {why}"]
    assert caught[0].category is NotEnforcedWarning
    assert caught[0].filename == __file__
    assert (lines[-1], enforced) == (f"budgets: NOT ENFORCED, because {why}", False)
    try:
        _ = memory.peak_bytes
    except NotMeasuredError as error:
        assert str(error) == f"there are no figures: {why}. See .measurement, which is None"
    else:
        raise AssertionError
