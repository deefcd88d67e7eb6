"""Reads a block that has ended: its figures, and on request the stacks of its memory.

The scanner reads while the tracker keeps running. Without it, the replay stops the tracker; or, if
other blocks are open, it runs in the reading process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..errors import MisuseError
from ..measurement import Allocation, Curve, LeakedObjects, Measurement
from .readers.process import ReaderProcess, RemoteReader
from .readers.whole_captures import BlockReader, checked
from .request import BlockRequest, LateStacks
from .segment import Segment


class Reading:
    """Reads one block.

    Args:
        segment: the segment in which the block was recorded.
        request: the block.
        reader_process: returns the reading process, if other blocks are open; None for the last
            block, which can stop the tracker.

    Attributes:
        request: the block.
    """

    def __init__(
        self,
        segment: Segment,
        request: BlockRequest,
        reader_process: Callable[[], ReaderProcess] | None,
    ) -> None:
        self._segment = segment
        self.request: Final = request
        self._reader_process = reader_process
        self._is_scanned = False
        self._replay: BlockReader | RemoteReader | None = None
        self._lost_stacks = False  # set only by the scanner

    def figures(self) -> Measurement:
        """Return the figures of the block, without any stacks.

        Raises:
            CaptureError: the capture cannot be read, or does not contain the whole block.
            FilterError: the filter of stacks raised an exception.
        """
        account = self._segment.scan(self.request)
        if account is None:
            return self._replaying().figures()
        self._is_scanned = True
        if self.request.stack_filter is not None:
            self._lost_stacks = self._segment.lost_stacks(self.request)
        return checked(account).measurement

    def at_peak(self) -> tuple[Allocation, ...]:
        """Return, after :meth:`figures`, the stacks of what was alive at the peak.

        Raises:
            CaptureError: the capture cannot be read.
        """
        return self._scanned(at_peak=True) if self._is_scanned else self._replaying().at_peak()

    def at_end(self, *, hybrid: bool = False) -> tuple[Allocation, ...]:
        """Return, after :meth:`figures`, the stacks of what was alive at the end.

        Args:
            hybrid: with native frames, if they were recorded. Only memray's reader knows these, so
                the replay reads them.
        """
        if hybrid and self._segment.trace.native_traces:
            reader = self._replaying()
            if self._is_scanned:
                reader.figures()
            return reader.hybrid_at_end()
        return self._scanned(at_peak=False) if self._is_scanned else self._replaying().at_end()

    def _scanned(self, *, at_peak: bool) -> tuple[Allocation, ...]:
        scanned = self._segment.scanned_stacks(self.request, at_peak=at_peak)
        allocations = self._segment.allocations(scanned)
        self._lost_stacks |= scanned.lost_some(allocations)
        return allocations

    @property
    def lost_stacks(self) -> bool:
        """Whether memray has lost stacks. Known only if stacks were read or filtered."""
        return self._lost_stacks or (self._replay is not None and self._replay.lost_stacks)

    def curve(self) -> Curve | None:
        """Return, after :meth:`figures`, how much was alive over time; None if it is not known."""
        return self._segment.curve(self.request) if self._is_scanned else None

    def late_stacks(self) -> LateStacks:
        """Return the stacks at the peak; they are read later if that is cheaper."""
        if self._is_scanned:
            return self._segment.late_stacks(self.request)
        return LateStacks(self.request, allocations=self.at_peak(), lost_stacks=self.lost_stacks)

    def leaked_objects(self, counts: Callable[[object], bool]) -> tuple[LeakedObjects, ...]:
        """Stop the tracker, and return the objects that the block leaked, most frequent first.

        Args:
            counts: returns whether an object counts.

        Raises:
            CaptureError: the capture cannot be read, or does not contain the whole block.
            MisuseError: another block is open.
        """
        if self._reader_process is not None:
            raise MisuseError(
                "a block with limit_leaked_objects ends while another block is open, but objects "
                "can be read only when the recording ends: make it the outermost block"
            )
        return self._segment.leaked_objects(self.request, counts)

    def keep_capture(self, path: str, n_outer: int) -> None:
        """Keep a capture of the block for memray's own reporters.

        Args:
            path: where to write it.
            n_outer: how many frames around the block to leave out of its stacks.

        Raises:
            CaptureError: the capture cannot be read, or has records that cannot be cut out.
            OSError: the file cannot be written; the old file is unchanged.
        """
        self._segment.keep_block(self.request, path, n_outer)

    def close(self) -> None:
        """Release the data of the block in the reading process."""
        if isinstance(self._replay, RemoteReader):
            self._replay.close()

    def _replaying(self) -> BlockReader | RemoteReader:
        if self._replay is None:
            if self._reader_process is None:
                self._replay = self._segment.reader_of(self.request)
            else:
                process = self._reader_process()
                self._replay = self._segment.remote_reader_of(self.request, process)
        return self._replay
