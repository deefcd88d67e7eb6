"""Reading a block out of a capture that is still being written, in a process of its own.

A block that ends while others are open cannot stop the tracker: whatever other threads allocate
until it runs again would be missing from their blocks. And memray's reader must not run beside an
active tracker. So a small process reads the file, started when first needed and kept until this
process ends. Requests and answers are lines of JSON. While it answers, it may have to ask in turn:
which stacks count, patterns and plugins of this process say.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import IO, Any

from ..errors import CaptureError
from ..model import Budget, Frame, Measurement
from ..patterns import StackFilter
from ..report.json import (
    budget_from_json,
    budget_to_json,
    measurement_from_json,
    measurement_to_json,
    stack_from_json,
    stack_to_json,
)
from .files import private_file, written_length
from .marks import Alphabet
from .query import BlockQuery
from .raised import raised_by_us
from .reading import read_block

_MAIN = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"


class ReaderProcess:
    """The reading process, seen from the recording one."""

    def __init__(self) -> None:
        if not sys.executable:
            raise CaptureError(
                "a block that ends inside another one is read by a second Python process, and "
                "sys.executable does not say how to start one"
            )
        self._errors = private_file()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _MAIN.format(module=__name__), json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                # Ctrl-C in a terminal goes to the whole process group; this ends with its input.
                start_new_session=True,
            )
        except BaseException as error:
            self._close_errors()
            if not isinstance(error, Exception) or not raised_by_us(error):
                raise
            raise CaptureError(
                f"the process that reads captures cannot be started: {error}"
            ) from error
        self._busy = False
        atexit.register(self.close)

    def read_block(self, path: str, alphabet: Alphabet, query: BlockQuery) -> Measurement:
        """Read a block that has ended from the capture at ``path``; see ``reading.read_block``."""
        # Filters stay here: only their process can call them.
        asked = {
            **asdict(replace(query, budget=Budget(), stack_filter=None)),
            "budget": budget_to_json(query.budget),
            "stack_filter": query.stack_filter is not None,
        }
        request = {"path": path, "signature": alphabet.signature, "query": asked}
        try:
            self._busy = True
            answer = self._ask(request)
            while "stacks" in answer:
                assert query.stack_filter is not None
                kept = query.stack_filter.keeps(map(stack_from_json, answer["stacks"]))
                answer = self._ask({"kept": kept})
            self._busy = False
        except BaseException as error:
            # Also for KeyboardInterrupt: an answer still to come would be taken for the next one.
            self._close_pipes()
            self._process.wait()
            last_words = self._last_words()
            self.close()
            if not isinstance(error, (OSError, EOFError)) or not raised_by_us(error):
                raise
            raise CaptureError(
                f"the process that reads captures ended unexpectedly: {last_words or error}"
            ) from error
        if "error" in answer:
            raise CaptureError(answer["error"])
        return measurement_from_json(answer["measurement"])

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError("it did not answer")
        answer: dict[str, Any] = json.loads(line)
        return answer

    @property
    def usable(self) -> bool:
        """Whether the process runs, and is not in the middle of an answer.

        The latter happens to a signal handler or a finalizer that interrupts the reading of one
        block and ends another.
        """
        return not self._busy and self._process.poll() is None

    def close(self) -> None:
        """End the process and wait for it."""
        atexit.unregister(self.close)
        self._close_pipes()
        self._process.wait()
        self._close_errors()

    def forget(self) -> None:
        """Let go of the process in a fork of the process that started it."""
        atexit.unregister(self.close)
        self._close_pipes()
        self._close_errors()
        # Not ours to wait for; this keeps Popen from warning that it still runs.
        self._process.returncode = 0

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _close_errors(self) -> None:
        with contextlib.suppress(OSError):  # a program may have closed all files that it found
            self._errors.close()

    def _last_words(self) -> str:
        try:
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""


def main() -> None:
    """Answer requests until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            measurement = _read(request)
        except CaptureError as error:
            _say({"error": str(error)})
        else:
            _say({"measurement": measurement_to_json(measurement)})


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


class _AskingFilter(StackFilter):
    """A filter of stacks that asks the recording process."""

    def keeps(self, stacks: Iterable[tuple[Frame, ...]]) -> list[bool]:
        """Ask about all of them at once."""
        _say({"stacks": [stack_to_json(stack) for stack in stacks]})
        kept: list[bool] = json.loads(sys.stdin.readline())["kept"]
        return kept


def _read(request: dict[str, Any]) -> Measurement:
    alphabet = Alphabet(tuple(request["signature"]))
    asked = request["query"]
    budget = budget_from_json(asked["budget"])
    stack_filter = _AskingFilter(budget.scope) if asked["stack_filter"] else None
    outer_files = tuple(asked["outer_files"])
    query = BlockQuery(
        **{**asked, "budget": budget, "outer_files": outer_files, "stack_filter": stack_filter}
    )
    with tempfile.NamedTemporaryFile(prefix="membudget-") as copy:
        try:
            _copy_written(request["path"], copy)
        except OSError as error:
            raise CaptureError(f"cannot copy the capture of an open block: {error}") from error
        return read_block(copy.name, alphabet, query)


def _copy_written(path: str, copy: IO[bytes]) -> None:
    """Copy what has been written so far, without the zero bytes that memray keeps behind it."""
    with open(path, "rb") as capture:
        remaining = written_length(capture)
        capture.seek(0)
        while remaining:
            chunk = capture.read(min(remaining, 1 << 20))
            if not chunk:
                break
            copy.write(chunk)
            remaining -= len(chunk)
    copy.flush()
