"""Notices when memray has lost the Python stacks of a thread.

memray learns about stacks from a profile function in every thread. When the program sets another
one (``sys.setprofile``, or a profiler in C), memray forgets the stack of that thread, and what the
thread allocates from then on has none, also when the program puts back what it found.

A thread that has lost its stack had one before, or memray knows its name, as it does for threads
that ``threading`` starts. Others, such as those of a library in C, have no stacks from the
beginning.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from ..capture import import_memray
from ..marks import NO_ALLOCATION
from ..request import BlockRequest
from .accounting import Account

if TYPE_CHECKING:
    from memray import AllocationRecord

_BORDERS_OF_THREAD_BYTES: Final = 4096
"""What a thread of Python's may allocate without a stack, before it has memray's profile function
and when it has been taken away at its end: below 1000 bytes were seen."""


@dataclass(frozen=True, slots=True)
class BlockStacks:
    """The stacks of a block.

    Attributes:
        mark: the first record of the block's start mark.
        firsts: the first allocation of each stack, by memray's number of the stack.
        lost: whether memray has no stacks for memory that Python code allocated.
    """

    mark: AllocationRecord
    firsts: dict[int, AllocationRecord]
    lost: bool


def lost_stacks(path: str, request: BlockRequest, account: Account) -> bool:
    """Whether memray has lost stacks of a block, in the capture at ``path``."""
    memray = import_memray()
    with contextlib.closing(memray.FileReader(path)) as reader:
        return read_stacks(
            iter(reader.get_allocation_records()),
            account.start_index,
            account.end_index,
            thread_only=request.thread_only,
        ).lost


def read_stacks(
    records: Iterator[AllocationRecord], start_index: int, end_index: int, *, thread_only: bool
) -> BlockStacks:
    """Return the stacks of a block.

    Args:
        records: of its capture, from the first one.
        start_index, end_index: the first record of its start mark, and of its end mark.
        thread_only: whether only the thread that opened the block counts.
    """
    had_stacks = {record.tid for record in islice(records, start_index) if record.stack_id}
    mark = next(records)
    had_stacks.add(mark.tid)
    firsts: dict[int, AllocationRecord] = {}
    lost: Counter[int] = Counter()
    for record in islice(records, end_index - start_index - 1):
        if record.allocator in NO_ALLOCATION:
            continue
        firsts.setdefault(record.stack_id, record)
        if record.stack_id:
            had_stacks.add(record.tid)
        elif record.tid in had_stacks or record.thread_name:
            lost[record.tid] += record.size
    own = lost.pop(mark.tid, None) is not None
    others = not thread_only and any(size > _BORDERS_OF_THREAD_BYTES for size in lost.values())
    return BlockStacks(mark, firsts, own or others)
