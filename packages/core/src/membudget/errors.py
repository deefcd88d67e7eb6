"""The exceptions and warnings of membudget; imports nothing of membudget at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    pass


class MembudgetError(Exception):
    """Base of every exception that membudget raises."""

    # Whether its traceback ends where the user's code leaves the block: what is in membudget
    # below that says nothing. Read in C (csrc/marksmodule.c); Python code cannot take its own
    # frames out, so without the C code they stay.
    _ends_at_the_block: ClassVar[bool] = True


class InvalidLimitError(MembudgetError, ValueError):
    """A limit that is none: a bad size or count, or no limit at all."""


class InvalidSizeError(InvalidLimitError):
    """A size that does not follow the size grammar (see :func:`membudget.parse_size`)."""


class UnsupportedLimitError(InvalidLimitError):
    """A limit that cannot be enforced with this Python, or as membudget is installed here."""


class InvalidOptionError(MembudgetError, ValueError):
    """An option with a value that it cannot have."""


class FilterError(MembudgetError, RuntimeError):
    """A filter of the user's raised something, so nobody knows what it leaves out."""


class MisuseError(MembudgetError, RuntimeError):
    """A block was used in a way that cannot be measured, such as entered while it is still open."""


class NotMeasuredError(MembudgetError, RuntimeError, AttributeError):
    """A figure was asked for that was not measured: the block has not ended, or measuring is off.

    An ``AttributeError``, so that ``hasattr(memory, "peak_bytes")`` is False then.
    """


class RecordingError(MembudgetError, RuntimeError):
    """A block could not be measured, so its budget could not be checked."""

    _ends_at_the_block = False


class TrackerConflictError(RecordingError):
    """Somebody else's ``memray.Tracker`` is active, and memray allows one in a process."""


class CaptureError(RecordingError):
    """The capture of a block could not be written, or not be read back in full."""


class BlindBudgetError(RecordingError):
    """A limit could not be checked in full: memory was taken that memray does not see.

    With ``memray_blind = error``; a :class:`BlindBudgetWarning` otherwise.
    """


class RunFileError(MembudgetError, ValueError):
    """A run file, or a part of one, cannot be read; the message says where and why."""


class IncomparableRunsError(MembudgetError, ValueError):
    """Runs were measured in different ways, so that their figures cannot be put together."""


class NotReplacedWarning(UserWarning):
    """A run file was written beside the one that another run has written meanwhile."""


class NotKeptWarning(UserWarning):
    """The capture of a block was to be kept and could not be; its figures are not affected."""


class NotRaisedWarning(UserWarning):
    """A budget was exceeded, and what the body of the block raised was raised in its place."""


class UnmatchedPatternWarning(UserWarning):
    """A pattern of ``only`` or ``ignore`` matches nothing that is loaded: its name may be wrong."""


class NotEnforcedWarning(UserWarning):
    """A limit is not enforced.

    memray does not run on this platform, or the limit was written and never used.
    """


class BlindBudgetWarning(UserWarning):
    """A limit was kept as far as memray can see, and memory was taken that memray does not see."""
