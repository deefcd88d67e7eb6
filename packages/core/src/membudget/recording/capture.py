"""One stretch of recording: memray's tracker, and the file that it writes.

The file has no name where the system can do that, see :mod:`temp_files`: nothing is left behind,
however the process ends.
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

from ..errors import CaptureError, RecordingError, TrackerConflictError
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

# What sys.setprofile takes; or the object of a C profiler.
ProfileFunction: TypeAlias = Any

# memray samples the resident set size that often. Nothing here needs the samples, so: once an hour.
_SAMPLE_INTERVAL_MS = 3_600_000


def _take_profile_function() -> ProfileFunction | None:
    """Return the profile function of this thread, for :func:`_set_profile_function`.

    A C profiler, such as cProfile before Python 3.12, is switched off as well: there Python only
    knows the profiler's object, which memray would put back as if it were a function.
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
    """Import memray, which takes a while: only when the first block opens.

    Once: a test may have replaced what imports do, or the program may be about to end.

    Raises:
        RecordingError: memray cannot be imported.
    """
    try:
        with real_functions(for_imports=True):
            import memray
            import memray.reporters.module_tools
    except ImportError as error:
        raise RecordingError(
            f"memray, which measures for membudget, cannot be imported: {error}. "
            f"Install it with: pip install memray"
        ) from error
    # Fake file systems replace what the names of modules stand for.
    keep_module(memray)
    keep_module(memray._memray, "open", "os", "pathlib", "platform", "sys", "threading")
    keep_module(memray.reporters)
    keep_module(memray.reporters.module_tools, "Path", "site", "sys", "sysconfig")
    return memray


def _say_nothing() -> None:
    """Stand in for what memray would print to stderr."""


class Capture:
    """A capture file, and the tracker that writes it between :meth:`start` and :meth:`stop`.

    Between :meth:`rest` and :meth:`wake` the tracker goes on, but not its profile function, which
    slows every call of a Python function: stack traces of that time are not to be relied on.
    """

    def __init__(self, trace: TraceSettings) -> None:
        self._trace = trace
        try:
            self._file = temporary_file()
        except OSError as error:
            if not raised_by_us(error):
                raise
            raise CaptureError(
                f"cannot create a capture file: {error}. Set TMPDIR to a directory that can be "
                f"written, or free some space there"
            ) from error
        self._tracker: memray.Tracker | None = None
        self._survivors: tuple[object, ...] = ()
        # What memray's profile function has replaced, and in which thread.
        self._program_profile: ProfileFunction | None = None
        self._profile_thread = 0
        self._guard: TracemallocGuard | None = None
        self._memrays_files = MemraysFiles(self._file)
        self._interpreters: InterpreterGuard | None = None
        self._before: ThreadAttributes | None = None
        self._found: tuple[ProfileFunction | None, ProfileFunction | None] | None = None
        self.resting = False

    @property
    def fd(self) -> int:
        """The file, open for reading.

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
        """Make sure that the file is still there.

        Raises:
            CaptureError: the program has closed it.
        """
        self.fd  # noqa: B018

    @property
    def recording(self) -> bool:
        """Whether the tracker runs."""
        return self._tracker is not None

    def path(self, pid: int | None = None) -> str:
        """Return a path that opens the file in process ``pid``'s view, by default in this one's."""
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
        # The first tracker of a process writes warnings to stderr, with Debian's Python.
        memray.set_log_level(logging.ERROR)
        # So does the first one in a program with greenlets: that their support is experimental.
        memray._memray.print_greenlet_warning = _say_nothing
        try:
            self._start_tracker(memray)
        except (RuntimeError, OSError, AssertionError, SystemError) as error:
            if not raised_by_us(error):
                raise
            explained = _explained(error)
            if isinstance(error, AssertionError):
                # It came to nothing, and stopping it would change what stands for threading.Thread.
                self._forget_tracker()
            elif self._tracker is not None:
                self.close()
                if not isinstance(error, SystemError):  # which comes when it has started
                    _take_off_leftovers(memray)
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
            # Somebody else's tracker, which stopping this one would stop as well.
            tracker.__enter__()
        # Kept before it starts: an interruption in between must not lose a running tracker.
        self._program_profile = _take_profile_function()
        self._tracker = tracker
        tracker_runs(True)
        tracker.__enter__()
        self._before.take_note_of_wrapper()
        self._memrays_files.find()

    def _forget_tracker(self) -> None:
        self._tracker = None
        _set_profile_function(self._program_profile)
        tracker_runs(False)

    def rest(self) -> None:
        """Give the calling thread its own profile function back, until :meth:`wake`."""
        if getprofile() is None:  # else the program has set one of its own meanwhile
            own = self._profile_thread == get_ident()
            _set_profile_function(self._program_profile if own else None)
        self._profile_thread = get_ident()
        self.resting = True

    def wake(self) -> bool:
        """End :meth:`rest`. False, and nothing is done, where the tracker has to start anew.

        In a thread other than the resting one; where the program has closed the file meanwhile; and
        where threads that start would have no stacks, because the program has called
        ``threading.setprofile``.
        """
        start_thread_trace = import_memray().start_thread_trace
        follows_new_threads = get_thread_profile() is start_thread_trace
        is_here = self._profile_thread == get_ident()
        if not (is_here and follows_new_threads and self._file.is_ours):
            return False
        self._program_profile = _take_profile_function()
        # Called by hand, as threading calls it for a new thread: sets memray's profile function for
        # this thread, and takes note of the frames that are on the stack.
        start_thread_trace(None, "call", None)
        self.resting = False
        return True

    def stop(self) -> None:
        """Stop recording, and make the file ready to be read."""
        if self._tracker is not None:
            self._stop_tracker()
            self._trim()

    @real_functions()
    def _stop_tracker(self) -> None:
        """Stop the tracker, or what there is of one that could not start. Can be done again."""
        tracker = self._tracker
        if tracker is not None:
            with not_forking:
                self._take_off(tracker)
                if self._trace.track_objects:
                    self._survivors = _survivors_of(tracker)
                tracker_runs(False)
                self._tracker = None
        self._end_guards()

    def _take_off(self, tracker: memray.Tracker) -> None:
        """Take off what the tracker has put on the interpreter.

        It puts back the profile functions that it found when it started. That is wrong for those
        that the program has set since, and for a thread other than the one that it started in.
        """
        if self._found is None:  # kept for when this is interrupted, and done again
            profile = _take_profile_function()
            is_replaced = self._profile_thread == get_ident() and not self.resting
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
        """Return the objects that were made since :meth:`start` and alive at :meth:`stop`, once."""
        survivors, self._survivors = self._survivors, ()
        return survivors

    @real_functions()
    def forget_in_child(self) -> None:
        """Take off, in a forked child, what the parent's tracker has put on the interpreter.

        memray has let go of the tracker itself by then; what is left are profile functions and
        descriptors on ``threading.Thread``, which would keep the child's own tracker from starting.
        """
        tracker, self._tracker = self._tracker, None
        tracker_runs(False)
        if tracker is not None:
            self._take_off(tracker)
        self._end_guards()
        self._file.close()

    def _trim(self) -> None:
        """Cut the zero bytes at the end: memray grows the file in advance.

        Its reader looks for the end backwards, byte by byte.
        """
        try:
            self._file.cut(self._file.written_length())
        except OSError as error:
            if not raised_by_us(error):
                raise
            # Such as a program that closes all files that it does not know.
            raise CaptureError(f"the capture cannot be read: {error}") from error

    def close(self) -> None:
        """Stop recording if need be, and give the file back to the system."""
        self._stop_tracker()
        self._survivors = ()
        self._file.close()


def _take_off_leftovers(memray: ModuleType) -> None:
    """Take off what is left of a tracker that could not start, after it has been stopped.

    memray (1.20) leaves its hooks in other threads and on Python's allocators then, and takes them
    off where the next tracker stops.
    """
    try:
        with memray.Tracker(
            destination=memray.FileDestination("/dev/null", overwrite=True),
            memory_interval_ms=_SAMPLE_INTERVAL_MS,
            trace_python_allocators=True,
        ):
            pass
    except (OSError, RuntimeError) as error:
        if not raised_by_us(error):
            raise
        # Neither could this one, so that remains for the next one.


def _survivors_of(tracker: memray.Tracker) -> tuple[object, ...]:
    try:
        return tuple(tracker.get_surviving_objects())
    except RuntimeError as error:
        if not raised_by_us(error):
            raise
        return ()  # it had not started


def _explained(error: Exception) -> RecordingError:
    """Return what it means that memray raised ``error`` when a tracker was to start."""
    if isinstance(error, OSError):
        return CaptureError(f"cannot record to the temporary directory: {error}")
    if isinstance(error, AssertionError):
        # A bare one. As it is, it would look like an exceeded limit.
        return RecordingError(
            "memray cannot start recording: threading.Thread has attributes that are memray's. A "
            "mock stands in its place, or a memray.Tracker of the program could not start before"
        )
    if isinstance(error, SystemError):
        return RecordingError(NOT_UTF_8)  # of functions that run already
    if "Tracker" not in str(error):
        return RecordingError(f"memray cannot start recording: {error}")
    return TrackerConflictError(
        "cannot measure: another memray.Tracker is active in this process, and memray "
        "allows one at a time. It may come from 'memray run', from pytest-memray, or from "
        "a 'with memray.Tracker(...)' around this block; take one of the two away. A test "
        "that uses memray itself is marked with no_memray"
    )
