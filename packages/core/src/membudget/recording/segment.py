"""A segment of the recording: a capture, its scanner, and what is to be read later."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterator
from typing import Final

from ..budget import ObjectLimit
from ..errors import CaptureError
from ..host.raised import raised_by_us
from ..host.system import Real
from ..measurement import LeakedObjects, Measurement
from .capture import Capture
from .marks import Alphabet
from .readers.accounting import Account
from .readers.leaked_objects import summarized
from .readers.reading import lost_stacks, read_block, read_peaks
from .readers.scanner import Scanner, keep_block, scanner_problem
from .readers.stack_trimming import StackTraces
from .request import BlockQuery, LateAllocations, TraceSettings


class Segment:
    """Records from :meth:`start` to :meth:`finish`.

    Args:
        alphabet: how marks are spelled.
        trace: what the tracker traces.
    """

    def __init__(self, alphabet: Alphabet, trace: TraceSettings) -> None:
        self._alphabet = alphabet
        self._capture = Capture(trace)
        self._scanner: Scanner | None = None
        self._later: list[tuple[weakref.ref[LateAllocations], Account]] = []
        self._idle_at_rest: int | None = None
        self._kept = False
        self.start_seconds = 0.0
        self.trace: Final = trace

    def start(self) -> None:
        """Start the tracker; see :meth:`Capture.start`."""
        begin = Real.perf_counter()
        self._capture.start()
        self.start_seconds = Real.perf_counter() - begin
        if scanner_problem() is None:
            try:
                self._scanner = Scanner(self._capture.fd, self._alphabet)
            except ValueError as error:
                if not raised_by_us(error):
                    raise
                # A version of memray that the scanner does not know: the replay reads then.

    def expect(self, query: BlockQuery) -> None:
        """Make ready for a block, before its start mark."""
        if self._scanner is not None:
            self._scanner.expect(query)

    def forget(self, serial: int) -> None:
        """Let go of a block that was read or abandoned."""
        if self._scanner is not None:
            self._scanner.forget(serial)

    def scan(self, query: BlockQuery) -> Account | None:
        """Read the figures of a block while the tracker runs; None where that cannot be done."""
        if self._scanner is None or query.stack_filter is not None:
            return None
        try:
            self._capture.check()
            return self._scanner.close_block(query.serial)
        except CaptureError:
            self._scanner = None
            raise
        except ValueError as error:
            if not raised_by_us(error):
                raise
            self._scanner = None
            return None

    @property
    def can_rest(self) -> bool:
        """Whether the next block can be recorded in this segment: it can be read there."""
        # A kept capture has the names of all functions so far: the next one shall have few.
        return self._scanner is not None and self._capture.recording and not self._kept

    @property
    def scanned_bytes(self) -> int:
        """How much has been scanned."""
        return 0 if self._scanner is None else self._scanner.scanned_bytes

    def path(self, pid: int) -> str:
        """Return a path that opens the capture from another process."""
        return self._capture.path(pid)

    def rest(self) -> None:
        """Go on recording between two blocks, at less cost; see :meth:`Capture.rest`."""
        if self._scanner is not None:
            self._idle_at_rest = self._scanner.idle_bytes
        self._capture.rest()

    def wake(self) -> bool:
        """End :meth:`rest`; see :meth:`Capture.wake`."""
        return self._capture.wake()

    @property
    def resting(self) -> bool:
        """Whether it is between :meth:`rest` and :meth:`wake`."""
        return self._capture.resting

    def gap_bytes(self) -> int | None:
        """Return how much was recorded in the gap before the first block since; None for none."""
        if self._idle_at_rest is None or self._scanner is None:
            return None
        gap = self._scanner.idle_bytes - self._idle_at_rest
        self._idle_at_rest = None
        return gap

    def later(self, query: BlockQuery, account: Account) -> LateAllocations:
        """Return the allocations of a scanned block, to be read when the segment ends."""
        if not query.always_allocations:
            return LateAllocations(query, ())
        late = LateAllocations(query)
        self._later.append((weakref.ref(late), account))
        return late

    def read_block(self, query: BlockQuery) -> Measurement:
        """Stop the tracker, and read a block in full; see :func:`reading.read_block`."""
        self._capture.stop()
        return read_block(self._capture.path(), self._alphabet, query)

    def leaked_objects(self, query: BlockQuery, limit: ObjectLimit) -> tuple[LeakedObjects, ...]:
        """Stop the tracker, and return the objects that a block left behind.

        Raises:
            CaptureError: the capture cannot be read, or the block is not there in full.
            FilterError: the filter of the limit raised something.
        """
        self._capture.stop()
        survivors = self._capture.take_survivors()
        try:
            scanner = Scanner(self._capture.fd, self._alphabet)
            scanner.expect(query)
            addresses = scanner.alive_objects(query.serial)
            account = scanner.close_block(query.serial)
        except ValueError as error:
            if not raised_by_us(error):
                raise
            raise CaptureError(f"the objects of this block cannot be read: {error}") from error
        if addresses is None or account is None:
            raise CaptureError("the capture of this block is incomplete")
        objects = (each for each in survivors if id(each) in addresses)
        traces_of = functools.partial(StackTraces, query)
        return summarized(self._capture.path(), objects, limit, account.start_index, traces_of)

    def keep_block(self, query: BlockQuery) -> None:
        """Keep a capture of a block that has ended; see :func:`scanner.keep_block`."""
        if self.trace.track_objects:
            raise CaptureError("the capture of a test with limit_leaked_objects cannot be cut")
        self._kept = True
        keep_block(self._capture.fd, self._alphabet, query)

    def finish(self) -> float:
        """Stop the tracker, read what was left for later, give the file back.

        Can be done again.

        Returns:
            How many seconds the tracker took to start and to stop.
        """
        begin = Real.perf_counter()
        stop_seconds = 0.0
        try:
            self._capture.stop()
            stop_seconds = Real.perf_counter() - begin
            wanted = list(self._wanted())
            if wanted:
                self._read_later(wanted)
        except CaptureError as error:
            # For a report, which says that they are missing there; it fails no block.
            for late, _ in self._wanted():
                late.allocations, late.problem = (), str(error)
        self._capture.close()
        self._later.clear()
        return self.start_seconds + stop_seconds

    def forget_in_child(self) -> None:
        """Let go of the capture in a forked child."""
        self._capture.forget_in_child()

    def _wanted(self) -> Iterator[tuple[LateAllocations, Account]]:
        for reference, account in self._later:
            late = reference()
            if late is not None and late.allocations is None:
                yield late, account

    def _read_later(self, wanted: list[tuple[LateAllocations, Account]]) -> None:
        blocks = [(late.query, account) for late, account in wanted]
        path = self._capture.path()
        found = read_peaks(path, self._alphabet, blocks)
        for (late, account), allocations in zip(wanted, found, strict=True):
            late.allocations = allocations
            late.lost_stacks = lost_stacks(path, late.query, account, allocations)
