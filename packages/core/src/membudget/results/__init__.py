"""Results as data: run files, and tools that compare and merge them."""

from typing import TYPE_CHECKING

from ..errors import IncomparableRunsError, NotReplacedWarning, RunFileError
from ..host.late_imports import late_names
from ..tolerance import Tolerance, parse_tolerance

if TYPE_CHECKING:
    from .comparable import differences
    from .comparing import FigureChange, StackChange, compare_runs
    from .environment import Environment
    from .merging import merge_runs
    from .reading import read_run
    from .run_file import SCHEMA, RunFile
    from .writing import write_run
else:
    __getattr__ = late_names(
        globals(),
        {
            ".comparable": "differences",
            ".comparing": "FigureChange StackChange compare_runs",
            ".environment": "Environment",
            ".merging": "merge_runs",
            ".reading": "read_run",
            ".run_file": "SCHEMA RunFile",
            ".writing": "write_run",
        },
    )

__all__ = [
    "SCHEMA",
    "Environment",
    "FigureChange",
    "IncomparableRunsError",
    "NotReplacedWarning",
    "RunFile",
    "RunFileError",
    "StackChange",
    "Tolerance",
    "compare_runs",
    "differences",
    "merge_runs",
    "parse_tolerance",
    "read_run",
    "write_run",
]


def __dir__() -> list[str]:
    return __all__
