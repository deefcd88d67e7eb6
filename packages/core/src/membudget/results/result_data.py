"""Results as plain JSON data, for run files and for other processes of a run."""

from __future__ import annotations

from typing import Any, Final

from ..errors import MembudgetError
from ..plain_data import Coder, coder_of
from ..verdict import Result

FORMAT: Final = 2
"""The version of the data, and of run files; it is increased for incompatible changes."""
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


def result_to_json(result: Result) -> dict[str, Any]:
    """Return a result as JSON data with its version; :func:`result_from_json` reads it back."""
    return {"format": FORMAT, **result_to_data(result)}


def result_from_json(data: dict[str, Any]) -> Result:
    """Read back what :func:`result_to_json` returned.

    Raises:
        MembudgetError: the data has another format, from another version of membudget.
    """
    if data.get("format") != FORMAT:
        raise MembudgetError(
            f"a result has format {data.get('format')!r}, but this membudget reads format "
            f"{FORMAT}: use one version of membudget in all processes"
        )
    return result_from_data(data)
