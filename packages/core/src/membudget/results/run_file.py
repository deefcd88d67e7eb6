"""Run files: the results of one run with its environment, as versioned JSON.

``run-2.schema.json`` beside this module defines format 2; docs/run-file.md explains it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..plain_data import Coder, coder_of
from ..source.sources import Sources
from ..verdict import Result
from .environment import Environment

FORMAT: Final = 2
"""The version of the data; it is increased for incompatible changes."""
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


RESULTS: Final = coder_of(Result)


def result_to_data(result: Result, coder: Coder[Result] = RESULTS) -> dict[str, Any]:
    """Return a result as JSON data; :func:`result_from_data` reads it back.

    The data also has derived values, for readers in other languages.
    """
    data: dict[str, Any] = coder.to_data(result)
    data["within"] = result.verdict.within
    data["blind"] = result.is_blind
    return data


def result_from_data(data: object, where: str = "result") -> Result:
    """Read back the return value of :func:`result_to_data`.

    Raises:
        RunFileError: the data is not a result.
    """
    return RESULTS.from_data(data, where)
