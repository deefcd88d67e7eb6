"""The API for adapters of test frameworks.

People who write budgets need only ``membudget``. An adapter passes the options to its framework's
parser, finds the rules that are declared for a test, and puts a block around it. The rest of a run
(results, report, files) is here, once for all frameworks::

    run = Run(find_settings("unittest"), "unittest")
    run.begin()
    ...                      # for each test: a Block whose on_measured calls run.add(name, ...)
    run.end()
    write_files(run)
    for line in report_lines(run, sys.stdout):
        print(line.text)
"""

from typing import TYPE_CHECKING

from ..availability import measuring_is_on, why_not_measured
from ..budget import Budget, Phase
from ..budget_arguments import leak_budget, memory_budget, object_budget
from ..host import system as system
from ..host.late_imports import importing, late_names
from ..host.origins import directories_of, origin_of, shown_path
from ..marker_arguments import (
    KEEPS_OUT,
    LIMIT_MARKERS,
    LIMIT_WITHOUT_MEASURING,
    MARKERS,
    WAIVER,
    check_one_place,
    marker_rules,
    written_marker,
)
from ..noted_verdicts import delivering_verdicts
from ..plugins import rules_of
from ..recording.request import LateStacks, TraceSettings
from ..rules import TestRules, has_nothing_to_measure
from ..settings import Option, Settings, add_options, options_of
from ..settings_sources import find_settings
from ..tolerance import Tolerance
from ..verdict import Outcome

if TYPE_CHECKING:
    from ..block import Block, KeepsEvidence, warm_up_block
    from ..decorating import Decorator, budget_of, hide_unless_exceeded, in_block, measures
    from ..recording.garbage import collect_garbage, new_garbage_collected
    from ..report.failure_text import (
        N_ALLOCATIONS,
        exceeded_line,
        exceeded_message,
        exceeded_section,
    )
    from ..report.junit_properties import junit_properties
    from ..report.run_text import SUGGESTIONS_TITLE, TITLE, Line
    from ..results.result_data import result_from_json, result_to_json
    from ..source.definitions import WrittenTest, written_test
    from ..source.sources import Sources
    from ..unseen import own_allocators_seen
    from .notes import Notes, Unmeasured
    from .phases import PhasedBlock
    from .report import files_to_write, github_lines, not_measured_text, report_lines, write_files
    from .run import Run, Worker
    from .suggested_limits import SuggestedLimits
    from .test_case import phases_of_test_case
    from .worker_results import Collection, TestNames, another_process_reports, leave
else:
    __getattr__ = late_names(
        globals(),
        {
            "..block": "Block KeepsEvidence warm_up_block",
            "..decorating": "Decorator budget_of hide_unless_exceeded in_block measures",
            "..recording.garbage": "collect_garbage new_garbage_collected",
            "..report.failure_text": (
                "N_ALLOCATIONS exceeded_line exceeded_message exceeded_section"
            ),
            "..report.junit_properties": "junit_properties",
            "..report.run_text": "SUGGESTIONS_TITLE TITLE Line",
            "..results.result_data": "result_from_json result_to_json",
            "..source.definitions": "WrittenTest written_test",
            "..source.sources": "Sources",
            "..unseen": "own_allocators_seen",
            ".notes": "Notes Unmeasured",
            ".phases": "PhasedBlock",
            ".report": "files_to_write github_lines not_measured_text report_lines write_files",
            ".run": "Run Worker",
            ".suggested_limits": "SuggestedLimits",
            ".test_case": "phases_of_test_case",
            ".worker_results": "Collection TestNames another_process_reports leave",
        },
    )

__all__ = [
    "KEEPS_OUT",
    "LIMIT_MARKERS",
    "LIMIT_WITHOUT_MEASURING",
    "MARKERS",
    "N_ALLOCATIONS",
    "SUGGESTIONS_TITLE",
    "TITLE",
    "WAIVER",
    "Block",
    "Budget",
    "Collection",
    "Decorator",
    "KeepsEvidence",
    "LateStacks",
    "Line",
    "Notes",
    "Option",
    "Outcome",
    "Phase",
    "PhasedBlock",
    "Run",
    "Settings",
    "Sources",
    "SuggestedLimits",
    "TestNames",
    "TestRules",
    "Tolerance",
    "TraceSettings",
    "Unmeasured",
    "Worker",
    "WrittenTest",
    "add_options",
    "another_process_reports",
    "budget_of",
    "check_one_place",
    "collect_garbage",
    "delivering_verdicts",
    "directories_of",
    "exceeded_line",
    "exceeded_message",
    "exceeded_section",
    "files_to_write",
    "find_settings",
    "github_lines",
    "has_nothing_to_measure",
    "hide_unless_exceeded",
    "importing",
    "in_block",
    "junit_properties",
    "late_names",
    "leak_budget",
    "leave",
    "marker_rules",
    "measures",
    "measuring_is_on",
    "memory_budget",
    "new_garbage_collected",
    "not_measured_text",
    "object_budget",
    "options_of",
    "origin_of",
    "own_allocators_seen",
    "phases_of_test_case",
    "report_lines",
    "result_from_json",
    "result_to_json",
    "rules_of",
    "shown_path",
    "warm_up_block",
    "why_not_measured",
    "write_files",
    "written_marker",
    "written_test",
]


def __dir__() -> list[str]:
    return __all__
