"""Reading one block out of a capture with memray's public ``FileReader``.

memray's reader must never run in a process whose tracker is active: its own work would be recorded
as well, and the capture would grow while it is read.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ..checks import judge
from ..errors import CaptureError
from ..model import Allocation, Budget, Frame, Measurement
from .accounting import BlockMarks, account, alive_at, locate
from .marks import Alphabet, find_marks

if TYPE_CHECKING:
    from memray import AllocationRecord

_ALL_FRAMES = 1 << 30
_OWN_FILES = f"{Path(__file__).parents[1]}{os.sep}"


@dataclass(frozen=True, slots=True)
class BlockQuery:
    """Which block to read, and how.

    Attributes:
        serial: the number in the block's marks.
        budget: says whose memory counts, and when the allocations at the peak are wanted: when
            the budget is exceeded.
        always_allocations: the allocations at the peak are wanted in any case.
        stacks_begin_inside: stack traces begin below the frame that opened the block, not with it.
    """

    serial: int
    budget: Budget
    always_allocations: bool = False
    stacks_begin_inside: bool = False


def read_block(path: str, alphabet: Alphabet, query: BlockQuery) -> Measurement:
    """Read the figures of a block from the capture at ``path``.

    Raises:
        CaptureError: the capture cannot be read, or the block is not there in full.
    """
    import memray

    thread_only = query.budget.current_thread_only
    try:
        with contextlib.closing(memray.FileReader(path)) as reader:
            block = locate(find_marks(reader.get_allocation_records(), alphabet), query.serial)
            if block is None:
                raise CaptureError(
                    "the capture of this block is incomplete, so its budget could not be checked. "
                    "The disk may be full (memray then stops recording), or something in the "
                    "block stopped memray's tracker"
                )
            if block.interrupted:
                raise CaptureError(
                    "something interrupted membudget inside this block, such as Ctrl-C, so not all "
                    "of its memory was counted and its budget could not be checked"
                )
            found = account(reader.get_allocation_records(), block, current_thread_only=thread_only)
            measurement = found.measurement
            if not query.always_allocations and judge(measurement, query.budget).within:
                return measurement
            alive = alive_at(
                reader.get_allocation_records(),
                block,
                current_thread_only=thread_only,
                index=found.peak_index,
            )
            outer = _outer_frames(reader.get_allocation_records(), block, query)
            return replace(measurement, allocations=_by_stack(alive, outer))
    except CaptureError:
        raise
    except Exception as error:  # memray's reader raises all sorts of them on damaged input
        raise CaptureError(f"the capture of this block cannot be read: {error}") from error


def _outer_frames(
    records: Iterable[AllocationRecord], block: BlockMarks, query: BlockQuery
) -> list[Frame]:
    """Return the frames around the block, innermost first, as its start mark saw them."""
    mark = next(islice(records, block.start.first, None))
    stack = [Frame(*frame) for frame in mark.stack_trace(_ALL_FRAMES)]
    n_own = 0
    while n_own < len(stack) and _is_own(stack[n_own]):
        n_own += 1
    return stack[n_own if query.stacks_begin_inside else n_own + 1 :]


def _is_own(frame: Frame) -> bool:
    return frame.filename.startswith(_OWN_FILES)


def _by_stack(
    alive: list[tuple[int, AllocationRecord]], outer: list[Frame]
) -> tuple[Allocation, ...]:
    """Group what was alive by its stack trace, largest first."""
    by_id: dict[int, tuple[int, int, AllocationRecord]] = {}
    for size, record in alive:
        n_bytes, count, _ = by_id.get(record.stack_id, (0, 0, record))
        by_id[record.stack_id] = (n_bytes + size, count + 1, record)
    # One line of code has several ids: an id stands for an instruction.
    by_stack: dict[tuple[Frame, ...], tuple[int, int]] = {}
    for size, count, record in by_id.values():
        stack = _inside([Frame(*frame) for frame in record.stack_trace(_ALL_FRAMES)], outer)
        n_bytes, n_allocations = by_stack.get(stack, (0, 0))
        by_stack[stack] = (n_bytes + size, n_allocations + count)
    allocations = [Allocation(size, count, stack) for stack, (size, count) in by_stack.items()]
    allocations.sort(key=lambda allocation: -allocation.size_bytes)
    return tuple(allocations)


def _inside(stack: list[Frame], outer: list[Frame]) -> tuple[Frame, ...]:
    """Take the frames around the block, and membudget's own, off a stack trace."""
    shared = 0
    for frame, around in zip(reversed(stack), reversed(outer), strict=False):
        if frame != around:
            break
        shared += 1
    inside = [frame for frame in stack[: len(stack) - shared] if not _is_own(frame)]
    # Calling the block's function allocates a little before its first frame begins.
    return tuple(inside or stack[:1])
