"""Reading a block out of a capture that is still being written, in a process of its own.

A block that ends while others are open cannot stop the tracker: whatever other threads allocate
until it runs again would be missing from their blocks. And memray's reader must not run beside an
active tracker. So a small process reads the file, started when first needed and kept until this
process ends. Requests and answers are lines of JSON. While it answers, it may have to ask in turn:
which stacks count, patterns and plugins of this process say.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from json import dumps, loads
from typing import Any, Final

from ...budget import Budget
from ...errors import CaptureError
from ...host.raised import raised_by_us, suppressed
from ...host.system import Real, search_path
from ...host.whole_files import write_all
from ...measurement import Frame, Measurement
from ...results.json_data import (
    budget_from_json,
    budget_to_json,
    measurement_from_json,
    measurement_to_json,
    stack_from_json,
    stack_to_json,
)
from ...stack_filter import StackFilter
from ..marks import Alphabet
from ..request import BlockQuery
from ..temp_files import OwnFile, duplicate_above, open_to_read, pipe, private_file, temporary_file
from .reading import read_block

# Its input, where it answers, and for its last words. What else it prints goes to the latter.
_INPUT, _OUTPUT, _ERRORS = 0, 3, 2
# It forks first, and is then no child of the program, which may wait for all of its children; it
# has no files of the program, and Ctrl-C in a terminal, which goes to a whole process group, does
# not reach it: it ends with its input.
_MAIN: Final = (
    "import os, sys; os.fork() and os._exit(0); os.setsid(); os.closerange(4, 1 << 16); "
    "import json; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"
)
_SIGN_OF_LIFE: Final = b"\0"
_SIGN_EVERY_SECONDS: Final = 1
SILENCE_SECONDS: Final = 30
"""How long the process may say nothing, neither an answer nor a sign of life."""


class ReaderProcess:
    """The reading process, seen from the recording one.

    All that it needs is done with functions of the system that nobody can have replaced.

    Raises:
        CaptureError: it cannot be started.
    """

    def __init__(self) -> None:
        if not Real.executable or Real.spawn is None:
            raise CaptureError(
                "a block that ends inside another one is read by a second Python process, and "
                "sys.executable does not say how to start one"
            )
        self._busy = False
        with contextlib.ExitStack() as opened:
            try:
                self._errors = opened.enter_context(private_file())
                its_input, self._input = map(opened.enter_context, _pipe())
                self._output, its_output = map(opened.enter_context, _pipe())
                with its_input, its_output:
                    _start(its_input.fileno(), its_output.fileno(), self._errors.fileno())
                Real.set_blocking(self._input.fileno(), False)
            except OSError as error:
                if not raised_by_us(error):
                    raise
                raise CaptureError(
                    f"the process that reads captures cannot be started: {error}"
                ) from error
            self._close = opened.pop_all().close

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
            last_words = self._last_words()
            self.close()
            if not (isinstance(error, (OSError, ValueError)) and raised_by_us(error)):
                raise
            raise CaptureError(
                f"the process that reads captures ended unexpectedly: {last_words or error}"
            ) from error
        if "error" in answer:
            raise CaptureError(answer["error"])
        return measurement_from_json(answer["measurement"])

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        left = memoryview(dumps(question).encode() + b"\n")
        while left:
            _wait(self._input, Real.poll_out)
            left = left[Real.write(self._input.fileno(), left) :]
        answer = b""
        while not answer.endswith(b"\n"):
            _wait(self._output, Real.poll_in)
            said = Real.read(self._output.fileno(), 1 << 20)
            if not said:
                raise BrokenPipeError(errno.EPIPE, "it is gone")
            answer += said.replace(_SIGN_OF_LIFE, b"")
        read: dict[str, Any] = loads(answer)
        return read

    @property
    def usable(self) -> bool:
        """Whether the process runs, and is not in the middle of an answer.

        The latter happens to a signal handler or a finalizer that interrupts the reading of one
        block and ends another.
        """
        if self._busy:
            return False
        with suppressed(OSError):
            if not _events(self._output, Real.poll_in, 0) & Real.poll_gone:
                return True
        self.close()
        return False

    def close(self) -> None:
        """Let go of the process: without input, it ends. Can be done again."""
        self._close()

    def _last_words(self) -> str:
        try:
            length = self._errors.written_length()
            said = Real.pread(self._errors.fileno(), length, 0)
        except OSError as error:
            if not raised_by_us(error):
                raise
            return ""
        lines = said.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def _pipe() -> Iterator[OwnFile]:
    """Yield both ends of a pipe. Neither has a number that the new process will need."""
    for end in pipe():
        with end:
            yield duplicate_above(end.fileno(), _OUTPUT + 1)


def _start(its_input: int, its_output: int, its_errors: int) -> None:
    main = _MAIN.format(module=__name__)
    command = [Real.executable, "-P", "-c", main, dumps(search_path())]
    moved = ((its_errors, 1), (its_errors, _ERRORS), (its_input, _INPUT), (its_output, _OUTPUT))
    parent = Real.spawn(
        Real.executable,
        command,
        Real.environment,
        file_actions=[(Real.spawn_dup2, fd, number) for fd, number in moved],
        setpgroup=0,
        setsigmask=(),
    )
    with suppressed(ChildProcessError):  # somebody who waits for all has seen it end
        Real.waitpid(parent, 0)


def _wait(file: OwnFile, event: int) -> None:
    events = _events(file, event, SILENCE_SECONDS)
    if not events:
        raise TimeoutError(errno.ETIMEDOUT, f"it said nothing for {SILENCE_SECONDS} seconds")
    if not events & event:  # writing now would raise SIGPIPE, which ends some programs
        raise BrokenPipeError(errno.EPIPE, "it is gone")


def _events(file: OwnFile, event: int, seconds: float) -> int:
    """Wait for an event; return what has happened, 0 for nothing."""
    poll = Real.poll()
    poll.register(file.fileno(), event)
    return sum(events for _, events in poll.poll(seconds * 1000))


def main() -> None:
    """Answer requests until the input ends."""
    signal.signal(signal.SIGALRM, lambda *_: os.write(_OUTPUT, _SIGN_OF_LIFE))
    signal.setitimer(signal.ITIMER_REAL, _SIGN_EVERY_SECONDS, _SIGN_EVERY_SECONDS)
    for line in sys.stdin:
        request = loads(line)
        try:
            measurement = _read(request)
        except CaptureError as error:
            _say({"error": str(error)})
        else:
            _say({"measurement": measurement_to_json(measurement)})


def _say(answer: dict[str, Any]) -> None:
    write_all(_OUTPUT, dumps(answer).encode() + b"\n")


class _AskingFilter(StackFilter):
    """A filter of stacks that asks the recording process."""

    def keeps(self, stacks: Iterable[tuple[Frame, ...]]) -> list[bool]:
        """Ask about all of them at once."""
        _say({"stacks": [stack_to_json(stack) for stack in stacks]})
        kept: list[bool] = loads(sys.stdin.readline())["kept"]
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
    try:
        with temporary_file() as copy:
            with open_to_read(request["path"]) as capture:
                _copy_written(capture, copy.fileno())
            return read_block(copy.path(), alphabet, query)
    except OSError as error:
        raise CaptureError(f"cannot copy the capture of an open block: {error}") from error


def _copy_written(capture: OwnFile, copy: int) -> None:
    """Copy what has been written so far, without the zero bytes that memray keeps behind it."""
    length, done = capture.written_length(), 0
    while done < length:
        chunk = os.pread(capture.fileno(), min(length - done, 1 << 20), done)
        if not chunk:
            break
        done += os.pwrite(copy, chunk, done)
