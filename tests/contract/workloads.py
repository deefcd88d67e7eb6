"""Work whose memory is known to the byte.

Python's own small objects come out of arenas that it takes from the system a megabyte at a time.
``make_headroom`` sees to it that none is taken while these run, so that exact numbers can be asked
for.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import mmap
import os
import threading

import elsewhere
from membudget import MemoryLimitExceeded
from memray._test import MemoryAllocator

KIB = 1024

if "LEAVES_ELSEWHERE_OUT" in os.environ:
    from membudget import Stack, hookimpl, plugin_manager

    class Suite:
        """What a suite says of all its blocks."""

        @hookimpl
        def membudget_keep_allocation(self, stack: Stack) -> bool:
            return not any("elsewhere" in frame.filename for frame in stack.frames)

    plugin_manager().register(Suite())

_pins: list[bytes] = []
_kept: list[MemoryAllocator] = []


def make_headroom() -> None:
    """Make Python take arenas from the system, and empty them without giving them back."""
    filling = [bytes(400) for _ in range(20_000)]  # below 512 bytes with their headers
    _pins.extend(filling[::1000])


def prepare(name: str, *, warm_up: bool) -> None:
    """Get ready for one of the workloads, so that nothing but its own memory is measured.

    Args:
        name: the workload.
        warm_up: whether to run it once, so that caches of Python and of this module are full.
    """
    if warm_up:
        with contextlib.suppress(LookupError, MemoryLimitExceeded):
            result = globals()[name]()
            if inspect.iscoroutine(result):
                asyncio.run(result)
    make_headroom()


def allocate(n_bytes: int) -> None:
    """Allocate and free ``n_bytes`` in one piece."""
    allocator = MemoryAllocator()
    assert allocator.malloc(n_bytes)
    allocator.free()


def small() -> None:
    allocate(100 * KIB)


def large() -> None:
    allocate(1000 * KIB)


def steps() -> None:
    """Peak 300 KiB, total 500 KiB, 4 allocations."""
    first, second = MemoryAllocator(), MemoryAllocator()
    first.malloc(100 * KIB)
    second.malloc(200 * KIB)
    first.free()
    second.free()
    allocate(100 * KIB)
    allocate(100 * KIB)


def retains() -> None:
    """20 KiB stay, beside 100 KiB that do not."""
    allocator = MemoryAllocator()
    allocator.malloc(20 * KIB)
    _kept.append(allocator)
    allocate(100 * KIB)


def leaks() -> None:
    """20 KiB stay, allocated in one place, and 5 KiB in another."""
    for n_bytes in (5 * KIB, 15 * KIB):
        allocator = MemoryAllocator()
        allocator.malloc(n_bytes)
        _kept.append(allocator)
    other = MemoryAllocator()
    other.valloc(5 * KIB)
    _kept.append(other)
    allocate(100 * KIB)


class _Cycle:
    def __init__(self) -> None:
        self.itself = self
        self.data = bytearray(100 * KIB)


def garbage() -> None:
    """100 KiB that are garbage, in a cycle."""
    _Cycle()


def mapping() -> None:
    """Map 256 KiB and unmap them."""
    mmap.mmap(-1, 256 * KIB).close()


_objects: list[bytearray] = []


def keeps_objects() -> None:
    """Two bytearrays stay."""
    _objects.extend((bytearray(1), bytearray(2)))


def mixed() -> None:
    """100 KiB of this module's, then 1000 KiB of another one's."""
    allocate(100 * KIB)
    elsewhere.allocate(1000 * KIB)


_caches: dict[str, MemoryAllocator] = {}


def _fill_cache(name: str) -> None:
    """100 KiB each time, and 1000 KiB that stay the first time."""
    if name not in _caches:
        _caches[name] = MemoryAllocator()
        _caches[name].malloc(1000 * KIB)
    allocate(100 * KIB)


def fills_a_cache() -> None:
    _fill_cache("a cache")


def fills_another_cache() -> None:
    _fill_cache("another cache")


def pauses() -> None:
    """A block inside that leaves 200 KiB out, of another thread; around it, they count."""
    from membudget import limit_memory

    with limit_memory("130 KB") as inner:
        allocate(100 * KIB)
        with inner.paused():
            thread = threading.Thread(target=allocate, args=(200 * KIB,))
            thread.start()
            thread.join()
        allocate(50 * KIB)
    assert 100 * KIB <= inner.peak_bytes < 103 * KIB, inner.measurement
    assert 150 * KIB <= inner.total_bytes < 156 * KIB, inner.measurement


def raises_within() -> None:
    allocate(100 * KIB)
    raise LookupError("the body's own")


def raises_over() -> None:
    allocate(1000 * KIB)
    raise LookupError("the body's own")


def nested() -> None:
    """A block inside the block: its 100 KiB count in both."""
    from membudget import limit_memory

    with limit_memory("200 KB") as inner:
        allocate(100 * KIB)
    assert inner.peak_bytes == 100 * KIB
    allocate(50 * KIB)


def nested_over() -> None:
    """The inner block is over its own budget, within the outer one."""
    from membudget import limit_memory

    with limit_memory("50 KB"):
        allocate(100 * KIB)


def siblings() -> None:
    """Two threads with a block each, open at the same time; 640 KiB and 1280 KiB at once."""
    from membudget import measure_memory

    started, allocated, measured = (threading.Barrier(2) for _ in range(3))
    peaks: dict[int, tuple[int, int]] = {}

    def work(n_bytes: int) -> None:
        allocator = MemoryAllocator()
        started.wait()  # a thread that starts takes memory as well
        with measure_memory(current_thread_only=True) as own, measure_memory() as both:
            measured.wait()
            allocator.malloc(n_bytes)
            allocated.wait()
            allocator.free()
            measured.wait()
        peaks[n_bytes] = own.peak_bytes, both.peak_bytes

    threads = [threading.Thread(target=work, args=(n * KIB,)) for n in (640, 1280)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n_bytes, (own, both) in peaks.items():
        assert n_bytes <= own < n_bytes + 300 * KIB, peaks
        assert 1920 * KIB <= both < 2220 * KIB, peaks


async def overlapping() -> None:
    """Two tasks whose blocks overlap without nesting; each counts what happens while it is open."""
    from membudget import measure_memory

    first_open, second_open, first_closed = asyncio.Event(), asyncio.Event(), asyncio.Event()
    peaks = []

    async def first() -> None:
        with measure_memory() as block:
            allocate(5000 * KIB)
            first_open.set()
            await second_open.wait()
            allocate(7000 * KIB)
        peaks.append(block.peak_bytes)
        first_closed.set()

    async def second() -> None:
        await first_open.wait()
        with measure_memory() as block:
            second_open.set()
            await first_closed.wait()
            allocate(6000 * KIB)
        peaks.append(block.peak_bytes)

    await asyncio.gather(first(), second())
    # unittest's event loop is in debug mode, which reads source files for its stack traces.
    assert all(7000 * KIB <= peak < 10_000 * KIB for peak in peaks), peaks


async def async_large() -> None:
    await asyncio.sleep(0)
    allocate(1000 * KIB)
