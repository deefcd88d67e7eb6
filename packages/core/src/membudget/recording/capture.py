"""One recording: memray's tracker, and the file that it writes.

If the system supports it, the file has no name (see :mod:`temp_files`), so that nothing is left
over however the process ends.
"""

from __future__ import annotations

import functools
import logging
from sys import getprofile, setprofile
from threading import get_ident
from threading import getprofile as get_thread_profile
from threading import setprofile as set_thread_profile
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import CaptureError, MisuseError, RecordingError, TrackerConflictError
from ..host.forks import not_forking, tracker_runs
from ..host.module_names import NOT_UTF_8
from ..host.raised import raised_by_us, suppressed
from ..host.system import keep_module, real_functions
from .memrays_files import MemraysFiles
from .other_interpreters import InterpreterGuard
from .request import TraceSettings
from .temp_files import temporary_file
from .thread_attributes import ThreadAttributes
from .tracemalloc_guard import TracemallocGuard

if TYPE_CHECKING:
    import memray

# An argument of sys.setprofile, or the object of a C profiler.
ProfileFunction: TypeAlias = Any

# How often memray samples the resident set size. The samples are not used, so: once an hour.
_SAMPLE_INTERVAL_MS = 3_600_000


def _take_profile_function() -> ProfileFunction | None:
    """Return the profile function of this thread, for :func:`_set_profile_function`.

    A C profiler, such as cProfile before Python 3.12, is switched off as well: Python then returns
    the profiler's object, which memray would restore as if it were a function.
    """
    profile: ProfileFunction | None = getprofile()
    if profile is not None and not callable(profile):
        setprofile(None)
    return profile


def _set_profile_function(profile: ProfileFunction | None) -> None:
    """Set the profile function of this thread; a C profiler is switched on."""
    if profile is None or callable(profile):
        setprofile(profile)
    else:
        setprofile(None)
        with suppressed(AttributeError):
            profile.enable()


@functools.cache
def import_memray() -> ModuleType:
    """Import memray when the first block opens, because the import takes a while.

    It is imported only once, because later a test may have replaced functions that imports need, or
    the program may be ending.

    Raises:
        RecordingError: memray cannot be imported.
    """
    try:
        with real_functions(for_imports=True):
            import memray
            import memray.reporters.module_tools
    except ImportError as error:
        raise RecordingError(
            f"memray, which membudget needs to measure memory, cannot be imported: {error}. "
            f"Install it with: pip install memray"
        ) from error
    # Fake file systems replace the values of names in modules.
    keep_module(memray)
    keep_module(memray._memray, "open", "os", "pathlib", "platform", "sys", "threading")
    keep_module(memray.reporters)
    keep_module(memray.reporters.module_tools, "Path", "site", "sys", "sysconfig")
    return memray


def _print_nothing() -> None:
    """Replace a function of memray that prints to stderr."""


class Capture:
    """A capture file, and the tracker that writes it between :meth:`start` and :meth:`stop`.

    Between :meth:`rest` and :meth:`wake` the tracker keeps running, but without its profile
    function, which makes every call of a Python function take several times as long, and without
    Python's objects. Stack traces of that time are wrong.
    """

    def __init__(self, trace: TraceSettings) -> None:
        self._trace = trace
        try:
            self._file = temporary_file()
        except OSError as error:
            if not raised_by_us(error):
                raise
            raise CaptureError(
                f"cannot create a capture file: {error}. Set TMPDIR to a writable directory with "
                f"free space"
            ) from error
        self._tracker: memray.Tracker | None = None
        self._survivors: tuple[object, ...] = ()
        # The profile function that memray's has replaced, and the thread.
        self._program_profile: ProfileFunction | None = None
        self._profile_thread = 0
        self._profile_rests = False
        self._guard: TracemallocGuard | None = None
        self._memrays_files = MemraysFiles(self._file)
        self._interpreters: InterpreterGuard | None = None
        self._before: ThreadAttributes | None = None
        self._found: tuple[ProfileFunction | None, ProfileFunction | None] | None = None

    @property
    def fd(self) -> int:
        """The number of the file, open for reading.

        Raises:
            CaptureError: the program has closed it.
        """
        try:
            return self._file.fileno()
        except OSError as error:
            if not raised_by_us(error):
                raise
            raise CaptureError(f"the capture of this block is lost: {error}") from error

    def check(self) -> None:
        """Check that the file is still open.

        Raises:
            CaptureError: the program has closed it.
        """
        self.fd  # noqa: B018

    @property
    def recording(self) -> bool:
        """Whether the tracker runs."""
        return self._tracker is not None

    def path(self, pid: int | None = None) -> str:
        """Return a path under which process ``pid`` can open the file; by default, this process."""
        self.check()
        return self._file.path(pid)

    @real_functions()
    def start(self) -> None:
        """Start recording.

        Raises:
            TrackerConflictError: another tracker is active in this process.
            CaptureError: the file cannot be written.
            RecordingError: memray cannot be imported.
            MisuseError: objects are to be tracked, and another interpreter of the process runs.
        """
        memray = import_memray()
        # With Debian's Python, the first tracker of a process prints warnings to stderr.
        memray.set_log_level(logging.ERROR)
        # In a program with greenlets, it prints that their support is experimental.
        memray._memray.print_greenlet_warning = _print_nothing
        try:
            self._start_tracker(memray)
        except MisuseError:  # of a guard; not of memray
            raise
        except (RuntimeError, OSError, AssertionError, SystemError) as error:
            if not raised_by_us(error):
                raise
            explained = _explained(error)
            if isinstance(error, AssertionError):
                # The tracker did not start, and stopping it would change the mock that has replaced
                # threading.Thread.
                self._forget_tracker()
            elif self._tracker is not None:
                self.close()
                if not isinstance(error, SystemError):  # raised only after the tracker has started
                    _remove_leftovers(memray)
            raise explained from error
        finally:
            if self._tracker is None:
                self._end_guards()
            memray.set_log_level(logging.WARNING)  # memray's own default

    def _start_tracker(self, memray: ModuleType) -> None:
        objects = {"track_object_lifetimes": True} if self._trace.track_objects else {}
        tracker = memray.Tracker(
            destination=memray.FileDestination(self.path(), overwrite=True, compress_on_exit=False),
            memory_interval_ms=_SAMPLE_INTERVAL_MS,
            native_traces=self._trace.native_traces,
            trace_python_allocators=self._trace.trace_python_allocators,
            **objects,
        )
        if objects:
            self._interpreters = InterpreterGuard()
        if objects or self._trace.trace_python_allocators:
            self._guard = TracemallocGuard(bool(objects))
        self._profile_thread = get_ident()
        self._before = ThreadAttributes()
        if self._before.are_memrays:
            # Another tracker is active, so this raises. Stopping ours would stop the other one too.
            tracker.__enter__()
        # Stored before it starts: an interruption must not lose a running tracker.
        self._program_profile = _take_profile_function()
        self._tracker = tracker
        tracker_runs(True)
        tracker.__enter__()
        self._before.remember_wrapper()
        self._memrays_files.find()

    def _forget_tracker(self) -> None:
        self._tracker = None
        _set_profile_function(self._program_profile)
        tracker_runs(False)

    @property
    def _is_profile_thread(self) -> bool:
        return self._profile_thread == get_ident()

    def rest(self) -> None:
        """Record less until :meth:`wake`, for a time in which the calling thread is in no block.

        Can be called again.
        """
        if self._guard is not None:
            self._guard.rest()
        if self._profile_rests and self._is_profile_thread:
            return
        if getprofile() is None:  # otherwise the program has set its own in the meantime
            _set_profile_function(self._program_profile if self._is_profile_thread else None)
        self._profile_thread = get_ident()
        self._profile_rests = True

    def can_wake(self) -> bool:
        """Whether :meth:`wake` would record the next block as the last one was recorded.

        It would not in another thread than that of :meth:`rest`; if the program has closed the file
        or replaced Python's allocators; and if new threads would have no stacks, because the
        program has called ``threading.setprofile``.
        """
        return (
            self._is_profile_thread
            and get_thread_profile() is import_memray().start_thread_trace
            and self._file.is_ours
            and (self._guard is None or self._guard.can_wake())
        )

    def wake(self) -> None:
        """End :meth:`rest`. In another thread than that of :meth:`rest`, only for objects.

        Raises:
            CaptureError: the program has replaced Python's allocators.
        """
        self.follow_calls()
        if self._guard is not None and not self._guard.wake():
            raise CaptureError(
                "this block cannot count Python's objects, because something has replaced Python's "
                "allocators while the block began"
            )

    def follow_calls(self) -> None:
        """Use memray's profile function again if it rests in this thread."""
        if self._profile_rests and self._is_profile_thread:
            self._program_profile = _take_profile_function()
            # threading calls this function for a new thread. It sets memray's profile function for
            # this thread, and records the frames that are on the stack.
            import_memray().start_thread_trace(None, "call", None)
            self._profile_rests = False

    def stop(self) -> None:
        """Stop recording, and make the file ready to be read."""
        if self._tracker is not None:
            self._stop_tracker()
            self._trim()

    @real_functions()
    def _stop_tracker(self) -> None:
        """Stop the tracker, even if it could not start completely. Can be called again."""
        tracker = self._tracker
        if tracker is not None:
            with not_forking:
                self._detach(tracker)
                if self._trace.track_objects:
                    self._survivors = _survivors_of(tracker)
                tracker_runs(False)
                self._tracker = None
        self._end_guards()

    def _detach(self, tracker: memray.Tracker) -> None:
        """Remove the tracker's hooks from the interpreter.

        The tracker restores the profile functions that it found when it started. That is wrong for
        profile functions that the program has set since, and in another thread than that in which
        it started.
        """
        if self._guard is not None:
            self._guard.wake()  # memray then finds its allocators as it left them
        if self._found is None:  # stored, because this can be interrupted and called again
            profile = _take_profile_function()
            is_replaced = self._is_profile_thread and not self._profile_rests
            if profile is None and is_replaced:
                profile = self._program_profile
            self._found = (profile, get_thread_profile())
        with self._memrays_files.closed_by_memray():
            tracker.__exit__(None, None, None)
        profile, thread_profile = self._found
        _set_profile_function(profile)
        if thread_profile is not import_memray().start_thread_trace:
            set_thread_profile(thread_profile)
        if self._before is not None:
            self._before.put_back()

    def _end_guards(self) -> None:
        for guard in (self._guard, self._interpreters):
            if guard is not None:
                guard.end()

    def take_survivors(self) -> tuple[object, ...]:
        """Return, once, the objects made since :meth:`start` that were alive at :meth:`stop`."""
        survivors, self._survivors = self._survivors, ()
        return survivors

    @real_functions()
    def forget_in_child(self) -> None:
        """In a forked child, remove the hooks of the parent's tracker from the interpreter.

        memray has already dropped the tracker itself. What remains are profile functions and
        descriptors on ``threading.Thread``, which would keep the child's own tracker from starting.
        """
        tracker, self._tracker = self._tracker, None
        tracker_runs(False)
        if tracker is not None:
            self._detach(tracker)
        self._end_guards()
        self._file.close()

    def _trim(self) -> None:
        """Cut off the zero bytes at the end, because memray grows the file in advance.

        memray's reader would search backwards for the end, byte by byte.
        """
        try:
            self._file.cut(self._file.written_length())
        except OSError as error:
            if not raised_by_us(error):
                raise
            # For example because the program closed all files that it did not know.
            raise CaptureError(f"the capture cannot be read: {error}") from error

    def close(self) -> None:
        """Stop recording if it runs, and close the file."""
        self._stop_tracker()
        self._survivors = ()
        self._file.close()


def _remove_leftovers(memray: ModuleType) -> None:
    """Remove the hooks of a tracker that could not start, after it has been stopped.

    memray (1.20) then leaves its hooks in other threads and on Python's allocators, and removes
    them when the next tracker stops.
    """
    before = ThreadAttributes()
    try:
        with memray.Tracker(
            destination=memray.FileDestination("/dev/null", overwrite=True),
            memory_interval_ms=_SAMPLE_INTERVAL_MS,
            trace_python_allocators=True,
        ):
            before.remember_wrapper()
    except (OSError, RuntimeError) as error:
        if not raised_by_us(error):
            raise
        # This tracker could not start either, so the next one removes them.
    finally:
        before.put_back()


def _survivors_of(tracker: memray.Tracker) -> tuple[object, ...]:
    try:
        return tuple(tracker.get_surviving_objects())
    except RuntimeError as error:
        if not raised_by_us(error):
            raise
        return ()  # the tracker had not started


def _explained(error: Exception) -> RecordingError:
    """Return an explanation of an ``error`` that memray raised when a tracker should start."""
    if isinstance(error, OSError):
        return CaptureError(f"cannot record to the temporary directory: {error}")
    if isinstance(error, AssertionError):
        # It has no message, and unchanged it would look like an exceeded limit.
        return RecordingError(
            "memray cannot start recording, because threading.Thread already has attributes of "
            "memray: it is replaced by a mock, or an earlier memray.Tracker of the program could "
            "not start"
        )
    if isinstance(error, SystemError):
        return RecordingError(NOT_UTF_8)  # the path of a function that is already running
    if "Tracker" not in str(error):
        return RecordingError(f"memray cannot start recording: {error}")
    return TrackerConflictError(
        "cannot measure: another memray.Tracker is active in this process, and memray "
        "allows one at a time. It may come from 'memray run', from pytest-memray, or from "
        "a 'with memray.Tracker(...)' around this block: remove one of the two. Mark a test "
        "that uses memray itself with no_memray"
    )
