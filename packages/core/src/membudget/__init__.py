"""Memory budgets for any Python code: measure a block, hold it to a limit, say what exceeded it.

    from membudget import limit_memory

    with limit_memory("24 MB") as memory:
        work()
    print(memory.peak_bytes)

Measured by memray, which runs with CPython on Linux and macOS.
"""

# Before anything else, and so before a test replaces the functions that membudget needs.
from .availability import (
    enforcement_is_on,
    measuring_is_on,
    platform_is_supported,
    why_not_measured,
)
from .block import Block, warm_up_block
from .budget import Budget, LeakLimit, Limit, Marks, ObjectLimit, Phase, Scope
from .budget_arguments import leak_budget, memory_budget, object_budget
from .decorating import budget_of, measures
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
from .hookspecs import hookimpl
from .host import system as system
from .host.origins import origin_at, origin_of, shown_path
from .limits import limit_leaked_objects, limit_leaks, limit_memory, measure_memory
from .measurement import Allocation, Figure, Frame, LeakedObjects, Measurement, Stack, Unseen
from .noted_verdicts import delivering_verdicts
from .plugins import marks_of, plugin_manager
from .recording.request import LateStacks, TraceSettings
from .report import failure_text as report_failure
from .report import run_text as report_text
from .report import suggestions_text as report_suggestions
from .results import json_data as report_json
from .runs.kept_captures import KeptCaptures
from .runs.phases import PhasedBlock
from .runs.run import Run
from .runs.suggested_limits import SuggestedLimits
from .settings import OPTIONS, Option, Settings, add_options, options_of
from .settings_sources import find_settings, resolve
from .sizes import format_size, parse_size
from .source.definitions import WrittenTest, written_test
from .unseen import own_allocators_seen
from .verdict import Excess, MemoryLimitExceeded, Result, Verdict, judge

__all__ = [
    "OPTIONS",
    "Allocation",
    "BlindBudgetError",
    "BlindBudgetWarning",
    "Block",
    "Budget",
    "CaptureError",
    "Excess",
    "Figure",
    "FilterError",
    "Frame",
    "InvalidLimitError",
    "InvalidOptionError",
    "InvalidSizeError",
    "KeptCaptures",
    "LateStacks",
    "LeakLimit",
    "LeakedObjects",
    "Limit",
    "Marks",
    "Measurement",
    "MembudgetError",
    "MemoryLimitExceeded",
    "MisuseError",
    "NotEnforcedWarning",
    "NotKeptWarning",
    "NotMeasuredError",
    "NotRaisedWarning",
    "ObjectLimit",
    "Option",
    "Phase",
    "PhasedBlock",
    "RecordingError",
    "Result",
    "Run",
    "Scope",
    "Settings",
    "Stack",
    "SuggestedLimits",
    "TraceSettings",
    "TrackerConflictError",
    "UnmatchedPatternWarning",
    "Unseen",
    "UnsupportedLimitError",
    "Verdict",
    "WrittenTest",
    "add_options",
    "budget_of",
    "delivering_verdicts",
    "enforcement_is_on",
    "find_settings",
    "format_size",
    "hookimpl",
    "judge",
    "leak_budget",
    "limit_leaked_objects",
    "limit_leaks",
    "limit_memory",
    "marks_of",
    "measure_memory",
    "measures",
    "measuring_is_on",
    "memory_budget",
    "object_budget",
    "options_of",
    "origin_at",
    "origin_of",
    "own_allocators_seen",
    "parse_size",
    "platform_is_supported",
    "plugin_manager",
    "report_failure",
    "report_json",
    "report_suggestions",
    "report_text",
    "resolve",
    "shown_path",
    "warm_up_block",
    "why_not_measured",
    "written_test",
]
