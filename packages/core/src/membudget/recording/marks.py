"""Marks: how the start and the end of a block are written into memray's stream, and found again.

A mark is a run of short-lived ``bytes`` objects, each freed before the next is made, whose sizes
spell a message: three numbers drawn at random when the process starts recording (the signature),
the kind of the mark, and the number of the block. The stream shows each as an allocation of
exactly that size and its free. Nobody else allocates and frees just these sizes in just this order
on one thread: the signature alone is one in 2**36.

Repeating a ``bytes`` object of length one is the Python operation with the smallest trace: CPython
asks the allocator once, for the object itself, keeps the GIL and makes nothing else. The sizes are
larger than pymalloc's (512 bytes) so that the allocator is asked each time, and smaller than those
that malloc maps from the system one by one.

Marks say two things at once. ``START`` and ``END`` are the borders of a block. Between ``PAUSE``
and ``RESUME`` a thread does membudget's own work, which no block counts; ``END`` also pauses its
thread and ``START`` also resumes it.
"""

from __future__ import annotations

import enum
import os
import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol


class Record(Protocol):
    """What is needed of a ``memray.AllocationRecord``."""

    @property
    def tid(self) -> int: ...
    @property
    def address(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def allocator(self) -> int: ...


# memray.AllocatorType, which cannot be imported here without importing memray.
PYMALLOC_FREE: Final = 1
FREE: Final = 5
MMAP: Final = 14
MUNMAP: Final = 15


class Kind(enum.IntEnum):
    """What a mark says."""

    START = 0
    END = 1
    PAUSE = 2
    RESUME = 3


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark found in a capture: records ``first`` to ``last`` are the mark's own."""

    kind: Kind
    serial: int
    tid: int
    first: int
    last: int


_BYTE: Final = b"\0"
_DIGIT_BITS: Final = 12
_DIGIT: Final = 1 << _DIGIT_BITS
_SMALLEST: Final = 8192
SERIALS: Final = 1 << 2 * _DIGIT_BITS
"""How many blocks can be told apart in one capture."""


def _object_overhead() -> int:
    """What CPython asks the allocator for beyond the length of a ``bytes`` object.

    With the debug hooks of ``PYTHONMALLOC=debug`` and ``-X dev`` these add three words, or four
    with serial numbers (see ``PYMEM_DEBUG_EXTRA_BYTES`` in CPython's ``Objects/obmalloc.c``).
    """
    requested = "" if sys.flags.ignore_environment else os.environ.get("PYTHONMALLOC", "")
    debug = (
        requested.endswith("debug")
        or (not requested and sys.flags.dev_mode)
        or hasattr(sys, "gettotalrefcount")
    )
    return sys.getsizeof(b"") + (3 * 8 if debug else 0)


@dataclass(frozen=True, slots=True)
class Alphabet:
    """The sizes that spell marks in this process.

    Attributes:
        signature: the three sizes that begin every mark, as the stream shows them.
        zero: the size in the stream that stands for the digit 0.
        overhead: how much larger the stream shows a ``bytes`` object than its length.
    """

    signature: tuple[int, int, int]
    zero: int
    overhead: int

    @classmethod
    def draw(cls) -> Alphabet:
        """Draw a new random signature for this process."""
        overhead = _object_overhead()
        # Not from random's shared generator: a program that seeded it must not see a difference.
        digits = random.SystemRandom().sample(range(_DIGIT), 3)
        zero = _SMALLEST + overhead
        return cls((zero + digits[0], zero + digits[1], zero + digits[2]), zero, overhead)

    def spell(self, kind: Kind, serial: int = 0) -> tuple[int, int, int, int, int, int]:
        """Return the lengths of the ``bytes`` objects that make this mark."""
        high, low = divmod(serial % SERIALS, _DIGIT)
        first, second, third = self.signature
        return (
            first - self.overhead,
            second - self.overhead,
            third - self.overhead,
            _SMALLEST + kind,
            _SMALLEST + high,
            _SMALLEST + low,
        )

    def read(self, sizes: list[int]) -> tuple[Kind, int] | None:
        """Return the kind and serial that six sizes from the stream spell, or None."""
        kind, high, low = (size - self.zero for size in sizes[3:])
        if not (0 <= kind < len(Kind) and 0 <= high < _DIGIT and 0 <= low < _DIGIT):
            return None
        return Kind(kind), high * _DIGIT + low


def make_mark(lengths: tuple[int, int, int, int, int, int]) -> None:
    """Write a mark into the stream of the active tracker; ``lengths`` come from ``spell``."""
    # No loop and no names: whatever allocates here would be counted in the block.
    _BYTE * lengths[0]
    _BYTE * lengths[1]
    _BYTE * lengths[2]
    _BYTE * lengths[3]
    _BYTE * lengths[4]
    _BYTE * lengths[5]


@dataclass(slots=True)
class _Candidate:
    first: int
    sizes: list[int]
    address: int | None


def find_marks(records: Iterable[Record], alphabet: Alphabet) -> Iterator[Mark]:
    """Find the marks in a stream of records, in the order in which they end.

    Records of other threads may lie between the records of a mark.
    """
    beginning = alphabet.signature[0]
    candidates: dict[int, _Candidate] = {}
    for index, record in enumerate(records):
        size = record.size
        if size != beginning and not candidates:
            continue
        tid = record.tid
        candidate = candidates.get(tid)
        if candidate is not None and candidate.address is not None:
            # The object just made must be freed before anything else happens on its thread.
            if record.allocator in (FREE, PYMALLOC_FREE) and record.address == candidate.address:
                candidate.address = None
                if len(candidate.sizes) == 6:
                    del candidates[tid]
                    read = alphabet.read(candidate.sizes)
                    if read is not None:
                        yield Mark(*read, tid, candidate.first, index)
                continue
        elif candidate is not None and record.allocator not in (FREE, PYMALLOC_FREE, MMAP, MUNMAP):
            position = len(candidate.sizes)
            if position >= 3 or size == alphabet.signature[position]:
                candidate.sizes.append(size)
                candidate.address = record.address
                continue
        candidates.pop(tid, None)
        if size == beginning and record.allocator not in (FREE, PYMALLOC_FREE, MMAP, MUNMAP):
            candidates[tid] = _Candidate(index, [size], record.address)
