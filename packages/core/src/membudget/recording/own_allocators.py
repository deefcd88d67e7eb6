"""Libraries with an allocator of their own, which memray does not see into: a table, and its use.

Such an allocator takes much memory from the system at once, and serves from that. memray records
what it takes from the system, so a block that is served from what is there measures nothing.

Most of them can be made to ask the system each time, with an environment variable that is read when
the library is loaded. Arrow can also be switched later.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from os import environ
from types import ModuleType
from typing import Any, Final

_JEMALLOC: Final = "retain:false,dirty_decay_ms:0,muzzy_decay_ms:0"


@dataclass(frozen=True, slots=True)
class OwnAllocator:
    """A library with an allocator of its own.

    Attributes:
        module: the module that is loaded when the library is.
        variable: the environment variable that makes its memory visible; empty where none does.
        value: what it has to be before the library is loaded.
        pools: returns what the library's own counters are read from; None where it has none.
    """

    module: str
    variable: str = ""
    value: str = ""
    pools: Callable[[ModuleType], list[Any]] | None = None

    @property
    def advice(self) -> str:
        """What a user can do to make it visible."""
        if not self.variable:
            return f"nothing makes {self.module} ask the system each time"
        return f"set {self.variable}={self.value} in the environment before Python starts"


def _arrow_pools(arrow: Any) -> list[Any]:
    """Return Arrow's pools that keep memory; a build may have one or both of them, or none."""
    pools = []
    for backend in ("mimalloc", "jemalloc"):
        with contextlib.suppress(NotImplementedError, AttributeError):
            pools.append(getattr(arrow, f"{backend}_memory_pool")())
    return pools


ALLOCATORS: Final = (
    OwnAllocator("pyarrow", "ARROW_DEFAULT_MEMORY_POOL", "system", _arrow_pools),
    OwnAllocator("polars", "_RJEM_MALLOC_CONF", _JEMALLOC),
    OwnAllocator("deltalake", "_RJEM_MALLOC_CONF", _JEMALLOC),
    OwnAllocator("duckdb", "DUCKDB_JE_MALLOC_CONF", _JEMALLOC),
    OwnAllocator("datafusion"),
)
"""The libraries that are known; docs/own-allocators.md has what was measured."""


@dataclass(slots=True)
class _Process:
    """What is known of this process.

    Attributes:
        settled: for a loaded library, whether memray sees its memory.
        counters: for a loaded library, what counts the bytes that its own pools gave out, ever.
        before: the default pool of Arrow before it was switched.
        n_switched: how many blocks and runs want it switched.
    """

    settled: dict[str, bool] = field(default_factory=dict)
    counters: dict[str, list[Callable[[], int]]] = field(default_factory=dict)
    before: Any = None
    n_switched: int = 0


_process: Final = _Process()
_lock: Final = threading.RLock()
_modules: Final = sys.modules


def loaded() -> Iterator[OwnAllocator]:
    """Yield those libraries that are loaded in this process; a stand-in that a test made is not."""
    for allocator in ALLOCATORS:
        if type(_modules.get(allocator.module)) is ModuleType:
            yield allocator


def is_visible(allocator: OwnAllocator) -> bool:
    """Whether memray sees the memory of a loaded library, but for what its counters tell."""
    visible = _process.settled.get(allocator.module)
    if visible is None:
        visible = bool(allocator.variable) and is_set(allocator)
        _process.settled[allocator.module] = visible
    return visible


def is_set(allocator: OwnAllocator) -> bool:
    """Whether the environment says what makes a library's memory visible when it is loaded."""
    given = environ.get(allocator.variable, "").split(",")
    return set(allocator.value.split(",")) <= set(given)


def taken_bytes(allocator: OwnAllocator) -> int | None:
    """Return how much a loaded library's own pools have given out so far; None if unknown."""
    if allocator.pools is None:
        return None
    counters = _process.counters.get(allocator.module)
    if counters is None:
        pools = allocator.pools(_modules[allocator.module])
        if not all(hasattr(pool, "total_bytes_allocated") for pool in pools):
            return None  # a version that does not count it
        counters = [pool.total_bytes_allocated for pool in pools]
        _process.counters[allocator.module] = counters
    return sum(counter() for counter in counters)


@contextlib.contextmanager
def visible_from_the_start() -> Iterator[None]:
    """Make own allocators visible while this lasts: those of libraries that are loaded meanwhile.

    What the user has set in the environment stays as it is. Processes that are started meanwhile
    inherit it. Arrow is switched where it is loaded already.
    """
    was_set = []
    for allocator in ALLOCATORS:
        if allocator.module not in _modules:
            if allocator.variable and allocator.variable not in environ:
                environ[allocator.variable] = allocator.value
                was_set.append(allocator)
            _process.settled[allocator.module] = bool(allocator.variable) and is_set(allocator)
    switch_arrow()
    try:
        yield
    finally:
        switch_arrow_back()
        for allocator in was_set:
            if environ.get(allocator.variable) == allocator.value:
                del environ[allocator.variable]
            if allocator.module not in _modules:
                _process.settled.pop(allocator.module, None)


def switch_arrow() -> None:
    """Let Arrow ask the system for memory, if it is loaded, until :func:`switch_arrow_back`.

    Buffers know the pool that they came from. What Arrow's C++ code allocates by itself still comes
    from the pool that it chose when it was loaded.
    """
    with _lock:
        _process.n_switched += 1
        arrow: Any = _modules.get("pyarrow")
        if _process.before is not None or type(arrow) is not ModuleType:
            return
        pool = getattr(arrow, "default_memory_pool", None)
        if pool is not None and pool().backend_name in ("mimalloc", "jemalloc"):
            _process.before = pool()
            arrow.set_memory_pool(arrow.system_memory_pool())


def switch_arrow_back() -> None:
    """End what :func:`switch_arrow` began; a pool that the program has chosen meanwhile stays."""
    with _lock:
        _process.n_switched -= 1
        if _process.n_switched or _process.before is None:
            return
        arrow: Any = _modules.get("pyarrow")
        before, _process.before = _process.before, None
        if arrow is not None and arrow.default_memory_pool().backend_name == "system":
            arrow.set_memory_pool(before)
