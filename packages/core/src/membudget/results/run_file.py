"""Run files: the results of one run with its environment, as versioned JSON.

``run-2.schema.json`` beside this module defines format 2; docs/run-file.md explains it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..source.sources import Sources
from ..verdict import Result
from .environment import Environment
from .result_data import FORMAT

SCHEMA: Final = Path(__file__).with_name(f"run-{FORMAT}.schema.json")
"""The JSON Schema of run files."""


@dataclass(frozen=True, slots=True)
class RunFile:
    """The results of one run.

    Attributes:
        environment: where and how they were measured.
        results: one for each measured test, in the order in which they ended.
        sources: where the tests are written, for ``membudget fix``; None if it is not known.
    """

    environment: Environment
    results: tuple[Result, ...]
    sources: Sources | None = None
