"""Another module that allocates, for limits that tell modules apart."""

from __future__ import annotations

from memray._test import MemoryAllocator


def allocate(n_bytes: int) -> None:
    """Allocate and free ``n_bytes`` in one piece."""
    allocator = MemoryAllocator()
    assert allocator.malloc(n_bytes)
    allocator.free()
