"""The one recorder of a process: opens and closes blocks, and decides when the tracker runs.

The tracker starts with the first block that opens. When the last open block closes, it stops, or,
in a run, continues for the next block (see :mod:`restart_policy`). The recording from its start to
its stop is a segment. A segment ends only while no block is open: when it has become large, when
the next block needs other settings, or when the process forks.

:class:`Reading` reads a block.

This module imports memray, so it is imported only when the first block opens.

Raises:
    RecordingError: on import, if memray cannot be imported.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import weakref
from collections.abc import Callable
from sys import is_finalizing
from threading import RLock
from typing import Final, TypeVar

from ..errors import CaptureError, MisuseError, RecordingError
from ..host.forks import not_forking
from ..measurement import Allocation
from .capture import import_memray
from .garbage import CollectorPause
from .greenlets import GreenletWatch
from .marks import SERIALS, Alphabet, Kind, Lengths, make_mark, set_work_marks
from .process_memory import status_file
from .readers.process import ReaderProcess
from .reading import Reading
from .request import BlockRequest, CountsStacks, LateStacks, TraceSettings
from .restart_policy import RestartPolicy
from .segment import Segment
from .tracemalloc_guard import end_resting_with

SEGMENT_BYTES: Final = 2_000_000
"""How large a capture may grow before the recording continues in a new one."""


T = TypeVar("T")


class OpenBlock:
    """A block of the recording: :meth:`open` it, make its marks, :meth:`read` it.

    If one of these is interrupted, :meth:`close` it; it can be closed again. The recorder has only
    a weak reference: a block that is lost is closed, so that the tracker does not keep running.

    Attributes:
        is_parents: whether the parent process opened it before this process was forked.
        start_mark, end_mark: the marks at its borders.
    """

    __slots__ = (
        "__weakref__",
        "_continue_mark",
        "_garbage",
        "_greenlets",
        "_look_mark",
        "_recorder",
        "_request",
        "_suspend_mark",
        "end_mark",
        "is_parents",
        "start_mark",
    )

    def __init__(self, recorder: Recorder, request: BlockRequest, alphabet: Alphabet) -> None:
        self._recorder = recorder
        self._request = request
        self.start_mark: Final[Lengths] = alphabet.spell(Kind.START, request.serial)
        self.end_mark: Final[Lengths] = alphabet.spell(Kind.END, request.serial)
        self._suspend_mark: Final[Lengths] = alphabet.spell(Kind.SUSPEND, request.serial)
        self._continue_mark: Final[Lengths] = alphabet.spell(Kind.CONTINUE, request.serial)
        self._look_mark: Final[Lengths] = alphabet.spell(Kind.LOOK, request.serial)
        self._garbage = CollectorPause()
        self.is_parents = False
        self._greenlets = GreenletWatch() if request.thread_only else None

    def open(self, trace: TraceSettings | None) -> None:
        """Start the recording for this block, or continue it.

        Args:
            trace: what the recording has to trace; None for the settings of an open block, or the
                default.

        Raises:
            RecordingError: recording cannot start.
            MisuseError: an open block has other settings.
        """
        self._recorder.open(self, self._request, trace, self._garbage)

    def begins(self) -> None:
        """Record all that is traced: call it just before the start mark.

        Raises:
            CaptureError: the program has replaced Python's allocators.
        """
        self._recorder.wake()

    def ended(self) -> None:
        """Record less from now on, unless other blocks are open: call it after the end mark."""
        self._recorder.rest(self._request.serial)

    def suspend(self) -> None:
        """Make the block count nothing until :meth:`go_on`; such stretches can overlap."""
        make_mark(self._suspend_mark)

    def go_on(self) -> None:
        """End :meth:`suspend`."""
        make_mark(self._continue_mark)

    def retained_so_far(self) -> int | None:
        """Return the bytes that the open block has allocated and that are alive.

        None if they can be read only when the block has ended.

        Raises:
            CaptureError: the capture was lost.
            MisuseError: see :meth:`read`.
        """
        make_mark(self._look_mark)
        return self._recorder.retained_so_far(self._request, self._garbage)

    def read(self, ask: Callable[[Reading], T]) -> T:
        """Read the block, and close it.

        Args:
            ask: called with the :class:`Reading` of the block, which is valid only during the call.
                No other block of this thread can begin or end in the meantime.

        Returns:
            The return value of ``ask``.

        Raises:
            CaptureError: the capture was lost.
            RecordingError: only this thread counts, but it has run several greenlets.
        """
        if self._greenlets is not None and self._greenlets.switched:
            raise RecordingError(
                "current_thread_only: this thread ran several greenlets in this block (gevent, "
                "greenlet), and memray counts each of them as another thread. Remove "
                "current_thread_only"
            )
        return self._recorder.read(self._request, self._garbage, ask)

    def close(self) -> None:
        """Close the block if it is open. If it was not read, its figures are lost."""
        self._recorder.close(self._request.serial, self._garbage)


class Recorder:
    """Records blocks. There is one in each process, see :func:`get_recorder`."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._alphabet = Alphabet.draw()
        set_work_marks(self._alphabet.spell(Kind.PAUSE), self._alphabet.spell(Kind.RESUME))
        self._serials = itertools.count(1)
        # By serial. A __del__ of OpenBlock would not do: Python would run it for every block, and
        # lose a KeyboardInterrupt that arrives in it.
        self._open: dict[int, weakref.ref[OpenBlock]] = {}
        # The serial of the block that is being opened or read. The lock does not keep out a signal
        # handler that interrupts this, because it runs in the same thread.
        self._at_work_for: int | None = None
        self._segment: Segment | None = None
        self._reader: ReaderProcess | None = None
        self._restart_policy = RestartPolicy()
        self._n_runs = 0

    def new_block(
        self,
        *,
        thread_only: bool = False,
        stacks_begin_inside: bool = False,
        outer_files: tuple[str, ...] = (),
        stack_filter: CountsStacks | None = None,
        wants_stacks: bool = True,
        keeps_capture: bool = False,
    ) -> OpenBlock:
        """Return a new block that is not open yet.

        Args:
            thread_only, stacks_begin_inside, outer_files, stack_filter, wants_stacks,
                keeps_capture: see :class:`BlockRequest`.
        """
        request = BlockRequest(
            next(self._serials) % SERIALS,
            thread_only,
            stacks_begin_inside,
            outer_files,
            stack_filter,
            wants_stacks,
            keeps_capture,
        )
        return OpenBlock(self, request, self._alphabet)

    def open(
        self,
        block: OpenBlock,
        request: BlockRequest,
        trace: TraceSettings | None,
        garbage: CollectorPause,
    ) -> None:
        """Open a block; see ``OpenBlock.open``."""
        serial = request.serial
        with self._lock:
            self._begin_work(serial)
            garbage.begin()
            segment = self._ready_segment(trace)
            self._open[serial] = weakref.ref(block, lambda _: self.close(serial))
            segment.expect(request)
            segment.follow()
            garbage.end()
            self._at_work_for = None

    def _begin_work(self, serial: int) -> None:
        if self._at_work_for is not None:
            raise MisuseError(
                "this block begins or ends while membudget opens or reads another block in this "
                "thread: it is in a signal handler, a finalizer or a plugin's hook. Move it out of "
                "there"
            )
        self._at_work_for = serial

    def _ready_segment(self, trace: TraceSettings | None) -> Segment:
        """Return a running segment for a block that needs ``trace``."""
        segment = self._segment
        if segment is not None and self._open:
            if trace not in (None, segment.trace):
                raise MisuseError(
                    f"this block needs a recording with {_described(trace or TraceSettings())}, "
                    f"but the open block around it has one with {_described(segment.trace)}, and "
                    f"blocks that overlap share one recording. Give the outer block the same "
                    f"setting (a test: in its marker or decorator, or for the whole run with "
                    f"--memray-stable or --trace-python-allocators), or remove it here"
                )
            return segment
        trace = trace or TraceSettings()
        if segment is not None and not (
            segment.is_idle and segment.trace == trace and segment.end_idling()
        ):
            self._finish_segment()
            segment = None
        if segment is None:
            with not_forking:
                # Stored before it starts: an interruption must not lose a running tracker.
                self._segment = segment = Segment(self._alphabet, trace)
                segment.start()
            if not self._restart_policy.restart_seconds:
                self._restart_policy.restart_seconds = segment.start_seconds
        return segment

    def wake(self) -> None:
        """Record all that is traced, for a block that begins; see ``OpenBlock.begins``."""
        with self._lock:
            if self._segment is not None:
                self._segment.wake()

    def rest(self, serial: int) -> None:
        """Record less if a block was the last one; see ``OpenBlock.ended``."""
        with self._lock:
            if self._segment is not None and self._open.keys() <= {serial}:
                self._segment.rest()

    def close(self, serial: int, garbage: CollectorPause | None = None) -> None:
        """Close a block, if it is open; see ``OpenBlock.close``."""
        if is_finalizing():
            return  # modules that this needs are gone; the system deletes the file
        with self._lock:
            if self._at_work_for not in (None, serial) and serial not in self._open:
                return  # it was refused; the unfinished work belongs to another block
            if garbage is not None:
                garbage.end()
            self._close(serial)
            if self._at_work_for == serial:  # this was interrupted
                self._at_work_for = None

    def read(
        self, request: BlockRequest, garbage: CollectorPause, ask: Callable[[Reading], T]
    ) -> T:
        """Read a block that has ended, and close it; see ``OpenBlock.read``."""
        with self._lock:
            self._begin_work(request.serial)
            try:
                garbage.begin()
                with contextlib.closing(self._reading(request)) as reading:
                    return ask(reading)
            finally:
                self._close(request.serial)
                garbage.end()
                self._at_work_for = None

    def retained_so_far(self, request: BlockRequest, garbage: CollectorPause) -> int | None:
        """Read what an open block retains; see ``OpenBlock.retained_so_far``."""
        with self._lock:
            self._begin_work(request.serial)
            try:
                garbage.begin()
                return None if self._segment is None else self._segment.retained_so_far(request)
            finally:
                if self._segment is not None:
                    self._segment.follow()
                garbage.end()
                self._at_work_for = None

    def _reading(self, request: BlockRequest) -> Reading:
        if self._segment is None:
            raise CaptureError("the capture of this block was lost before the block ended")
        is_last = self._open.keys() <= {request.serial}
        return Reading(self._segment, request, None if is_last else self._reader_process)

    def _reader_process(self) -> ReaderProcess:
        if self._reader is None or not self._reader.usable:
            self._reader = ReaderProcess()
        return self._reader

    def _close(self, serial: int) -> None:
        """Close a block. After the last one, the segment rests or ends.

        Can be called again after an interruption.
        """
        was_open = self._open.pop(serial, None) is not None
        segment = self._segment
        if segment is None:
            return
        segment.forget(serial)
        if self._open:
            segment.follow_calls()  # they rest if the other block began after this one had ended
            segment.follow()
        elif was_open and self._continues(segment):
            segment.begin_idling()
        elif not segment.is_idle:
            self._finish_segment()

    def _continues(self, segment: Segment) -> bool:
        if not self._n_runs or not segment.can_rest:
            return False
        gap = segment.gap_bytes()
        if gap is not None:
            self._restart_policy.add_gap(gap)
        return segment.scanned_bytes < SEGMENT_BYTES and self._restart_policy.continues()

    def _finish_segment(self) -> None:
        if self._segment is not None:
            # Dropped only after it has ended, so that it can be ended again after an interruption.
            self._restart_policy.restart_seconds = self._segment.finish()
            self._segment = None

    @property
    def n_open(self) -> int:
        """How many blocks are open."""
        return len(self._open)

    @property
    def scans(self) -> bool:
        """Whether the scanner reads what is being recorded."""
        return self._segment is not None and self._segment.can_rest

    def begin_run(self) -> None:
        """Let the recording continue between blocks, until :meth:`end_run`."""
        with self._lock:
            self._n_runs += 1
            status_file.keep_open()

    def end_run(self) -> None:
        """End :meth:`begin_run`."""
        with self._lock:
            self._n_runs = max(0, self._n_runs - 1)  # a forked child may end its parent's run
            if not self._n_runs:
                self.settle()
                status_file.close()

    def settle(self) -> None:
        """End the segment if no block is open, and read the stacks that were left for later."""
        with self._lock:
            garbage = CollectorPause()
            try:
                garbage.begin()
                if not self._open:
                    self._finish_segment()
            finally:
                garbage.end()

    def read_late(self, late: LateStacks) -> tuple[Allocation, ...]:
        """Return stacks that were left for later; read them now if they have not been read."""
        self.settle()
        with self._lock:
            if late.allocations is None and self._segment is not None:  # a block is open
                garbage = CollectorPause()
                self._begin_work(late.request.serial)
                try:
                    garbage.begin()
                    self._segment.read_late(late)
                    self._segment.follow()
                finally:
                    garbage.end()
                    self._at_work_for = None
            return late.allocations or ()

    def forget_in_child(self) -> None:
        """In a forked child, drop what belongs to the parent."""
        self._lock = RLock()  # a thread that is not in the child may have held it
        status_file.close()
        for reference in self._open.values():
            block = reference()
            if block is not None:
                block.is_parents = True
        self._open.clear()
        if self._reader is not None:
            self._reader.close()
        if self._segment is not None:
            self._segment.forget_in_child()


def _described(trace: TraceSettings) -> str:
    """Describe what a recording traces, with the arguments that request it."""
    asked = [
        (trace.trace_python_allocators, "Python's own allocators (stable=True, limit_leaks)"),
        (trace.track_objects, "objects (limit_leaked_objects)"),
        (trace.native_traces, "native stacks (native_traces)"),
    ]
    return " and ".join(words for is_asked, words in asked if is_asked) or "none of these"


def get_recorder() -> Recorder:
    """Return the recorder of this process."""
    return _recorder


def _replace_recorder_in_child() -> None:
    global _recorder
    parents, _recorder = _recorder, Recorder()
    parents.forget_in_child()


def _settle() -> None:
    _recorder.settle()


# Made while this module is imported, so that two threads that open their first blocks at the same
# time get the same recorder. memray's own fork handler drops the tracker and has to run before
# ours, so it has to be registered before ours, which happens when memray is imported.
import_memray()
# Before a fork, a tracker without an open block is stopped: then the child has nothing to drop, and
# Python has no other thread to warn about.
os.register_at_fork(before=_settle, after_in_child=_replace_recorder_in_child)
atexit.register(_settle)
end_resting_with(_settle)
_recorder = Recorder()
