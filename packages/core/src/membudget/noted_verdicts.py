"""Reports a block's error if the body of the block has raised an exception of its own.

The exception of the body propagates, and the block's error becomes a note on it. That note can get
lost in two ways. If the exception is control flow rather than a failure (``SystemExit``, a
cancelled task, the end of an iteration, a skipped test), notes are never shown: then the block's
error is raised anyway. If code handles the exception, as ``hasattr`` does, the running test fails
with the block's error, see :func:`delivering_verdicts`; without a running test, a warning reports
it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, Final
from warnings import warn

from .errors import MembudgetError, NotRaisedWarning
from .host.loaded_classes import loaded_class
from .host.origins import levels_to_the_user, origin_of_error
from .host.raised import suppressed
from .verdict import MemoryLimitExceeded

# unittest leaves out the frames of modules with this name from tracebacks.
__unittest = True

_dict_of: Final[Any] = BaseException.__dict__["__dict__"].__get__  # calls no code of a subclass

# One list for each delivering_verdicts() that runs, the innermost one last.
_listeners: Final[list[list[MembudgetError]]] = []
if hasattr(os, "register_at_fork"):
    # A forked child must not use the lists of its parent.
    os.register_at_fork(after_in_child=_listeners.clear)


@contextlib.contextmanager
def delivering_verdicts() -> Iterator[None]:
    """Fail a test that swallowed the error of an exceeded block: for adapters, around a test.

    If code has handled the exception from a block's body, the test would pass; it fails with the
    error of the block instead. A test that fails for another reason gets that error as a note. A
    skipped test fails. If the run is interrupted, the error is written to stderr.

    Raises:
        MemoryLimitExceeded: a budget was exceeded, and the test does not fail for another reason.
        RecordingError: a budget could not be checked; likewise.

    Example:
        >>> from membudget import MemoryLimitExceeded, limit_memory
        >>> try:
        ...     with delivering_verdicts():
        ...         with contextlib.suppress(KeyError), limit_memory("1 KB"):
        ...             data = bytearray(5000)
        ...             {}["missing"]
        ... except MemoryLimitExceeded:
        ...     print("failed")
        failed
    """
    __tracebackhide__ = True
    noted: list[MembudgetError] = []
    _listeners.append(noted)
    try:
        yield
    except BaseException as raised:
        if noted:
            error = _combined(noted)
            if _steers(raised):
                raise error from raised
            _add_note(raised, error)
            if _stops_the_run(raised):
                _say(error)
        raise
    finally:
        _stop_listening(noted)
    if noted:
        raise _combined(noted)


def let_win(raised: BaseException, error: MembudgetError, *, says_it: bool = True) -> None:
    """Add ``error`` as a note to the exception of a block's body, if notes on that are shown.

    Args:
        raised: the exception of the body.
        error: the error of the block.
        says_it: whether to report ``error`` even if code handles ``raised``.

    Raises:
        MembudgetError: ``error``, if notes on ``raised`` are never shown.
    """
    __tracebackhide__ = True
    if says_it and _steers(raised):
        raise error from raised
    _add_note(raised, error)
    # Code that handles the verdict of an inner block expects a verdict.
    if not says_it or isinstance(raised, MemoryLimitExceeded):
        return
    where = origin_of_error(raised.__traceback__)
    what = f"{type(raised).__name__}{f' ({where})' if where else ''}"
    if _listeners:
        error.add_note(f"The body of the block raised {what}, and other code handled it")
        _listeners[-1].append(error)
        return
    if _stops_the_run(raised):
        _say(error)
        return
    message = (
        f"{_first_line(error)}, but the block raised {what} instead, with the exceeded limit as a "
        f"note. Code that handles that exception hides the limit"
    )
    try:
        warn(message, NotRaisedWarning, stacklevel=levels_to_the_user())
    except NotRaisedWarning:
        raise error from raised


def _say(error: MembudgetError) -> None:
    _write(_first_line(error))


def _write(text: str) -> None:
    if sys.stderr is not None:
        with suppressed(OSError, ValueError):  # closed, or a broken pipe
            sys.stderr.write(f"membudget: {text}\n")


def _first_line(error: MembudgetError) -> str:
    return str(error).partition("\n")[0]


def _add_note(raised: BaseException, error: MembudgetError) -> None:
    if not _carries(raised, str(error)):
        add_note(raised, str(error))


def add_note(raised: BaseException, note: str) -> None:
    """Add a note to an exception of the program, even if its class refuses changes.

    An exception can be a frozen dataclass, whose ``add_note()`` would raise another exception. If
    the exception cannot hold notes, this one is written to stderr.
    """
    notes = _dict_of(raised).setdefault("__notes__", [])
    if isinstance(notes, list):
        notes.append(note)
    else:
        _write(note)


def _notes_of(raised: BaseException) -> list[Any]:
    notes = _dict_of(raised).get("__notes__")
    return notes if isinstance(notes, list) else []


def _stop_listening(noted: list[MembudgetError]) -> None:
    _listeners[:] = [listener for listener in _listeners if listener is not noted]


def _combined(noted: list[MembudgetError]) -> MembudgetError:
    first, *others = noted
    for other in others:
        first.add_note("\n".join([str(other), *getattr(other, "__notes__", ())]))
    return first


def _carries(raised: BaseException | None, note: str) -> bool:
    """Whether an exception, or another one in its traceback, already has the note."""
    seen = set()
    while raised is not None and id(raised) not in seen:
        if note in _notes_of(raised):
            return True
        seen.add(id(raised))
        raised = raised.__cause__ or raised.__context__
    return False


def _steers(raised: BaseException) -> bool:
    """Whether an exception is control flow, not a failure."""
    if isinstance(raised, Exception):
        skips = (
            loaded_class("unittest.case", "SkipTest"),
            loaded_class("twisted.trial.unittest", "SkipTest"),
        )
        return isinstance(raised, (StopIteration, StopAsyncIteration, *skips))
    return not (_stops_the_run(raised) or isinstance(raised, _failures()))


def _stops_the_run(raised: BaseException) -> bool:
    """Whether an exception ends the whole run; it must propagate."""
    if isinstance(raised, BaseExceptionGroup):
        return raised.subgroup(KeyboardInterrupt) is not None
    return isinstance(raised, (KeyboardInterrupt, loaded_class("_pytest.outcomes", "Exit")))


def _failures() -> Any:
    """Return the class that pytest.fail() and pytest.xfail() raise: it is not an Exception."""
    return loaded_class("_pytest.outcomes", "Failed")
