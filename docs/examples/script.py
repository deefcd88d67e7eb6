"""A budget in a plain script. Run: python script.py"""

from __future__ import annotations

import io

from membudget import format_size, limit_memory
from orders import export, total


@limit_memory("4 MB", total="8 MB", allocations=500_000, retained="2 MB")
def totals(lines: list[str]) -> list[int]:
    return [total([line]) for line in lines]


@limit_memory("8 MB")
def orders() -> str:
    return export(20_000)


@limit_memory("200 KB", stable=True)
def small_total() -> int:
    return total(io.StringIO(export(1000)))


def main() -> None:
    text = orders()
    with limit_memory("4 MB") as memory:
        print("total:", total(io.StringIO(text)))
    if memory.measurement:  # None with MEMBUDGET=off, and where memray does not run
        print("peak memory:", format_size(memory.peak_bytes))
    assert small_total() == 499_500
    assert sum(totals(text.splitlines()[:100])) == sum(n * 7 % 1000 for n in range(100))


if __name__ == "__main__":
    main()
