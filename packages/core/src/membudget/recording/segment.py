"""A segment of the recording: a capture, its scanner, and the stacks to read when it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import getpid
from typing import Final, TypeVar

from ..errors import CaptureError
from ..host.forks import follower_runs
from ..host.raised import raised_by_us
from ..host.system import Real
from ..host.whole_files import whole_file
from ..measurement import Allocation, Curve, LeakedObjects
from .capture import Capture
from .marks import Alphabet
from .readers.accounting import Account
from .readers.leaked_objects import summarized
from .readers.process import ReaderProcess, RemoteReader
from .readers.scanner import ScannedStacks, Scanner, scanner_problem, start_follower
from .readers.whole_captures import BlockReader, checked
from .request import BlockRequest, LateStacks, TraceSettings

T = TypeVar("T")


class Segment:
    """Records from :meth:`start` to :meth:`finish`.

    Args:
        alphabet: encodes marks.
        trace: what the tracker traces.

    Attributes:
        is_idle: whether it records without a block, from :meth:`begin_idling`.
        start_seconds: how long the tracker took to start.
        trace: as given.
    """

    def __init__(self, alphabet: Alphabet, trace: TraceSettings) -> None:
        self._alphabet = alphabet
        self._capture = Capture(trace)
        self._scanner: Scanner | None = None
        self._late: dict[LateStacks, ScannedStacks] = {}
        self._idle_at_rest: int | None = None
        self._is_followed = False
        self._is_whole = True
        self.start_seconds = 0.0
        self.is_idle = False
        self.trace: Final = trace

    def start(self) -> None:
        """Start the tracker; see :meth:`Capture.start`."""
        begin = Real.perf_counter()
        self._is_followed = start_follower()
        follower_runs(self._is_followed)
        self._capture.start()
        self.start_seconds = Real.perf_counter() - begin
        if scanner_problem() is None:
            try:
                self._scanner = Scanner(self._capture.fd, self._alphabet)
            except ValueError as error:
                if not raised_by_us(error):
                    raise
                # The scanner does not know the capture format of this memray: the replay reads it.

    def expect(self, request: BlockRequest) -> None:
        """Prepare for a block, before its start mark."""
        if self._scanner is not None:
            self._scanner.expect(request)

    def follow(self) -> None:
        """Scan in a thread what is recorded from now on, if the program can have such a thread.

        What was scanned is removed from the file, unless memray's reader, or a second pass, may
        read it.
        """
        if self._scanner is not None and self._is_followed:
            is_read_again = self.trace.native_traces or self.trace.track_objects
            self._scanner.follow(gives_back=not is_read_again)

    def forget(self, serial: int) -> None:
        """Drop a block that was read or abandoned."""
        if self._scanner is not None:
            self._scanner.forget(serial)

    def scan(self, request: BlockRequest) -> Account | None:
        """Read the figures of a block while the tracker runs; None if that is not possible."""
        return self._scanned(lambda scanner: scanner.close_block(request.serial))

    def retained_so_far(self, request: BlockRequest) -> int | None:
        """Read what an open block retains at its look mark; None if that is not possible."""
        return self._scanned(lambda scanner: scanner.retained_so_far(request.serial))

    def _scanned(self, read: Callable[[Scanner], T]) -> T | None:
        """Return what ``read`` returns; None if the scanner cannot read this capture."""
        if self._scanner is None:
            return None
        try:
            self._capture.check()
            return read(self._scanner)
        except CaptureError:
            self._give_up_scanning(self._scanner)
            raise
        except ValueError as error:
            if not raised_by_us(error):
                raise
            self._give_up_scanning(self._scanner)
            return None

    def _give_up_scanning(self, scanner: Scanner) -> None:
        """Leave the blocks that are still open to another reader, if that can read all of them."""
        self._is_whole &= not scanner.has_given_back
        self._scanner = None

    def lost_stacks(self, request: BlockRequest) -> bool:
        """Whether memray has lost stacks of a block that has been scanned."""
        assert self._scanner is not None
        return self._scanner.lost_stacks(request.serial)

    def curve(self, request: BlockRequest) -> Curve | None:
        """Return the curve of a block that has been scanned; None for a short one."""
        assert self._scanner is not None
        curve = self._scanner.curve(request.serial)
        # A block is short if the thread noted the time only once or never.
        return curve if curve is not None and len(curve.maxima) > 1 else None

    def scanned_stacks(self, request: BlockRequest, *, at_peak: bool) -> ScannedStacks:
        """Return the stacks of what was alive in a block that has been scanned.

        Args:
            request: the block.
            at_peak: what was alive at its peak; otherwise at its end.
        """
        scanner = self._scanner
        assert scanner is not None
        return scanner.stacks_at_peak(request) if at_peak else scanner.stacks_at_end(request)

    def allocations(self, scanned: ScannedStacks) -> tuple[Allocation, ...]:
        """Return stacks as their block sees them, largest first.

        Raises:
            CaptureError: the capture cannot be read.
        """
        self._capture.check()
        try:
            return scanned.allocations()
        except ValueError as error:
            if not raised_by_us(error):
                raise
            raise CaptureError(f"the stacks of this block cannot be read: {error}") from error

    @property
    def can_rest(self) -> bool:
        """Whether the next block can be recorded, and then read, in this segment."""
        return self._scanner is not None and self._capture.recording

    @property
    def scanned_bytes(self) -> int:
        """How much has been scanned."""
        return 0 if self._scanner is None else self._scanner.scanned_bytes

    def reader_of(self, request: BlockRequest) -> BlockReader:
        """Stop the tracker, and return what reads a block.

        Raises:
            CaptureError: the capture cannot be read.
        """
        self._capture.stop()
        self._check_whole()
        return BlockReader(self._capture.path(), self._alphabet, request)

    def remote_reader_of(self, request: BlockRequest, process: ReaderProcess) -> RemoteReader:
        """Return what reads a block in another process, while the tracker keeps running here.

        Raises:
            CaptureError: the capture cannot be read.
        """
        self._check_whole()
        return RemoteReader(process, self._capture.path(getpid()), self._alphabet, request)

    def _check_whole(self) -> None:
        """Raise an error if the scanner has removed what it had scanned, and then failed."""
        if self._scanner is not None and self._scanner.has_given_back:
            checked(None)
        if not self._is_whole:
            raise CaptureError(
                "the capture of this block is damaged, or there was not enough memory to read it"
            )

    def rest(self) -> None:
        """Record less, because this thread is in no block; see :meth:`Capture.rest`."""
        self._capture.rest()

    def wake(self) -> None:
        """End :meth:`rest`; see :meth:`Capture.wake`."""
        self._capture.wake()

    def follow_calls(self) -> None:
        """End :meth:`rest` for stacks of this thread; see :meth:`Capture.follow_calls`."""
        self._capture.follow_calls()

    def begin_idling(self) -> None:
        """Continue recording, at less cost, until the next block opens."""
        if self._scanner is not None:
            self._idle_at_rest = self._scanner.idle_bytes
        self._capture.rest()
        self.is_idle = True

    def end_idling(self) -> bool:
        """Return whether the next block can be recorded here; then its start calls :meth:`wake`."""
        self.is_idle = not self._capture.can_wake()
        return not self.is_idle

    def gap_bytes(self) -> int | None:
        """Return how much was recorded between the last two blocks; None if there was no gap."""
        if self._idle_at_rest is None or self._scanner is None:
            return None
        gap = self._scanner.idle_bytes - self._idle_at_rest
        self._idle_at_rest = None
        return gap

    def late_stacks(self, request: BlockRequest) -> LateStacks:
        """Return the stacks at the peak of a scanned block, whose frames are read later."""
        late = LateStacks(request, curve=self.curve(request))
        self._late[late] = self.scanned_stacks(request, at_peak=True)
        return late

    def read_late(self, late: LateStacks) -> None:
        """Read the frames of stacks that were left for later.

        Raises:
            CaptureError: the capture cannot be read.
        """
        scanned = self._late.get(late)
        if scanned is not None and late.allocations is None:
            late.allocations = self.allocations(scanned)
            late.lost_stacks = scanned.lost_some(late.allocations)

    def leaked_objects(
        self, request: BlockRequest, counts: Callable[[object], bool]
    ) -> tuple[LeakedObjects, ...]:
        """Stop the tracker, and return the objects that a block leaked, most frequent first.

        Args:
            request: the block.
            counts: returns whether an object counts.

        Raises:
            CaptureError: the capture cannot be read, or does not contain the whole block.
        """
        self._capture.stop()
        survivors = self._capture.take_survivors()
        try:
            scanner = Scanner(self._capture.fd, self._alphabet)
            scanner.expect(replace(request, stack_filter=None, wants_stacks=False))
            addresses = scanner.alive_objects(request.serial)
            account = scanner.close_block(request.serial)
        except ValueError as error:
            if not raised_by_us(error):
                raise
            raise CaptureError(f"the objects of this block cannot be read: {error}") from error
        if addresses is None or account is None:
            raise CaptureError("the capture of this block is incomplete")
        objects = (each for each in survivors if id(each) in addresses)
        return summarized(self._capture.path(), objects, counts, account.start_index, request)

    def keep_block(self, request: BlockRequest, path: str, n_outer: int) -> None:
        """Keep a capture of a block that has been scanned; see :meth:`Scanner.write_block`.

        Args:
            request: the block.
            path: where to write it.
            n_outer: how many frames around the block to leave out of its stacks.

        Raises:
            CaptureError: it cannot be cut out of the recording.
            OSError: the file cannot be written; the old file is unchanged.
        """
        if self.trace.track_objects:
            raise CaptureError("the capture of a test with limit_leaked_objects cannot be kept")
        if scanner_problem() is not None:
            raise CaptureError(f"the reader in C is missing: {scanner_problem()}")
        if self._scanner is None:
            raise CaptureError("the reader in C cannot read this recording")
        self._capture.check()
        with whole_file(path) as fd:
            self._scanner.write_block(request, n_outer, fd)

    def finish(self) -> float:
        """Stop the tracker, read the stacks that are wanted, and close the file.

        Can be called again.

        Returns:
            How many seconds the tracker took to start and to stop.
        """
        begin = Real.perf_counter()
        stop_seconds = 0.0
        try:
            self._capture.stop()
            stop_seconds = Real.perf_counter() - begin
            for late in self._late:
                if late.wanted:
                    self.read_late(late)
        except CaptureError as error:
            # Not raised: only a report needs these stacks, and it says that they are missing.
            for late in self._late:
                if late.allocations is None:
                    late.allocations, late.problem = (), str(error)
        self._capture.close()
        self._late.clear()
        return self.start_seconds + stop_seconds

    def forget_in_child(self) -> None:
        """Drop the capture in a forked child."""
        self._capture.forget_in_child()
