"""Libraries with an allocator of their own: a table of them, and how to make them visible.

Such an allocator requests large pieces of memory from the system, and hands out parts of them.
memray records only the requests to the system, so a block that gets memory the allocator already
has measures nothing.

Most of these libraries can be made to request memory from the system each time, with an environment
variable that they read when they are loaded. Arrow can also be switched later.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from os import environ
from types import ModuleType
from typing import Any, Final

from ..host.raised import suppressed

_JEMALLOC: Final = "retain:false,dirty_decay_ms:0,muzzy_decay_ms:0"
# The value that polars writes to its variable when it is loaded. Child processes inherit it, but
# the user has not set it.
_POLARS_OWN: Final = re.compile(
    r"(,?dirty_decay_ms:500,muzzy_decay_ms:(1000|-1)(,thp:always,metadata_thp:always)?)+"
)


@dataclass(frozen=True, slots=True)
class OwnAllocator:
    """A library with an allocator of its own.

    Attributes:
        module: the module that shows that the library is loaded.
        variable: the environment variable that makes its memory visible; empty if there is none.
        value: the value that it must have before the library is loaded.
        pools: returns the objects that have the library's own counters; None if it has none.
    """

    module: str
    variable: str = ""
    value: str = ""
    pools: Callable[[ModuleType], list[Any]] | None = None

    @property
    def advice(self) -> str:
        """What a user can do to make it visible."""
        if not self.variable:
            return f"no setting makes {self.module} visible to memray"
        return f"set {self.variable}={self.value} in the environment before Python starts"


def _arrow_pools(arrow: Any) -> list[Any]:
    """Return Arrow's pools that keep memory; a build can have one of them, both or none."""
    pools = []
    for backend in ("mimalloc", "jemalloc"):
        with suppressed(NotImplementedError, AttributeError):
            pools.append(getattr(arrow, f"{backend}_memory_pool")())
    return pools


ALLOCATORS: Final = (
    OwnAllocator("pyarrow", "ARROW_DEFAULT_MEMORY_POOL", "system", _arrow_pools),
    OwnAllocator("polars", "_RJEM_MALLOC_CONF", _JEMALLOC),
    OwnAllocator("deltalake", "_RJEM_MALLOC_CONF", _JEMALLOC),
    OwnAllocator("duckdb", "DUCKDB_JE_MALLOC_CONF", _JEMALLOC),
    OwnAllocator("datafusion"),
)
"""The known libraries; docs/own-allocators.md has the measurements."""


@dataclass(slots=True)
class _Process:
    """The state of this process.

    Attributes:
        settled: for each loaded library, whether memray sees its memory.
        counters: for each loaded library, functions that return the total of bytes that its own
            pools have handed out.
        before: the default pool of Arrow before it was switched.
        n_switched: how many open blocks and runs have switched it.
    """

    settled: dict[str, bool] = field(default_factory=dict)
    counters: dict[str, list[Callable[[], int]]] = field(default_factory=dict)
    before: Any = None
    n_switched: int = 0


_process: Final = _Process()
_lock: Final = threading.RLock()
_modules: Final = sys.modules


def loaded() -> Iterator[OwnAllocator]:
    """Yield the libraries that are loaded in this process; a test's fake module does not count."""
    for allocator in ALLOCATORS:
        if type(_modules.get(allocator.module)) is ModuleType:
            yield allocator


def arrow_is_loaded() -> bool:
    """Whether Arrow may be loaded, so that its pool can be switched."""
    return "pyarrow" in _modules


def is_visible(allocator: OwnAllocator) -> bool:
    """Whether memray sees the memory of a loaded library, apart from what its counters report."""
    visible = _process.settled.get(allocator.module)
    if visible is None:
        visible = bool(allocator.variable) and is_set(allocator)
        _process.settled[allocator.module] = visible
    return visible


def is_set(allocator: OwnAllocator) -> bool:
    """Whether the environment variable that makes a library's memory visible is set."""
    given = _switches(environ.get(allocator.variable, ""))
    return _switches(allocator.value).items() <= given.items()


def _switches(value: str) -> dict[str, str]:
    """Return the ``name:value`` pairs of a variable; the last value of a name wins."""
    pairs = (switch.partition(":") for switch in value.split(","))
    return {name: setting for name, _, setting in pairs}


def _set(allocator: OwnAllocator) -> tuple[OwnAllocator, str | None] | None:
    """Set the variable of a library, unless the user has set it; return the old value."""
    before = environ.get(allocator.variable)
    if not allocator.variable or (before and not _POLARS_OWN.fullmatch(before)):
        return None
    environ[allocator.variable] = allocator.value
    return allocator, before


def _unset(allocator: OwnAllocator, before: str | None) -> None:
    """Restore a variable, but keep what a library has written to it meanwhile (polars does)."""
    value = environ.get(allocator.variable, "")
    if value.endswith(allocator.value):
        rest = value.removesuffix(allocator.value).rstrip(",") or before
        if rest:
            environ[allocator.variable] = rest
        else:
            del environ[allocator.variable]


def taken_bytes(allocator: OwnAllocator) -> int | None:
    """Return how much a loaded library's own pools have handed out so far; None if unknown."""
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
    """Make the own allocators of libraries visible that are loaded while the context is open.

    Variables that the user has set do not change. Child processes inherit the variables. Arrow is
    switched if it is already loaded.
    """
    was_set = []
    for allocator in ALLOCATORS:
        if allocator.module not in _modules:
            was_set.append(_set(allocator))
            _process.settled[allocator.module] = bool(allocator.variable) and is_set(allocator)
    switch_arrow()
    try:
        yield
    finally:
        switch_arrow_back()
        for one in filter(None, was_set):
            _unset(*one)
        for allocator in ALLOCATORS:
            if allocator.module not in _modules:
                _process.settled.pop(allocator.module, None)


def switch_arrow() -> None:
    """Make Arrow use the system's allocator, if it is loaded, until :func:`switch_arrow_back`.

    Buffers know the pool that they came from. Arrow's own C++ code still allocates from the pool
    that it chose when it was loaded.
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
    """End :func:`switch_arrow`; a pool that the program has chosen in the meantime is kept."""
    with _lock:
        _process.n_switched -= 1
        if _process.n_switched or _process.before is None:
            return
        arrow: Any = _modules.get("pyarrow")
        before, _process.before = _process.before, None
        if arrow is not None and arrow.default_memory_pool().backend_name == "system":
            arrow.set_memory_pool(before)
