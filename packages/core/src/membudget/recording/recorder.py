"""The one recorder of a process: opens and closes blocks.

The tracker starts with the first block that opens and stops with the last one that closes. A block
that closes while others are open is read by the reader process, so that nothing which happens
meanwhile is lost; the last one is read here, when the tracker has stopped.

Importing this module imports memray, so it is imported when the first block opens.

Raises:
    RecordingError: on import, when memray cannot be imported.
"""

from __future__ import annotations

import gc
import itertools
import os
import threading
import weakref

from ..errors import CaptureError
from ..model import Budget, Measurement
from .capture import Capture, import_memray
from .marks import Alphabet, Kind, make_mark
from .reader_process import ReaderProcess
from .replay import BlockQuery, read_block


class OpenBlock:
    """A block that has begun: :meth:`end` it, :meth:`read` it, :meth:`leave` it.

    The recorder holds it weakly: one that is lost before it was read, because of an interruption
    between two steps, is abandoned, so that the tracker does not run on for it.

    Attributes:
        pid: the process that opened it.
    """

    __slots__ = ("__weakref__", "_end_mark", "_query", "_recorder", "_start_mark", "pid")

    def __init__(self, recorder: Recorder, query: BlockQuery, alphabet: Alphabet) -> None:
        self._recorder = recorder
        self._query = query
        self._start_mark = alphabet.spell(Kind.START, query.serial)
        self._end_mark = alphabet.spell(Kind.END, query.serial)
        self.pid = os.getpid()

    def begin(self) -> None:
        """Begin the block: what is allocated from here on counts in it."""
        make_mark(self._start_mark)

    def end(self) -> None:
        """End the block: its thread is at work for membudget until :meth:`leave`."""
        make_mark(self._end_mark)

    def read(self) -> Measurement:
        """Read the figures of the block, and close it.

        Raises:
            CaptureError: the capture cannot be read, or the block is not there in full.
        """
        return self._recorder.read(self._query)

    def leave(self) -> None:
        """Say that the thread is back to the program's own work; abandon what was not read."""
        self._recorder.abandon(self._query.serial)


class Recorder:
    """Records blocks; one for a process, see :func:`get_recorder`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._alphabet = Alphabet.draw()
        self._pause_mark = self._alphabet.spell(Kind.PAUSE)
        self._resume_mark = self._alphabet.spell(Kind.RESUME)
        self._serials = itertools.count(1)
        # By serial. Not a __del__ of OpenBlock: Python would run it for every block, and lose a
        # KeyboardInterrupt that happens to arrive in it.
        self._open: dict[int, weakref.ref[OpenBlock]] = {}
        self._capture: Capture | None = None
        self._reader: ReaderProcess | None = None

    def open(
        self, budget: Budget, *, always_allocations: bool, stacks_begin_inside: bool
    ) -> OpenBlock:
        """Open a block; what the process allocates from here on counts in it.

        Raises:
            RecordingError: recording cannot start. The block is not open then.
        """
        if self._open:
            make_mark(self._pause_mark)
        serial = next(self._serials)
        query = BlockQuery(serial, budget, always_allocations, stacks_begin_inside)
        block = OpenBlock(self, query, self._alphabet)
        try:
            with self._lock:
                self._open[serial] = weakref.ref(block, lambda _: self.abandon(serial))
                if self._capture is None:
                    self._capture = Capture()
                    self._capture.start()
            block.begin()
        except BaseException:
            self.abandon(serial)
            raise
        return block

    def abandon(self, serial: int) -> None:
        """Close a block without reading it, if it is open; its thread is at work no more."""
        with self._lock:
            self._close(serial)
        if self._open:
            make_mark(self._resume_mark)

    def read(self, query: BlockQuery) -> Measurement:
        """Read the figures of a block that has ended, and close it; see ``OpenBlock.read``."""
        with self._lock:
            collecting = gc.isenabled()
            try:
                # The program's garbage, and what its finalizers warn of, stays where it is without
                # measuring: in the program.
                gc.disable()
                if self._capture is None:
                    raise CaptureError("the capture of this block was lost before the block ended")
                if len(self._open) == 1:
                    self._capture.stop()
                    return read_block(self._capture.path(), self._alphabet, query)
                if self._reader is None or not self._reader.usable:
                    self._reader = ReaderProcess()
                path = self._capture.path(os.getpid())
                return self._reader.read_block(path, self._alphabet, query)
            finally:
                if collecting:
                    gc.enable()
                self._close(query.serial)

    def _close(self, serial: int) -> None:
        """Close a block, and the capture with the last one.

        Can be done again: every block is closed twice, so that one interruption, wherever it
        arrives, leaves nothing open.
        """
        self._open.pop(serial, None)
        if not self._open and self._capture is not None:
            self._capture.close()
            self._capture = None

    def forget_in_child(self) -> None:
        """Let go, in a forked child, of what belongs to the parent."""
        self._lock = threading.RLock()  # a thread that is not in the child may have held it
        self._open.clear()
        if self._reader is not None:
            self._reader.forget()
        if self._capture is not None:
            self._capture.forget_in_child()


def get_recorder() -> Recorder:
    """Return the recorder of this process."""
    return _recorder


def _start_anew_in_child() -> None:
    global _recorder
    parents, _recorder = _recorder, Recorder()
    parents.forget_in_child()


# Made while this module is imported, so that two threads that open their first blocks at the same
# time get the same one. memray's own fork handler lets go of the tracker and has to run before
# ours, so it has to be registered before ours, which happens when memray is imported.
import_memray()
os.register_at_fork(after_in_child=_start_anew_in_child)
_recorder = Recorder()
