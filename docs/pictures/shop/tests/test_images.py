"""Budgets of images."""

from __future__ import annotations

import pytest
from shop.images import blank, cached, rotated, thumbnail, undoable


@pytest.mark.limit_memory("10 MB")
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_thumbnails(factor: int) -> None:
    image = blank(3_000, 2_000)
    assert len(thumbnail(image, 3_000, factor)) == 6_000_000 // factor**2


@pytest.mark.limit_memory("16 MB")
def test_rotating_keeps_two_images_at_most() -> None:
    image = blank(3_000, 2_000)
    assert len(rotated(image, 3_000)) == len(image)


@pytest.mark.limit_memory("6 MB")
def test_a_blank_image() -> None:
    assert len(blank(3_000, 2_000)) == 6_000_000


@pytest.mark.limit_memory("14 MB")
def test_drawing_can_be_undone() -> None:
    assert len(undoable(blank(3_000, 2_000))) == 6_000_000


@pytest.mark.limit_memory("4 KB")
@pytest.mark.parametrize("width", [1_000, 2_000])
def test_blank_images_are_kept(width: int) -> None:
    assert len(cached(width, 2_000)) == width * 2_000
