"""Memory budgets for any Python code: measure a block, limit its memory, say what exceeded it.

A block fails when it uses more than its limit::

    from membudget import limit_memory

    with limit_memory("24 MB") as memory:
        work()
    print(memory.peak_bytes)

Measured by memray, which runs with CPython on Linux and macOS. What adapters for test frameworks
need is in :mod:`membudget.runs`.
"""

from typing import TYPE_CHECKING

from .availability import why_not_measured
from .budget import Budget, LeakLimit, Limit, ObjectLimit, Phase, Scope
from .errors import (
    BlindBudgetError,
    BlindBudgetWarning,
    CaptureError,
    FilterError,
    InvalidLimitError,
    InvalidOptionError,
    InvalidSizeError,
    MembudgetError,
    MisuseError,
    NotEnforcedWarning,
    NotKeptWarning,
    NotMeasuredError,
    NotRaisedWarning,
    RecordingError,
    TrackerConflictError,
    UnmatchedPatternWarning,
    UnsupportedLimitError,
)
from .host.late_imports import late_names
from .measurement import Allocation, Curve, Figure, Frame, LeakedObjects, Measurement, Stack, Unseen
from .sizes import format_size, parse_size

if TYPE_CHECKING:
    from .hookspecs import hookimpl
    from .limits import limit_leaked_objects, limit_leaks, limit_memory, measure_memory
    from .plugins import plugin_manager
    from .verdict import Excess, MemoryLimitExceeded, Result, Verdict
else:
    __getattr__ = late_names(
        globals(),
        {
            ".hookspecs": "hookimpl",
            ".limits": "limit_leaked_objects limit_leaks limit_memory measure_memory",
            ".plugins": "plugin_manager",
            ".verdict": "Excess MemoryLimitExceeded Result Verdict",
        },
    )

__all__ = [
    "Allocation",
    "BlindBudgetError",
    "BlindBudgetWarning",
    "Budget",
    "CaptureError",
    "Curve",
    "Excess",
    "Figure",
    "FilterError",
    "Frame",
    "InvalidLimitError",
    "InvalidOptionError",
    "InvalidSizeError",
    "LeakLimit",
    "LeakedObjects",
    "Limit",
    "Measurement",
    "MembudgetError",
    "MemoryLimitExceeded",
    "MisuseError",
    "NotEnforcedWarning",
    "NotKeptWarning",
    "NotMeasuredError",
    "NotRaisedWarning",
    "ObjectLimit",
    "Phase",
    "RecordingError",
    "Result",
    "Scope",
    "Stack",
    "TrackerConflictError",
    "UnmatchedPatternWarning",
    "Unseen",
    "UnsupportedLimitError",
    "Verdict",
    "format_size",
    "hookimpl",
    "limit_leaked_objects",
    "limit_leaks",
    "limit_memory",
    "measure_memory",
    "parse_size",
    "plugin_manager",
    "why_not_measured",
]


def __dir__() -> list[str]:
    return __all__
