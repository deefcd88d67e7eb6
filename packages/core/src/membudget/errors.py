"""The exceptions and warnings of membudget. Imports no other module of membudget."""

from __future__ import annotations

from typing import ClassVar


class MembudgetError(Exception):
    """Base of every exception that membudget raises."""

    # If true, the traceback is cut at the user's ``with`` line, because frames inside membudget
    # are noise. Read in C (csrc/marksmodule.c): Python code cannot remove its own frames, so
    # without the C code they stay.
    _ends_at_the_block: ClassVar[bool] = True


class InvalidLimitError(MembudgetError, ValueError):
    """A limit is invalid: a bad size, count, pattern or phase, or no limit at all."""


class InvalidSizeError(InvalidLimitError):
    """A size does not follow the size grammar (see :func:`membudget.parse_size`)."""


class UnsupportedLimitError(InvalidLimitError):
    """A limit cannot be enforced with this Python, or with this installation of membudget."""


class InvalidOptionError(MembudgetError, ValueError):
    """An option has an invalid value."""


class FilterError(MembudgetError, RuntimeError):
    """A filter of the user raised an exception, so it is unknown what counts."""


class MisuseError(MembudgetError, RuntimeError):
    """A block was used in a way that cannot be measured, such as entering it while it is open."""


class NotMeasuredError(MembudgetError, RuntimeError, AttributeError):
    """A figure was read that was not measured: the block has not ended, or measuring is off.

    It is an ``AttributeError``, so that ``hasattr(memory, "peak_bytes")`` is False then.
    """


class RecordingError(MembudgetError, RuntimeError):
    """A block could not be measured, so its budget could not be checked."""

    _ends_at_the_block = False


class TrackerConflictError(RecordingError):
    """Another ``memray.Tracker`` is active, and memray allows only one in a process."""


class CaptureError(RecordingError):
    """The capture of a block could not be written, or could not be read in full."""


class BlindBudgetError(RecordingError):
    """A limit could not be checked in full, because memray did not see all memory.

    Raised with ``memray_blind = error``; otherwise there is a :class:`BlindBudgetWarning`.
    """


class RunFileError(MembudgetError, ValueError):
    """A run file, or a part of one, cannot be read; the message says where and why."""


class IncomparableRunsError(MembudgetError, ValueError):
    """Runs were measured in different ways, so that their figures cannot be put together."""


class NotReplacedWarning(UserWarning):
    """A run file was written beside the one that another run has written meanwhile."""


class NotKeptWarning(UserWarning):
    """The capture of a block could not be kept; the figures of the block are not affected."""


class NotRaisedWarning(UserWarning):
    """A budget was exceeded, but the block raised the exception of its body instead."""


class UnmatchedPatternWarning(UserWarning):
    """A pattern of ``only`` or ``ignore`` matches no loaded code: it may be misspelt."""


class NotEnforcedWarning(UserWarning):
    """A limit is not enforced.

    memray does not run on this platform, or the limit was never used.
    """


class BlindBudgetWarning(UserWarning):
    """A limit was kept as far as memray can see, but memray did not see all memory."""
