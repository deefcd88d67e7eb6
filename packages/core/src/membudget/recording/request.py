"""What readers of a capture are asked: which block, how, and what may wait."""

from __future__ import annotations

from dataclasses import dataclass

from ..budget import Budget
from ..measurement import Allocation
from ..stack_filter import StackFilter


@dataclass(frozen=True, slots=True)
class BlockQuery:
    """Which block to read, and how.

    Attributes:
        serial: the number in the block's marks.
        budget: says whose memory counts, and when the allocations at the peak are wanted: when
            the budget is exceeded.
        always_allocations: the allocations at the peak are wanted in any case.
        stacks_begin_inside: stack traces begin below the frame that opened the block, not with it.
        keep_as: the path at which to keep a capture of the block; empty for not to.
        n_outer: how many frames that capture leaves out of its stack traces, around the block.
        outer_files: see ``membudget.Block``.
        stack_filter: says which stacks count; None where all of them do.
    """

    serial: int
    budget: Budget
    always_allocations: bool = False
    stacks_begin_inside: bool = False
    keep_as: str = ""
    n_outer: int = 0
    outer_files: tuple[str, ...] = ()
    stack_filter: StackFilter | None = None


@dataclass(eq=False, slots=True, weakref_slot=True)
class LateAllocations:
    """The allocations at the peak of a block, read when its segment ends, if anybody wants them.

    To hold it is to want them: those that nobody holds any more are not read.

    Attributes:
        query: the block.
        allocations: None until they are read.
        problem: why they could not be read.
        lost_stacks: whether memray has lost the stacks of some of them.
    """

    query: BlockQuery
    allocations: tuple[Allocation, ...] | None = None
    problem: str = ""
    lost_stacks: bool = False


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """What a recording traces besides allocations and their Python stacks.

    Attributes:
        native_traces: the native stacks of allocations as well; changes no figure.
        trace_python_allocators: every object that Python's own allocators hand out, instead of the
            arenas that they take from the system.
        track_objects: which objects are made and destroyed as well; changes no figure.
    """

    native_traces: bool = False
    trace_python_allocators: bool = False
    track_objects: bool = False
