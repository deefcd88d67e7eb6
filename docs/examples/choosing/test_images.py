"""Tests with and without limits, for docs/choosing.md."""

import pytest


def load(n_bytes: int) -> bytearray:
    return bytearray(n_bytes)


def test_thumbnail() -> None:
    assert len(load(300_000)) == 300_000


@pytest.mark.limit_memory("8 MB")
def test_resize() -> None:
    assert len(load(9_000_000)) == 9_000_000


@pytest.mark.limit_memory("100 MB")  # should be plenty
@pytest.mark.parametrize("n_bytes", [1_200_000, 4_000_000])
def test_rotate(n_bytes: int) -> None:
    assert len(load(n_bytes)) == n_bytes
