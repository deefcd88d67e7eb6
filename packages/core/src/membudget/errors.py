"""The exceptions and warnings of membudget; imports nothing of membudget at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from .model import Measurement, Verdict


class MembudgetError(Exception):
    """Base of every exception that membudget raises."""

    # Whether its traceback ends where the user's code leaves the block: what is in membudget
    # below that says nothing.
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


class NotMeasuredError(MembudgetError, RuntimeError):
    """A figure was asked for that nobody measured: the block has not ended, or measuring is off."""


class RecordingError(MembudgetError, RuntimeError):
    """A block could not be measured, so its budget could not be checked."""

    _ends_at_the_block = False


class TrackerConflictError(RecordingError):
    """Somebody else's ``memray.Tracker`` is active, and memray allows one in a process."""


class CaptureError(RecordingError):
    """The capture of a block could not be written, or not be read back in full."""


class MemoryLimitExceeded(MembudgetError, AssertionError):
    """A block used more memory than its budget allows.

    An ``AssertionError``, so that every test framework calls it a failure and not an error.

    Attributes:
        measurement: what was observed in the block.
        verdict: the limits that the measurement exceeds.

    Example:
        >>> from membudget import MemoryLimitExceeded, limit_memory
        >>> try:
        ...     with limit_memory("1 KB"):
        ...         data = bytearray(4096)
        ... except MemoryLimitExceeded as exceeded:
        ...     print(exceeded.measurement.peak_bytes > 4096)
        True
    """

    def __init__(self, message: str, measurement: Measurement, verdict: Verdict) -> None:
        super().__init__(message)
        self.measurement = measurement
        self.verdict = verdict

    def __reduce__(self) -> tuple[type[MemoryLimitExceeded], tuple[str, Measurement, Verdict]]:
        # Exceptions travel between processes (multiprocessing, concurrent.futures) as pickles.
        return type(self), (str(self), self.measurement, self.verdict)


class NotKeptWarning(UserWarning):
    """The capture of a block was to be kept and could not be; its figures are not affected."""


class StacksLostWarning(UserWarning):
    """A report lacks stacks that could not be read; figures and limits are not affected."""


class NotEnforcedWarning(UserWarning):
    """Budgets are not enforced here, because memray does not run on this platform."""
