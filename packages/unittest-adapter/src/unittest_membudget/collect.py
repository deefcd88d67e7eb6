"""``python -m unittest_membudget.collect COMMAND...``: reports the results of all its processes.

For tools that run tests in their own worker processes, such as ``unittest-parallel`` and
``stestr``: each process saves its results, and one report shows them when the command has ended.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from membudget import InvalidOptionError
from membudget.runs import find_settings

from .memory_run import MemoryRun
from .options import add_options

_PROGRAM = "python -m unittest_membudget.collect"


def main(arguments: list[str] | None = None) -> int:
    """Run a command, print the memory report of its processes, and return the command's status."""
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, allow_abbrev=False, description=__doc__.partition("\n\n")[2]
    )
    add_options(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run, with its arguments")
    given = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    command = given.command[given.command[:1] == ["--"] :]
    if not command:
        parser.error("no command given: append the command to run, with its arguments")
    try:
        run = MemoryRun(find_settings("unittest", vars(given)))
    except InvalidOptionError as error:
        parser.error(str(error))
    with run.collecting():
        try:
            process = subprocess.Popen(command)
        except OSError as error:
            parser.error(f"cannot run {command[0]!r}: {error}")
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:
                continue  # the command got the signal as well; report what it measured
    run.report(sys.stderr)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
