"""Work with libraries that have an allocator of their own, and with numpy, which has none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pyarrow as pa


def arrow() -> None:
    buffer = pa.allocate_buffer(80_000_000)
    del buffer


def polars() -> None:
    series = pl.select(pl.int_range(0, 20_000_000)).to_series()
    del series


def numpy() -> None:
    array = np.ones(160_000_000, "u1")
    del array


WORK: dict[str, Callable[[], None]] = {
    f"{work.__name__}_{number}": work for work in (arrow, polars, numpy) for number in range(3)
}
