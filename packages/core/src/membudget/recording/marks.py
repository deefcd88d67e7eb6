"""Marks: messages in memray's stream that say where a block starts and ends.

A mark is a run of short-lived ``bytes`` objects, each freed before the next is made. Their sizes
encode a message: three numbers drawn at random when the process starts recording (the signature),
the kind of the mark, and the number of the block. In the stream, each object is an allocation of
exactly that size and its free. No other code allocates and frees exactly these sizes in this order
on one thread: the probability of the signature alone is one in 2**36.

Repeating a ``bytes`` object of length one is the Python operation with the fewest side effects:
CPython calls the allocator once, for the object itself, keeps the GIL and makes nothing else. The
sizes are larger than pymalloc's limit (512 bytes), so that the allocator is called each time, and
smaller than those for which malloc calls mmap.

If Python allocators are traced, Python code that makes a mark also records the frame object of its
function. So marks are made in C (csrc/marksmodule.c) if that could be built, and with the same
sizes in Python otherwise.

Marks have two meanings. ``START`` and ``END`` are the borders of a block. Between ``PAUSE`` and
``RESUME`` a thread does membudget's own work, which no block counts; ``END`` also pauses its thread
and ``START`` also resumes it. Entering a block is ``PAUSE``, work, ``START``, and leaving it is
``END``, work, ``RESUME``. The second mark is made however the work ends, and whether or not another
block is open. Between ``SUSPEND`` and ``CONTINUE`` one block counts nothing, in any thread; such
stretches can overlap. ``LOOK`` changes nothing: it is a place up to which an open block is read.

Work inside other work of the same thread makes no marks (:class:`AtWork`). So in a correct stream,
a thread that is at work never pauses. If it does, something interrupted it.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from gc import collect
from random import SystemRandom
from threading import get_ident, local
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeAlias

if TYPE_CHECKING:
    MARKS_ARE_MADE_IN_C = False
else:
    try:
        from ._marks import AtWork, MarkedBlock, make_mark, set_work_marks
    except ImportError:
        MARKS_ARE_MADE_IN_C = False
    else:
        MARKS_ARE_MADE_IN_C = True


class Record(Protocol):
    """The part of ``memray.AllocationRecord`` that is used here."""

    @property
    def tid(self) -> int: ...
    @property
    def address(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def allocator(self) -> int: ...
    @property
    def stack_id(self) -> int: ...


# memray.AllocatorType, which cannot be imported here without importing memray.
PYMALLOC_FREE: Final = 1
FREE: Final = 5
MMAP: Final = 14
MUNMAP: Final = 15
NO_ALLOCATION: Final = (FREE, PYMALLOC_FREE, MUNMAP)


class Kind(enum.IntEnum):
    """The kind of a mark."""

    START = 0
    END = 1
    PAUSE = 2
    RESUME = 3
    SUSPEND = 4
    CONTINUE = 5
    LOOK = 6


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark found in a capture: it consists of the records ``first`` to ``last``."""

    kind: Kind
    serial: int
    tid: int
    first: int
    last: int


_BYTE: Final = b"\0"
_DIGIT_BITS: Final = 12
N_DIGITS: Final = 1 << _DIGIT_BITS
SMALLEST: Final = 8192
SERIALS: Final = 1 << 2 * _DIGIT_BITS
"""How many different block numbers a mark can have."""


Lengths: TypeAlias = tuple[int, int, int, int, int, int]

# The bytes that CPython allocates in addition to the length of a bytes object, and those that the
# debug hooks of PYTHONMALLOC=debug and -X dev can add: three or four words for each of two domains
# (see PYMEM_DEBUG_EXTRA_BYTES in CPython's Objects/obmalloc.c). All values in between are accepted.
LEAST_OVERHEAD: Final = sys.getsizeof(b"")
MOST_OVERHEAD: Final = LEAST_OVERHEAD + 2 * 4 * 8


@dataclass(frozen=True, slots=True)
class Alphabet:
    """The lengths that encode marks in this process. Every mark begins with the signature."""

    signature: tuple[int, int, int]

    @classmethod
    def draw(cls) -> Alphabet:
        """Draw a new random signature for this process."""
        # Not from random's shared generator, whose sequence must not change for the program.
        digits = SystemRandom().sample(range(N_DIGITS), 3)
        return cls((SMALLEST + digits[0], SMALLEST + digits[1], SMALLEST + digits[2]))

    def spell(self, kind: Kind, serial: int = 0) -> Lengths:
        """Return the lengths of the ``bytes`` objects that make this mark."""
        high, low = divmod(serial % SERIALS, N_DIGITS)
        return (*self.signature, SMALLEST + kind, SMALLEST + high, SMALLEST + low)

    def fits(self, position: int, length: int) -> bool:
        """Whether a mark can have ``length`` at ``position``."""
        if position < 3:
            return length == self.signature[position]
        return 0 <= length - SMALLEST < (len(Kind) if position == 3 else N_DIGITS)

    @staticmethod
    def read(lengths: list[int]) -> tuple[Kind, int]:
        """Return the kind and the serial that six lengths encode."""
        kind, high, low = (length - SMALLEST for length in lengths[3:])
        return Kind(kind), high * N_DIGITS + low


if TYPE_CHECKING or not MARKS_ARE_MADE_IN_C:

    def make_mark(lengths: Lengths, /) -> None:
        """Write a mark into the stream of the active tracker; ``lengths`` come from ``spell``."""
        # No loop and no names, because their allocations would count in the block.
        _BYTE * lengths[0]
        _BYTE * lengths[1]
        _BYTE * lengths[2]
        _BYTE * lengths[3]
        _BYTE * lengths[4]
        _BYTE * lengths[5]

    class _Work(local):
        """Whether this thread does membudget's work, and the marks for it; see marksmodule.c."""

        marks: tuple[Lengths, Lengths] | None = None  # PAUSE and RESUME, for the whole process
        at_work = False
        n_stretches = 0

        def begin(self) -> bool:
            was_at_work = self.at_work
            self.n_stretches += 1
            if not was_at_work:
                if self.marks is not None:
                    make_mark(self.marks[0])
                self.at_work = True
            return was_at_work

        def end(self, was_at_work: bool) -> None:
            self.n_stretches -= 1
            if not was_at_work or not self.n_stretches:
                self.at_work = False
                if self.marks is not None:
                    make_mark(self.marks[1])

    _here = _Work()

    def set_work_marks(pause: Lengths, resume: Lengths, /) -> None:
        """Set the marks to make when a thread begins and ends membudget's own work."""
        _Work.marks = (pause, resume)

    class AtWork:
        """A stretch of membudget's own work, which no block counts."""

        _was_at_work = False
        _thread = 0

        def __enter__(self) -> None:
            if self._thread:
                raise RuntimeError("this AtWork object has been entered already")
            self._thread = get_ident()
            self._was_at_work = _here.begin()

        def __exit__(self, *_: object) -> None:
            thread, self._thread = self._thread, 0
            if thread == get_ident():
                _here.end(self._was_at_work)

    class MarkedBlock:
        """Base class of context managers that make a START mark on entry and an END mark on exit.

        No code of membudget runs between the marks and the body of the block. In C, only ``_enter``
        and ``_leave`` can be interrupted; here, a few other places can.
        """

        _marks: tuple[Lengths, Lengths] | None = None

        _collects = False
        _settles = False
        _has_start = False
        _was_at_work = False
        _thread = 0

        def _set_marks(
            self,
            start: Lengths,
            end: Lengths,
            collects: bool = False,
            settles: bool = False,
            /,
        ) -> None:
            """Set the marks to make, once, when the ``with`` statement is entered and left.

            Collect garbage before both marks, and call ``_settle`` before the end mark, if these
            flags are set.
            """
            self._settles = settles
            self._marks = (start, end)
            self._has_start = True
            self._collects = collects

        def _clear_marks(self) -> None:
            """Make no marks."""
            self._marks = None
            self._has_start = False

        def __enter__(self) -> Self:
            was_at_work = _here.begin()
            try:
                self._enter()
                if self._has_start and self._marks is not None:
                    self._has_start = False
                    if self._collects:
                        collect()
                    self._was_at_work = was_at_work
                    self._thread = get_ident()
            except BaseException:
                try:
                    self._enter_failed()
                finally:
                    self._enter_failed()
                    _here.end(was_at_work)
                raise
            if self._marks is None:
                _here.end(was_at_work)
            else:
                _here.n_stretches -= 1
                _here.at_work = False
                make_mark(self._marks[0])
            return self

        def __exit__(
            self,
            exc_type: type[BaseException] | None,
            raised: BaseException | None,
            traceback: TracebackType | None,
            /,
        ) -> None:
            __tracebackhide__ = True
            failed: BaseException | None = None
            if self._marks is not None:
                if self._collects:
                    collect()
                if self._settles:
                    was_at_work = _here.begin()
                    try:
                        self._settle()
                    except BaseException as error:
                        failed = error
                    finally:
                        _here.end(was_at_work)
                was_at_work = _here.at_work
                if was_at_work and _here.marks is not None:
                    make_mark(_here.marks[1])  # otherwise END would look like an interruption
                make_mark(self._marks[1])
                self._marks = None
                was_at_work |= self._was_at_work and self._thread == get_ident()
                _here.at_work = True
                _here.n_stretches += 1
            else:
                was_at_work = _here.begin()
            try:
                try:
                    if failed is not None:
                        raise failed
                    self._leave(exc_type, raised, traceback)
                except BaseException:
                    self._leave_failed()
                    raise
            except BaseException:
                self._leave_failed()
                raise
            finally:
                _here.end(was_at_work)

        def _enter(self) -> None:
            """Enter the block: called by the ``with`` statement."""
            raise NotImplementedError

        def _leave(
            self,
            exc_type: type[BaseException] | None,
            raised: BaseException | None,
            traceback: TracebackType | None,
        ) -> None:
            """Leave the block: called by the ``with`` statement."""
            raise NotImplementedError

        def _settle(self) -> None:
            """Prepare for the end mark: called before it, if the marks were set so."""
            raise NotImplementedError

        def _enter_failed(self) -> None:
            """Undo the part of ``_enter`` that was done when it raised; may be called again."""
            raise NotImplementedError

        def _leave_failed(self) -> None:
            """Do the part of ``_leave`` that was not done when it raised; may be called again."""
            raise NotImplementedError


@dataclass(slots=True)
class _Candidate:
    """A possible beginning of a mark. ``alive`` is the object that has not been freed yet."""

    first: int
    overhead: int
    lengths: list[int]
    alive: int | None


_NO_OBJECT: Final = (*NO_ALLOCATION, MMAP)


def find_marks(records: Iterable[Record], alphabet: Alphabet) -> Iterator[Mark]:
    """Find the marks in a stream of records, in the order in which they end.

    Records of other threads may lie between the records of a mark.
    """
    beginning = alphabet.signature[0]
    least, most = beginning + LEAST_OVERHEAD, beginning + MOST_OVERHEAD
    candidates: dict[int, _Candidate] = {}
    for index, record in enumerate(records):
        size = record.size
        begins = least <= size <= most
        if not begins and not candidates:
            continue
        tid, allocator = record.tid, record.allocator
        candidate = candidates.get(tid)
        if candidate is None:
            pass
        elif candidate.alive is not None:
            # In a mark, the object must be freed before anything else happens on its thread.
            if record.address == candidate.alive and allocator in (FREE, PYMALLOC_FREE):
                candidate.alive = None
                if len(candidate.lengths) == 6:
                    del candidates[tid]
                    kind, serial = alphabet.read(candidate.lengths)
                    yield Mark(kind, serial, tid, candidate.first, index)
                continue
        elif allocator not in _NO_OBJECT:
            length = size - candidate.overhead
            if alphabet.fits(len(candidate.lengths), length):
                candidate.lengths.append(length)
                candidate.alive = record.address
                continue
        candidates.pop(tid, None)
        if begins and allocator not in _NO_OBJECT:
            candidates[tid] = _Candidate(index, size - beginning, [beginning], record.address)
