"""Notices when memray has lost the Python stacks of a thread.

memray learns about stacks from a profile function in every thread. If the program sets another one
(``sys.setprofile``, or a profiler in C), memray forgets the stack of that thread. Its allocations
have no stack from then on, even if the program restores the profile function.

A thread without a stack has lost it if it had one before, or if memray knows its name, as it does
for threads that ``threading`` starts. Other threads, such as those of a C library, never have a
stack.
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

_THREAD_START_AND_END_BYTES: Final = 4096
"""How much a Python thread may allocate without a stack: before memray's profile function is set,
and after it is removed at the end of the thread. Less than 1000 bytes were observed."""


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
        records: all records of its capture.
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
    others = not thread_only and any(size > _THREAD_START_AND_END_BYTES for size in lost.values())
    return BlockStacks(mark, firsts, own or others)
