"""The scanner: C code that reads figures and stacks from a capture that is still being written.

It reads only what these need, in one pass, so it is much faster than the replay. It does not use
memray's reader, so it can run while a tracker is active. One scanner follows one capture; each scan
continues where the last one stopped. While a long block runs, a thread in C scans most of it
(:meth:`Scanner.follow`). The C code is in ``csrc``.

The scanner can be used if the C extension could be built (``pip install`` builds it if there is a
compiler) and it knows the version of the capture. :func:`scanner_problem` says what is missing.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from dataclasses import dataclass
from os import environ
from types import ModuleType
from typing import Final

from ...errors import CaptureError, FilterError, InvalidOptionError
from ...host.system import real_functions
from ...measurement import Allocation, Curve, Frame, Measurement
from ..marks import LEAST_OVERHEAD, MOST_OVERHEAD, N_DIGITS, SMALLEST, Alphabet
from ..request import BlockRequest, CountsStacks
from .accounting import Account
from .stack_trimming import FoundStack, StackTraces

try:
    _c_module: ModuleType | str = importlib.import_module("membudget.recording._scanner")
except ImportError as error:
    _c_module = str(error)

LEAST_UNREAD_BYTES: Final = 1 << 20
"""How much of a capture must be unread before the thread begins to scan it: about a hundredth of a
second of scanning. So most blocks end before."""

READER_VARIABLE = "MEMBUDGET_READER"
"""Environment variable: ``replay`` turns off the scanner; ``auto`` is the default."""


@dataclass(frozen=True, slots=True)
class ScannedStacks:
    """The memory of a block by stack; frames are read when :meth:`allocations` is called.

    Attributes:
        scanner: the scanner that has read the stacks.
        request: the block.
        begin: the scanner's number of the stack at which the block began.
        stacks: for each stack: its number, its bytes, its number of allocations, whether another
            thread than the block's made them, and bytes of arenas.
        lost: whether memray has lost stacks of the block.
    """

    scanner: Scanner
    request: BlockRequest
    begin: int
    stacks: list[tuple[int, int, int, bool, int]]
    lost: bool

    def allocations(self) -> tuple[Allocation, ...]:
        """Return the stacks, cut to the frames inside the block, largest first.

        Raises:
            ValueError: the capture is damaged.
        """
        frames = self.scanner.frames
        return StackTraces(self.request, frames(self.begin)).summed(
            FoundStack(frames(node), n_bytes, count, is_other, arenas)
            for node, n_bytes, count, is_other, arenas in self.stacks
        )

    def lost_some(self, allocations: tuple[Allocation, ...]) -> bool:
        """Whether memray has lost the stack of one of these."""
        return self.lost and not all(one.stack for one in allocations)


class _Filter:
    """Decides which stacks a block counts.

    Attributes:
        request: the block.
        stack_filter: its filter.
        traces: cuts stacks to the frames inside the block; None until it is needed.
        failure: the exception that the filter has raised; then it is not called again.
    """

    __slots__ = ("failure", "request", "stack_filter", "traces")

    def __init__(self, request: BlockRequest, stack_filter: CountsStacks) -> None:
        self.request = request
        self.stack_filter = stack_filter
        self.traces: StackTraces | None = None
        self.failure: FilterError | None = None


class Scanner:
    """Follows one capture.

    Args:
        fd: the capture, open for reading.
        alphabet: encodes its marks.

    Raises:
        ValueError: the scanner does not know this version of a capture.
    """

    def __init__(self, fd: int, alphabet: Alphabet) -> None:
        self._scanner = _in_c().Scanner(
            fd, alphabet.signature, SMALLEST, N_DIGITS, (LEAST_OVERHEAD, MOST_OVERHEAD)
        )
        self._frames: dict[tuple[int, int], Frame] = {}
        self._filters: dict[int, _Filter] = {}  # by the serials of their blocks

    def expect(self, request: BlockRequest) -> None:
        """Begin to count for a block whose start mark is still to come."""
        uses = _in_c()
        stack_use = uses.KEEPS_STACKS if request.wants_stacks else uses.FIGURES_ONLY
        if request.stack_filter is not None:
            stack_use = uses.FILTERS_STACKS
            self._filters[request.serial] = _Filter(request, request.stack_filter)
        self._scanner.expect(request.serial, request.thread_only, stack_use, request.keeps_capture)

    def forget(self, serial: int) -> None:
        """Stop counting for a block."""
        self._scanner.forget(serial)
        self._filters.pop(serial, None)

    def close_block(self, serial: int) -> Account | None:
        """Scan up to the end of a block; return None if some of its marks are missing.

        The filters of all open blocks are called for stacks that are new to them.

        Raises:
            ValueError: the capture is damaged.
            FilterError: the filter of this block raised an exception.
        """
        with real_functions() if self._filters else contextlib.nullcontext():
            figures = self._scanner.close_block(serial, self._counts)
        failure = self._filters[serial].failure if serial in self._filters else None
        if failure is not None:
            raise failure
        if figures is None:
            return None
        *sums, peak_index, start_index, end_index, interrupted = figures
        return Account(Measurement(*sums), peak_index, start_index, end_index, interrupted)

    def retained_so_far(self, serial: int) -> int | None:
        """Scan up to the next look mark of an open block; return what it retains there, in bytes.

        Filters are called as in :meth:`close_block`. None if the mark is missing.

        Raises:
            ValueError: the capture is damaged.
        """
        with real_functions() if self._filters else contextlib.nullcontext():
            n_bytes: int | None = self._scanner.retained_so_far(serial, self._counts)
        return n_bytes

    def _counts(self, serial: int, node: int) -> bool:
        """Return whether a block counts a stack that is new to it."""
        block = self._filters[serial]
        if block.failure is not None:
            return False
        try:
            if block.traces is None:
                begin = self.frames(self._scanner.begin_of(serial))
                block.traces = StackTraces(block.request, begin)
            (counts,) = block.stack_filter.keeps([block.traces.inside(self.frames(node))])
        except FilterError as error:  # raised when its block is read; this may be another's end
            block.failure = error
            return False
        return counts

    def follow(self, *, gives_back: bool) -> None:
        """Let the thread of :func:`start_follower` scan, until this scanner is used again.

        It stops at a stack that is new to a filter, which only this thread can call.

        Args:
            gives_back: whether to free disk space of what was scanned. Then nothing else can read
                the capture.
        """
        self._scanner.follow(LEAST_UNREAD_BYTES, gives_back)

    @property
    def has_given_back(self) -> bool:
        """Whether parts of the capture are no longer in its file."""
        return bool(self._scanner.given_back)

    def lost_stacks(self, serial: int) -> bool:
        """Whether memray has lost stacks of a block that wants or filters stacks."""
        return bool(self._scanner.lost_stacks(serial))

    def curve(self, serial: int) -> Curve | None:
        """Return the curve of a block that wants or filters stacks; None for a short block."""
        curve = self._scanner.curve_of(serial)
        return None if curve is None else Curve(*curve)

    def stacks_at_peak(self, request: BlockRequest) -> ScannedStacks:
        """Return the stacks of what was alive at the peak of a block that has been closed.

        For a block that wants or filters stacks.
        """
        return self._scanned(request, self._scanner.stacks_at_peak(request.serial))

    def stacks_at_end(self, request: BlockRequest) -> ScannedStacks:
        """Return the stacks of what was alive at the end of such a block."""
        return self._scanned(request, self._scanner.stacks_at_end(request.serial))

    def _scanned(
        self, request: BlockRequest, stacks: list[tuple[int, int, int, bool, int]]
    ) -> ScannedStacks:
        begin = self._scanner.begin_of(request.serial)
        return ScannedStacks(self, request, begin, stacks, self.lost_stacks(request.serial))

    def frames(self, node: int) -> list[Frame]:
        """Return the frames of a stack, innermost first."""
        frames = []
        while node:
            node, code, instruction = self._scanner.node(node)
            key = (code, instruction)
            frame = self._frames.get(key)
            if frame is None:
                frame = self._frames[key] = Frame(*self._scanner.frame(code, instruction))
            frames.append(frame)
        return frames

    def alive_objects(self, serial: int) -> frozenset[int] | None:
        """Return the addresses of objects that a block made and that are alive at its end.

        For a scanner that has scanned nothing yet, and a capture that has objects. Returns None if
        some marks of the block are missing.

        Raises:
            ValueError: the capture is damaged.
        """
        packed = self._scanner.alive_objects(serial)
        return None if packed is None else frozenset(memoryview(packed).cast("Q"))

    def write_block(self, request: BlockRequest, n_outer: int, to: int) -> None:
        """Write a capture of a block, with only what the block counts.

        Args:
            request: the block, which has been closed and can be kept.
            n_outer: how many frames around the block to leave out of its stacks.
            to: the file descriptor to write to.

        Raises:
            OSError: writing failed.
            CaptureError: some marks of the block are missing, or there is not enough memory.
        """
        try:
            written = self._scanner.write_block(request.serial, n_outer, to)
        except MemoryError as error:
            raise CaptureError("there is not enough memory to read the capture") from error
        if not written:
            raise CaptureError("the capture of this block is incomplete")

    @property
    def scanned_bytes(self) -> int:
        """How much of the capture has been scanned."""
        return int(self._scanner.offset)

    @property
    def idle_bytes(self) -> int:
        """How much of the scanned capture was written while no block was open."""
        return int(self._scanner.idle_bytes)


def _in_c() -> ModuleType:
    assert isinstance(_c_module, ModuleType), _c_module
    return _c_module


def start_follower() -> bool:
    """Start the thread that follows captures, unless it runs. Call it while no tracker runs.

    Returns:
        Whether it runs. It does so on Linux, if there is more than one processor.
    """
    return scanner_problem() is None and bool(_in_c().start_follower())


def reader_bytes() -> int:
    """Return how much memory all scanners have taken, where memray does not see it; else 0."""
    return 0 if isinstance(_c_module, str) else int(_c_module.taken_bytes())


@functools.cache
def scanner_problem() -> str | None:
    """Return why the scanner does not read blocks in this process; None if it does.

    Raises:
        InvalidOptionError: ``MEMBUDGET_READER`` is not ``auto`` or ``replay``.
    """
    choice = environ.get(READER_VARIABLE, "auto")
    if choice == "replay":
        return f"{READER_VARIABLE}=replay is set in the environment"
    if choice not in ("", "auto"):
        raise InvalidOptionError(f"{READER_VARIABLE}: {choice!r} is not 'auto' or 'replay'")
    if isinstance(_c_module, str):
        return (
            f"the C extension is missing ({_c_module}): to build it, install membudget where there "
            f"is a C compiler"
        )
    return None
