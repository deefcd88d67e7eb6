"""Cuts stack traces to the frames inside a block, without membudget's own frames."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...measurement import Allocation, Frame
from ..request import BlockRequest

_EVENT_LOOPS = ("/asyncio/", "/trio/", "/uvloop/", "/tornado/", "/twisted/internet/")
_OWN_FILES = f"{Path(__file__).parents[2]}{os.sep}"


@dataclass(frozen=True, slots=True)
class FoundStack:
    """Memory of one stack in a capture.

    Attributes:
        frames: all frames of the stack, innermost first.
        size_bytes, n_allocations: how much of it was alive, in how many allocations.
        is_other_thread: whether another thread than that of the block allocated it.
        arena_bytes: how much of it is arenas, see :class:`membudget.Allocation`.
        hybrid: the same frames and native ones; empty if only Python stacks are needed.
    """

    frames: Sequence[Frame]
    size_bytes: int
    n_allocations: int
    is_other_thread: bool
    arena_bytes: int
    hybrid: Sequence[Frame] = ()


class StackTraces:
    """Removes from stack traces the frames around a block.

    Args:
        request: the block.
        mark: the frames of the first record of its start mark, innermost first.
    """

    def __init__(self, request: BlockRequest, mark: Sequence[Frame]) -> None:
        self._outer_files = request.outer_files
        n_own = 0
        while n_own < len(mark) and is_own(mark[n_own]):
            n_own += 1
        n_inside = n_own if request.stacks_begin_inside else n_own + 1
        self._outer = mark[n_inside:]
        # The outermost frame of the block: it has the with statement, or calls the function.
        self._outermost = mark[n_inside - 1] if 0 < n_inside <= len(mark) else None

    def inside(self, stack: Sequence[Frame]) -> tuple[Frame, ...]:
        """Return the frames of a stack that are inside the block, innermost first."""
        return self._inside(stack, self._n_shared(stack))

    def summed(self, found: Iterable[FoundStack]) -> tuple[Allocation, ...]:
        """Sum memory by stack inside the block, largest first.

        One line of code can have several stacks in a capture, one for each instruction.
        """
        by_stack: dict[tuple[Frame, ...], Allocation] = {}
        for one in found:
            shared = self._n_shared(one.frames)
            stack = self._inside(one.frames, shared)
            if one.hybrid:
                stack = _with_native_frames(one.hybrid, stack)
            is_other_task = not one.is_other_thread and self._is_other_task(one.frames, shared)
            before = by_stack.get(stack) or Allocation(0, 0, stack)
            by_stack[stack] = Allocation(
                before.size_bytes + one.size_bytes,
                before.n_allocations + one.n_allocations,
                stack,
                before.other_threads_bytes + one.size_bytes * one.is_other_thread,
                before.other_tasks_bytes + one.size_bytes * is_other_task,
                before.arena_bytes + one.arena_bytes,
            )
        return tuple(sorted(by_stack.values(), key=lambda allocation: -allocation.size_bytes))

    def _n_shared(self, stack: Sequence[Frame]) -> int:
        """Count the outermost frames of a stack that are also around the block."""
        shared = 0
        for frame, around in zip(reversed(stack), reversed(self._outer), strict=False):
            if frame is not around and frame != around:  # most often it is the same object
                break
            shared += 1
        return shared

    def _is_other_task(self, stack: Sequence[Frame], shared: int) -> bool:
        """Whether a stack differs from the block's in the event loop, which ran something else.

        Other differences do not show another task: a block can be open after its function returned.
        """
        if not 0 < shared < len(stack) or not _is_event_loop(stack[-shared]):
            return False
        is_at_block = shared == len(self._outer)
        expected = self._outermost if is_at_block else self._outer[-shared - 1]
        found = stack[-shared - 1]
        return expected is not None and (
            (found.function, found.filename) != (expected.function, expected.filename)
        )

    def _inside(self, stack: Sequence[Frame], shared: int) -> tuple[Frame, ...]:
        inside = [frame for frame in stack[: len(stack) - shared] if not is_own(frame)]
        if not inside:
            # The call of the block's function allocates a little before its first frame begins.
            return tuple([frame for frame in stack if not is_own(frame)][:1])
        n_inside = len(inside)
        while n_inside > 1 and inside[n_inside - 1].filename.startswith(self._outer_files):
            n_inside -= 1
        return tuple(inside[:n_inside])


def _is_event_loop(frame: Frame) -> bool:
    return any(part in frame.filename for part in _EVENT_LOOPS)


def _with_native_frames(hybrid: Sequence[Frame], inside: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Return the part of a hybrid stack that ends with the outermost of some Python frames."""
    found: list[Frame] = []
    n_python = 0
    for frame in hybrid:
        if n_python == len(inside) > 0:
            break
        n_python += n_python < len(inside) and frame == inside[n_python]
        if not is_own(frame):
            found.append(frame)
    return tuple(found)


def is_own(frame: Frame) -> bool:
    """Whether a frame belongs to membudget itself."""
    return frame.filename.startswith(_OWN_FILES)
