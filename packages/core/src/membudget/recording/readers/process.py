"""Reads a block from a capture that is still being written, in a separate process.

A block that ends while others are open cannot stop the tracker: allocations of other threads until
it runs again would be missing from their blocks. And memray's reader must not run in a process with
an active tracker. So a small process reads the file. It is started when it is first needed, and
runs until this process ends. Questions and answers are lines of JSON. While it works on an answer,
it may ask this process which stacks count, because the patterns and plugins are here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from json import dumps, loads
from typing import Any, Final

from ...errors import CaptureError
from ...host.raised import raised_by_us, suppressed
from ...host.system import Real, real_functions, search_path
from ...host.whole_files import write_all
from ...measurement import Allocation, Frame, Measurement
from ...plain_data import coder_of
from ..marks import Alphabet
from ..request import BlockRequest, CountsStacks
from ..temp_files import OwnFile, duplicate_above, open_to_read, pipe, private_file, temporary_file
from .whole_captures import BlockReader

_REQUEST: Final = coder_of(BlockRequest)
_MEASUREMENT: Final = coder_of(Measurement)
_ALLOCATIONS: Final = coder_of(tuple[Allocation, ...])
_STACKS: Final = coder_of(tuple[tuple[Frame, ...], ...])

# The files of the process: its input, its answers, and its errors with everything else it prints.
_INPUT, _OUTPUT, _ERRORS = 0, 3, 2
# It forks first, so that it is not a child of the program, which may wait for all of its children.
# It has no files of the program. It is in its own process group, so that Ctrl-C in a terminal does
# not reach it. It ends when its input does.
_MAIN: Final = (
    "import os, sys; os.fork() and os._exit(0); os.setsid(); os.closerange(4, 1 << 16); "
    "import json; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"
)
_SIGN_OF_LIFE: Final = b"\0"
_SIGN_EVERY_SECONDS: Final = 1
SILENCE_SECONDS: Final = 30
"""How long to wait for an answer, or a sign of life, of the process."""


class ReaderProcess:
    """The reading process, as the recording process uses it.

    It uses only functions of the system that the program cannot have replaced.

    Raises:
        CaptureError: it cannot be started.
    """

    def __init__(self) -> None:
        if not Real.executable or Real.spawn is None:
            raise CaptureError(
                "a block that ends inside another one has to be read by a second Python process, "
                "but it cannot be started, because sys.executable is empty"
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

    def ask(self, question: dict[str, Any], stack_filter: CountsStacks | None) -> Any:
        """Send a question and return the answer. The process may ask back which stacks count.

        Raises:
            CaptureError: it cannot read the capture, or it has ended.
        """
        try:
            self._busy = True
            answer = self._send(question)
            while "stacks" in answer:
                assert stack_filter is not None
                with real_functions():
                    kept = stack_filter.keeps(_STACKS.from_data(answer["stacks"]))
                answer = self._send({"kept": kept})
            self._busy = False
        except BaseException as error:
            # Also for KeyboardInterrupt: a late answer would be taken for the next one.
            last_error = self._last_error()
            self.close()
            if not (isinstance(error, (OSError, ValueError)) and raised_by_us(error)):
                raise
            raise CaptureError(
                f"the process that reads captures ended unexpectedly: {last_error or error}"
            ) from error
        if "error" in answer:
            raise CaptureError(answer["error"])
        return answer["answer"]

    def _send(self, question: dict[str, Any]) -> dict[str, Any]:
        left = memoryview(dumps(question).encode() + b"\n")
        while left:
            _wait(self._input, Real.poll_out)
            left = left[Real.write(self._input.fileno(), left) :]
        answer = b""
        while not answer.endswith(b"\n"):
            _wait(self._output, Real.poll_in)
            said = Real.read(self._output.fileno(), 1 << 20)
            if not said:
                raise BrokenPipeError(errno.EPIPE, "it has exited")
            answer += said.replace(_SIGN_OF_LIFE, b"")
        read: dict[str, Any] = loads(answer.decode())  # of bytes, json would look up a function
        return read

    @property
    def usable(self) -> bool:
        """Whether the process runs and is not working on an answer.

        It is working if a signal handler or a finalizer interrupts the reading of one block and
        ends another.
        """
        if self._busy:
            return False
        with suppressed(OSError):
            if not _events(self._output, Real.poll_in, 0) & Real.poll_gone:
                return True
        self.close()
        return False

    def close(self) -> None:
        """Close the input of the process, which then ends. Can be called again."""
        self._close()

    def _last_error(self) -> str:
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
    """Yield both ends of a pipe, with numbers that the new process does not need."""
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
    with suppressed(ChildProcessError):  # other code that waits for all children was faster
        Real.waitpid(parent, 0)


def _wait(file: OwnFile, event: int) -> None:
    events = _events(file, event, SILENCE_SECONDS)
    if not events:
        raise TimeoutError(errno.ETIMEDOUT, f"it did not answer for {SILENCE_SECONDS} seconds")
    if not events & event:  # writing now would raise SIGPIPE, which ends some programs
        raise BrokenPipeError(errno.EPIPE, "it has exited")


def _events(file: OwnFile, event: int, seconds: float) -> int:
    """Wait for an event; return the events that have happened, 0 for none."""
    poll = Real.poll()
    poll.register(file.fileno(), event)
    return sum(events for _, events in poll.poll(seconds * 1000))


class RemoteReader:
    """A :class:`BlockReader` that works in the reading process.

    Args:
        process: the reading process; it reads one block at a time.
        path: the path of the capture, which is still being written, in that process.
        alphabet: encodes its marks.
        request: the block, which has ended.
    """

    def __init__(
        self, process: ReaderProcess, path: str, alphabet: Alphabet, request: BlockRequest
    ) -> None:
        self._process = process
        self._stack_filter = request.stack_filter
        self._block: Final = {
            "path": path,
            "signature": alphabet.signature,
            # Only this process can call the filter.
            "request": _REQUEST.to_data(request),
            "filters_stacks": request.stack_filter is not None,
        }

    def figures(self) -> Measurement:
        """See :class:`BlockReader`."""
        return _MEASUREMENT.from_data(self._ask("figures", block=self._block))

    def at_peak(self) -> tuple[Allocation, ...]:
        """See :class:`BlockReader`."""
        return _ALLOCATIONS.from_data(self._ask("at_peak"))

    def at_end(self) -> tuple[Allocation, ...]:
        """See :class:`BlockReader`."""
        return _ALLOCATIONS.from_data(self._ask("at_end"))

    def hybrid_at_end(self) -> tuple[Allocation, ...]:
        """See :class:`BlockReader`."""
        return _ALLOCATIONS.from_data(self._ask("hybrid_at_end"))

    @property
    def lost_stacks(self) -> bool:
        """See :class:`BlockReader`."""
        return bool(self._ask("lost_stacks"))

    def close(self) -> None:
        """Make the process delete its copy of the capture."""
        if self._process.usable:
            with suppressed(CaptureError):
                self._ask("close")

    def _ask(self, question: str, **details: Any) -> Any:
        return self._process.ask({"question": question, **details}, self._stack_filter)


def main() -> None:
    """Answer questions until the input ends."""
    signal.signal(signal.SIGALRM, lambda *_: os.write(_OUTPUT, _SIGN_OF_LIFE))
    signal.setitimer(signal.ITIMER_REAL, _SIGN_EVERY_SECONDS, _SIGN_EVERY_SECONDS)
    with contextlib.ExitStack() as copies:
        reader: BlockReader | None = None
        for line in sys.stdin:
            asked = loads(line)
            try:
                if "block" in asked:
                    copies.close()  # of an earlier block whose reader could not be closed
                    reader = _copied(asked["block"], copies)
                if asked["question"] == "close":
                    copies.close()
                    reader = None
                    _say({"answer": None})
                    continue
                assert reader is not None
                _say({"answer": _ANSWERS[asked["question"]](reader)})
            except CaptureError as error:
                _say({"error": str(error)})


_ANSWERS: Final[dict[str, Callable[[BlockReader], Any]]] = {
    "figures": lambda reader: _MEASUREMENT.to_data(reader.figures()),
    "at_peak": lambda reader: _ALLOCATIONS.to_data(reader.at_peak()),
    "at_end": lambda reader: _ALLOCATIONS.to_data(reader.at_end()),
    "hybrid_at_end": lambda reader: _ALLOCATIONS.to_data(reader.hybrid_at_end()),
    "lost_stacks": lambda reader: reader.lost_stacks,
}


def _say(answer: dict[str, Any]) -> None:
    write_all(_OUTPUT, dumps(answer).encode() + b"\n")


class _AskingFilter:
    """A filter of stacks that calls the filter in the recording process."""

    def keeps(self, stacks: Iterable[tuple[Frame, ...]]) -> list[bool]:
        """Return for each stack whether it counts, with one question."""
        _say({"stacks": _STACKS.to_data(tuple(stacks))})
        kept: list[bool] = loads(sys.stdin.readline())["kept"]
        return kept


def _copied(block: dict[str, Any], copies: contextlib.ExitStack) -> BlockReader:
    """Return a reader of a block, with a copy of what has been written so far."""
    request = _REQUEST.from_data(block["request"])
    if block["filters_stacks"]:
        request = replace(request, stack_filter=_AskingFilter())
    try:
        copy = copies.enter_context(temporary_file())
        with open_to_read(block["path"]) as capture:
            _copy_written(capture, copy.fileno())
    except OSError as error:
        raise CaptureError(f"cannot copy the capture of an open block: {error}") from error
    alphabet = Alphabet(tuple(block["signature"]))
    return BlockReader(copy.path(), alphabet, request)


def _copy_written(capture: OwnFile, copy: int) -> None:
    """Copy what has been written so far, without the zero bytes that memray keeps after it."""
    length, done = capture.written_length(), 0
    while done < length:
        chunk = os.pread(capture.fileno(), min(length - done, 1 << 20), done)
        if not chunk:
            break
        done += os.pwrite(copy, chunk, done)
