"""Results as plain JSON data for other processes, and the run file of this run."""

from __future__ import annotations

from typing import Any
from warnings import catch_warnings, simplefilter

from ..errors import MembudgetError, NotReplacedWarning
from ..verdict import Result
from .run_file import FORMAT, RunFile, result_from_data, result_to_data
from .writing import write_run


def result_to_json(result: Result) -> dict[str, Any]:
    """Return a result as JSON data; :func:`result_from_json` reads it back."""
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


def write_run_of_now(path: str, run: RunFile) -> str:
    """Write the file of a run that ends now; see :func:`membudget.results.write_run`.

    A file that another run has written there meanwhile is kept, with a ``NotReplacedWarning``.

    Returns:
        The path that was written.

    Raises:
        OSError: it cannot be written.
    """
    with catch_warnings():
        # As an error (python -W error), it would hide the failures of the run.
        simplefilter("always", NotReplacedWarning)
        return write_run(path, run, ends_now=True)
