"""Results as plain JSON data, for what crosses a process, and the file of a run's results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from warnings import catch_warnings, simplefilter

from ..errors import MembudgetError, NotReplacedWarning
from ..verdict import Result
from .environment import Environment
from .run_file import FORMAT, RunFile, result_from_data, result_to_data, write_run


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
            f"a result has format {data.get('format')!r}, and this membudget reads format "
            f"{FORMAT}: use one version of membudget in all processes"
        )
    return result_from_data(data)


def write_results(
    path: str, results: Iterable[Result], *, environment: Environment | None = None
) -> str:
    """Write the file of a run that ends now; see :func:`membudget.results.write_run`.

    Args:
        path: where to write it. A file that another run has written there meanwhile stays, and a
            ``NotReplacedWarning`` says so.
        results: of the run.
        environment: of the run; by default, what is known of it in this process.

    Returns:
        The path that was written.

    Raises:
        OSError: it cannot be written.
    """
    run = RunFile(environment or Environment.here(), tuple(results))
    with catch_warnings():
        # As an error (python -W error), it would hide the failures of the run.
        simplefilter("always", NotReplacedWarning)
        return write_run(path, run, ends_now=True)
