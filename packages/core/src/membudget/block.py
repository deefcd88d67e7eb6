"""A block and its budget: enters and leaves the recording, judges once, raises."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import replace
from sys import _getframe, is_finalizing
from threading import get_ident
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final, TypeAlias
from warnings import warn

from .availability import measuring_is_on, why_not_measured
from .budget import Budget, Scope
from .errors import (
    CaptureError,
    FilterError,
    MembudgetError,
    MisuseError,
    NotKeptWarning,
    NotMeasuredError,
    UnmatchedPatternWarning,
)
from .host.module_names import NOT_UTF_8
from .host.origins import levels_to_the_user
from .host.raised import raised_by_us
from .measurement import Allocation, Measurement
from .noted_verdicts import add_note, let_win
from .plugins import filter_allocations, keeps_allocation
from .recording.access import get_recorder
from .recording.garbage import SettledGarbage, collect_new_garbage
from .recording.marks import MarkedBlock
from .recording.request import LateStacks, TraceSettings
from .report.failure_text import capture_line, exceeded_message, limits_of
from .sizes import format_size
from .stack_filter import StackFilter
from .unseen import UnseenMemory, tell_blindness
from .unused_limits import Watched, watch
from .verdict import (
    MemoryLimitExceeded,
    Verdict,
    check_stacks,
    figures_decide,
    judge,
    needs_retained,
    needs_stacks,
)

if TYPE_CHECKING:
    from .recording.reading import Reading
    from .recording.recorder import OpenBlock

MakesMessage: TypeAlias = Callable[[str, Measurement, Verdict], str]
Place: TypeAlias = tuple[str, int]
KeepsEvidence: TypeAlias = Callable[[Verdict, Callable[[str], bool]], str]
OnMeasured: TypeAlias = Callable[[Measurement, Verdict, LateStacks | None], object]

# unittest leaves out the frames of modules with this name, as pytest those with __tracebackhide__:
# a traceback begins at the user's code.
__unittest = True


class Block(MarkedBlock):
    """A block and its budget: the context manager below ``limit_memory`` and every measured test.

    The same object can be entered again after it has been left; it then measures a new block.

    Args:
        budget: the limits; without limits the block is only measured.
        subject: the name of the block in messages.
        trace: what the recording has to trace; None for what it traces already, or the default.
        always_allocations: pass the allocations at the peak to ``on_measured`` even if the budget
            is not exceeded.
        keep_capture: the path at which to keep a capture of the block for memray's own reporters,
            such as ``memray flamegraph``; empty to keep none. If it cannot be written, the block
            emits a :class:`NotKeptWarning`.
        keep_evidence: called if a limit of the block, or of a block in its body, is exceeded: with
            the verdict, and with a function that writes the capture to a path and returns whether
            that worked. Returns the path of the capture; empty if none is kept.
        outer_files: paths of files and directories; their frames are left out at the start of a
            stack trace, because they only lead to the measured code.
        around_call: whether the block is around the call of a function, see
            :mod:`membudget.decorating`: then the frame that enters it is left out as well.
        for_user: whether a user wrote this block, not an adapter: then it warns about patterns that
            match nothing, and refuses a budget that includes phases of a test.
        place: the file and the line where its limit is written, to warn about a limit that is never
            checked; None for no warning.
        is_provisional: whether the code can run again, warm, to be judged by that run: then an
            exceeded budget neither raises nor calls ``on_measured``, and :attr:`is_over` is true.
        message: makes the message of an exceeded budget; by default
            :func:`membudget.runs.exceeded_message`.
        on_measured: called with the measurement and the verdict of each block, before an exceeded
            budget raises, and also if the body raises. Its third argument reads the allocations at
            the peak, for :meth:`Run.add`; None unless ``always_allocations``.

    Raises:
        MemoryLimitExceeded: when the block ends and a limit is exceeded. For a body that raises
            an exception, see :mod:`membudget.noted_verdicts`.
        RecordingError: when the block begins or ends and cannot be measured; likewise.
        MisuseError: when it is entered before it has been left, or when its ``trace`` settings
            differ from those of an open block.
    """

    def __init__(
        self,
        budget: Budget,
        *,
        subject: str = "Block",
        trace: TraceSettings | None = None,
        always_allocations: bool = False,
        keep_capture: str = "",
        keep_evidence: KeepsEvidence | None = None,
        outer_files: tuple[str, ...] = (),
        around_call: bool = False,
        for_user: bool = False,
        place: Place | None = None,
        is_provisional: bool = False,
        message: MakesMessage = exceeded_message,
        on_measured: OnMeasured | None = None,
    ) -> None:
        self.budget: Final = budget
        self._subject = subject
        self._trace = trace
        self._always_allocations = always_allocations
        self._keep_capture = keep_capture
        self._keep_evidence = keep_evidence
        self._outer_files = outer_files
        self._around_call = around_call
        self._for_user = for_user
        self._is_provisional = is_provisional
        self._message = message
        self._on_measured = on_measured
        self._open: OpenBlock | None = None
        self._opening: OpenBlock | None = None  # until it is open
        self._entered_by: dict[str, int] = {}  # from when it is entered until it has been left
        self._garbage = SettledGarbage()
        self._unseen = UnseenMemory(budget, is_test=always_allocations)
        self._n_paused = 0
        self._n_outer = 0
        self._stack_filter: StackFilter | None = None
        self._measurement: Measurement | None = None
        self.is_over = False
        """Whether it was over its budget and did not raise, because it is provisional."""
        self.place: Final = place
        self._watched: Watched | None = None  # until the limit has been checked once

    @property
    def measurement(self) -> Measurement | None:
        """The measurement; None if the block has not ended, or measuring is off."""
        return self._measurement

    @property
    def peak_bytes(self) -> int:
        """The largest number of bytes alive at one time that the block allocated."""
        return self._measured().peak_bytes

    @property
    def total_bytes(self) -> int:
        """All bytes that the block ever allocated."""
        return self._measured().total_bytes

    @property
    def n_allocations(self) -> int:
        """How many allocations the block made."""
        return self._measured().n_allocations

    @property
    def retained_bytes(self) -> int:
        """The bytes that the block allocated and that were still alive at its end."""
        return self._measured().retained_bytes

    def _measured(self) -> Measurement:
        if self._measurement is not None:
            return self._measurement
        reason = why_not_measured()
        if reason is None and self._open is not None:
            reason = "the block has not ended yet"
        elif reason is None:
            reason = "the block was not entered, or could not be read"
        raise NotMeasuredError(f"there are no figures: {reason}. See .measurement, which is None")

    def __repr__(self) -> str:
        """Show the limits, and the figures when the block has ended."""
        limits = ", ".join(limits_of(self.budget)) or "no limit"
        return f"<{type(self).__name__} {limits}: {self._state()}>"

    def _state(self) -> str:
        measured = self._measurement
        if measured is None:
            return "not ended" if self._open is not None else "not measured"
        return (
            f"peak {format_size(measured.peak_bytes)}, total {format_size(measured.total_bytes)}, "
            f"{measured.n_allocations:,} allocations, "
            f"retained {format_size(measured.retained_bytes)}"
        )

    # __enter__ and __exit__ are MarkedBlock's: they make the marks, and call these two.
    def _enter(self) -> None:
        if not measuring_is_on():
            return
        # One step of Python, because several threads may enter the same object at the same time.
        thread = self._entered_by.setdefault("thread", get_ident())
        if self._open is not None or self._opening is not None or thread != get_ident():
            raise MisuseError(
                f"this {type(self).__name__} object is already open: create another one for a "
                f"block that nests or runs at the same time"
            )
        if self._for_user:
            refuse_phases(self.budget)
        self._measurement = None
        self.is_over = False
        self._n_paused = 0
        scope = self.budget.scope
        self._stack_filter = _stack_filter(scope)
        recorder = get_recorder()
        self._opening = block = recorder.new_block(
            thread_only=scope.current_thread_only,
            stacks_begin_inside=self._around_call,
            outer_files=self._outer_files,
            stack_filter=self._stack_filter,
            wants_stacks=self._always_allocations or self.budget.limits_anything,
            keeps_capture=self._may_keep,
        )
        if self._may_keep:
            self._n_outer = self._count_outer_frames()
        if scope.stable:
            self._garbage.begin()
        block.open(self._traced())
        self._unseen.begin(closely=self._always_allocations or recorder.n_open == 1)
        self._set_marks(
            block.start_mark,
            block.end_mark,
            bool(scope.stable),
            self.budget.limits_what_stays,
        )
        if self.place is not None:
            self._watched = self._watched or watch(self, self.place)
            self._watched.was_entered = True
        block.begins()
        self._open = block
        self._opening = None

    def _enter_failed(self) -> None:
        if self._entered_by.get("thread") != get_ident():
            return  # another thread has entered it
        self._counts_as_used()
        if self._opening is not None:
            self._clear_marks()
            self._unseen.end()
            self._garbage.end()
            self._opening.close()
            self._open = self._opening = None
        if self._open is None:  # otherwise it was entered twice, and is still open
            self._entered_by.clear()

    def _watch(self) -> None:
        """Warn if this limit is never used."""
        if self.place is not None:
            self._watched = watch(self, self.place)

    def _counts_as_used(self) -> None:
        """Prevent the warning that this limit was never used."""
        if self._watched is not None:
            self._watched.forget()
            self._watched = None

    def _traced(self) -> TraceSettings | None:
        """Return what the recording has to trace, for the user and for the budget."""
        counts_objects = self.budget.leaks is not None or bool(self.budget.scope.stable)
        tracks_objects = self.budget.objects is not None
        if not (counts_objects or tracks_objects):
            return self._trace
        trace = self._trace or TraceSettings()
        return replace(
            trace,
            trace_python_allocators=trace.trace_python_allocators or counts_objects,
            track_objects=tracks_objects,
        )

    @property
    def _may_keep(self) -> bool:
        """Whether a capture of this block may be kept."""
        return bool(self._keep_capture) or self._keep_evidence is not None

    def _count_outer_frames(self) -> int:
        """Count the frames around the block, for its capture."""
        frame: FrameType | None = _getframe(2)  # the frame with the with statement
        n_frames = 0
        while frame is not None:
            n_frames += 1
            frame = frame.f_back
        return n_frames if self._around_call else n_frames - 1

    def _settle(self) -> None:
        """Before the block ends, free what only garbage keeps alive, if the verdict depends on it.

        Collecting all garbage takes long, so this first looks whether there is a need.
        """
        block = self._open
        if block is None or block.is_parents or is_finalizing():
            return
        try:
            for collect in (collect_new_garbage, self._garbage.collect_all):
                if self._retains_little(block):
                    return
                collect()
        except BaseException as error:
            _add_interruption(error)
            raise

    def _retains_little(self, block: OpenBlock) -> bool:
        """Whether no limit on what stays alive can be exceeded, as far as is known."""
        most = self.budget.most_retained_bytes
        if most is None or self.budget.objects is not None:
            return False
        try:
            retained = block.retained_so_far()
        except MembudgetError as error:
            if not raised_by_us(error):
                raise
            return False  # raised again when the block is read
        return retained is not None and retained <= most

    def _leave(
        self,
        exc_type: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        block = self._open
        if block is None:
            return
        if is_finalizing():
            # In a generator that was never finished, for example: nothing can be read any more, and
            # a warning about the limit was emitted at exit.
            return
        if not block.is_parents:
            block.ended()
        self._counts_as_used()
        self._unseen.end()
        self._garbage.end()
        try:
            self._close(block, raised)
        except (MembudgetError, Warning):
            raise
        except BaseException as error:
            _add_interruption(error)
            raise
        self._left()

    def _leave_failed(self) -> None:
        self._unseen.end()
        self._garbage.end()
        if self._open is not None:
            self._open.close()
            self._left()

    def _left(self) -> None:
        self._open = None
        self._entered_by.clear()

    def _close(self, block: OpenBlock, raised: BaseException | None) -> None:
        __tracebackhide__ = True
        if block.is_parents:
            # A forked child leaves a block of its parent; the parent measures and judges it.
            return
        if isinstance(raised, SystemError) and "legacy_event_handler" in str(raised):
            add_note(raised, f"membudget: {NOT_UTF_8}")  # caused by memray, since Python 3.12
        try:
            if self._n_paused:
                raise MisuseError(
                    "paused() did not end before its block, or was interrupted: end it inside the "
                    "block"
                )
            measurement, verdict, late = block.read(functools.partial(self._read, raised))
        except MembudgetError as error:
            if raised is None:
                raise
            block.close()
            let_win(raised, error, says_it=self.budget.limits_anything)
            return
        self._measurement = measurement = self._unseen.added_to(measurement)
        verdict = verdict or judge(measurement, self.budget)
        if self._is_provisional and raised is None and not verdict.within:
            self.is_over = True
            return
        if self._on_measured is not None:
            self._on_measured(measurement, verdict, late)
        if verdict.within:
            if raised is None:
                self._warn_of_patterns()
            tell_blindness(self._subject, measurement, self.budget, raised)
            return
        message = self._message(self._subject, measurement, verdict)
        exceeded = MemoryLimitExceeded(message, measurement, verdict)
        if raised is None:
            raise exceeded
        let_win(raised, exceeded)

    def _read(
        self, raised: BaseException | None, reading: Reading
    ) -> tuple[Measurement, Verdict | None, LateStacks | None]:
        """Read the figures of the block, and the stacks that its verdict or a report needs.

        The verdict is None if it is not known yet.
        """
        try:
            measurement = reading.figures()
            late = None
            if needs_stacks(measurement, self.budget):
                measurement = self._with_stacks(reading, measurement)
                if self._always_allocations:
                    late = LateStacks(
                        reading.request,
                        allocations=measurement.allocations,
                        curve=measurement.curve,
                    )
            elif self._always_allocations:
                late = reading.late_stacks()
                measurement = replace(
                    measurement,
                    allocations=late.allocations or (),
                    lost_stacks=late.lost_stacks,
                )
            if self._stack_filter is not None:
                measurement = self._filtered(reading, measurement, self._stack_filter)
            limit = self.budget.objects
            # An exception references the frames that it went through, and their objects.
            if limit is not None and raised is None:
                leaked = reading.leaked_objects(limit.counts)
                measurement = replace(measurement, leaked_objects=leaked)
            return measurement, self._with_evidence(reading, measurement, raised), late
        finally:
            if self._keep_capture:
                self._keep(reading, self._keep_capture)

    def _with_stacks(self, reading: Reading, measurement: Measurement) -> Measurement:
        """Return a measurement with its stacks; without them if the figures alone decide."""
        try:
            with_stacks = replace(
                measurement,
                allocations=reading.at_peak(),
                retained=self._retained(reading, measurement),
                lost_stacks=reading.lost_stacks,
                curve=reading.curve(),
            )
            check_stacks(with_stacks, self.budget)
        except CaptureError as error:
            # With a filter, the figures also depend on the stacks.
            if self._stack_filter is not None or not figures_decide(measurement, self.budget):
                raise
            return replace(measurement, stacks_problem=str(error))
        return with_stacks

    def _retained(self, reading: Reading, measurement: Measurement) -> tuple[Allocation, ...]:
        """Return what was alive at the end, if the verdict or the text of a failure needs it."""
        if not needs_retained(measurement, self.budget):
            return ()
        leaks = self.budget.leaks
        return reading.at_end(hybrid=leaks is not None and leaks.filter_fn is not None)

    def _filtered(
        self, reading: Reading, measurement: Measurement, stack_filter: StackFilter
    ) -> Measurement:
        """Return a measurement with the findings of its filter; refuse one that it cannot judge."""
        lost = measurement.lost_stacks or reading.lost_stacks
        measurement = replace(measurement, lost_stacks=lost, unmatched=stack_filter.unmatched)
        check_stacks(measurement, self.budget, plugins_filter=True)
        if self.budget.limits_anything:
            stack_filter.check_whole()
        return measurement

    def _with_evidence(
        self, reading: Reading, measurement: Measurement, raised: BaseException | None
    ) -> Verdict | None:
        """Keep a capture if a limit is exceeded; return the verdict if it is known by now."""
        from_body = raised.verdict if isinstance(raised, MemoryLimitExceeded) else None
        may_be_over = needs_stacks(measurement, self.budget) or measurement.leaked_objects
        if self._keep_evidence is None or not (may_be_over or from_body):
            return None
        if self._is_provisional and raised is None:
            return None  # it runs again
        try:
            verdict = judge(measurement, self.budget)
        except FilterError:
            return None  # raised again when it is judged without evidence
        exceeded = from_body if verdict.within else verdict
        if exceeded is None:
            return verdict
        try:
            path = self._keep_evidence(exceeded, functools.partial(self._keep, reading))
        except OSError as error:
            if not raised_by_us(error):
                raise
            _warn_not_kept("the capture of a test over its limit", error)
            return verdict
        if path and raised is not None and exceeded is from_body:
            add_note(raised, capture_line(path))
        elif path:
            verdict = replace(verdict, capture=path)
        return verdict

    def _keep(self, reading: Reading, path: str) -> bool:
        """Keep the capture of the block; return whether that worked."""
        try:
            reading.keep_capture(path, self._n_outer)
        except (CaptureError, OSError) as error:
            if not raised_by_us(error):
                raise
            _warn_not_kept(path, error)
            return False
        return True

    def _warn_of_patterns(self) -> None:
        """Warn about patterns that match nothing; for tests, the report has a line."""
        if self._stack_filter is None or not self._for_user:
            return
        for pattern in self._stack_filter.unknown():
            warn(
                f"{pattern} matches nothing: no stack of this block, and no module that is loaded",
                UnmatchedPatternWarning,
                stacklevel=levels_to_the_user(),
            )

    def paused(self) -> contextlib.AbstractContextManager[None]:
        """Exclude a part of this block: allocations inside ``paused()`` do not count in it.

        That applies to all threads. Blocks around this one still count these allocations. If the
        part frees memory that the block has allocated before, the block counts it as freed.

        Raises:
            MisuseError: when the part begins and the block is not open, or when the block ends
                before the part.

        Example:
            >>> from membudget import measure_memory
            >>> with measure_memory() as memory:
            ...     with memory.paused():
            ...         fixture = bytearray(100_000)
            >>> memory.peak_bytes < 100_000
            True
        """
        return _Paused(self)

    def suspend(self) -> None:
        """Count nothing in the block until :meth:`go_on`, if it is open: see :meth:`paused`."""
        if self._open is not None and not self._open.is_parents:
            self._open.suspend()
            self._unseen.suspend()

    def go_on(self) -> None:
        """Count in the block again after :meth:`suspend`."""
        if self._open is not None and not self._open.is_parents:
            self._open.go_on()


class _Paused(contextlib.AbstractContextManager[None]):
    """A part of a block that does not count in it."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._open: OpenBlock | None = None  # in which the part began

    def __enter__(self) -> None:
        if not measuring_is_on():
            return
        if self._block._open is None or self._open is not None:
            raise MisuseError(
                "paused() needs an open block, and each object can be entered only once: use 'with "
                "memory.paused():' inside the block"
            )
        self._open = self._block._open
        self._block._n_paused += 1
        self._block.suspend()

    def __exit__(self, *_: object) -> None:
        began_in, self._open = self._open, None
        # The same object may have another block open by now, which counts everything.
        if began_in is not None and began_in is self._block._open:
            self._block.go_on()
            self._block._n_paused -= 1


def warm_up_block(trace: TraceSettings | None = None) -> Block:
    """Return a block for a warm-up call, after which a stable block does not count caches.

    It is recorded like the stable block, because that makes CPython 3.11 keep line tables of
    functions.

    Args:
        trace: what the recording of the stable block has to trace.
    """
    trace = replace(trace or TraceSettings(), trace_python_allocators=True)
    return Block(Budget(), trace=trace, around_call=True)


def _add_interruption(error: BaseException) -> None:
    add_note(
        error,
        "membudget: this exception interrupted the end of a block, so its limits were not enforced",
    )


def refuse_phases(budget: Budget) -> None:
    """Refuse a budget that includes phases of a test, because no adapter knows them here.

    Raises:
        MisuseError: the budget includes more than the call.
    """
    if budget.scope.phases != ("call",):
        raise MisuseError(
            f"include={','.join(budget.scope.include)!r} works only for tests, and no adapter "
            f"runs this block. With pytest: use --memray and the marker limit_memory. With "
            f"unittest: decorate the class"
        )


def _warn_not_kept(what: str, error: Exception) -> None:
    warn(f"{what} was not kept: {error}", NotKeptWarning, stacklevel=levels_to_the_user())


def _stack_filter(scope: Scope) -> StackFilter | None:
    """Return the filter that decides which stacks count; None if all of them do."""
    keep = keeps_allocation if filter_allocations() else None
    return StackFilter(scope, keep) if scope.filters_stacks or keep is not None else None
