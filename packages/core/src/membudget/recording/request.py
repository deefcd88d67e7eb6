"""What is asked of the engine: which block to record, and what of it counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from ..measurement import Allocation, Frame


class CountsStacks(Protocol):
    """Says which stacks count; see :class:`membudget.stack_filter.StackFilter`."""

    def keeps(self, stacks: Iterable[tuple[Frame, ...]]) -> list[bool]:
        """Say of each stack whether it counts; to be called within ``real_functions()``."""


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """A block to record.

    Attributes:
        serial: the number in the block's marks.
        thread_only: count only what the thread that opens the block allocates.
        stacks_begin_inside: stack traces begin below the frame that opened the block, not with it.
        outer_files: paths of files and directories; their frames are left out where a stack trace
            begins, because they only lead to what is measured.
        stack_filter: says which stacks count; None where all of them do.
        wants_stacks: whether anybody may ask for its stacks, and not just for its figures.
    """

    serial: int
    thread_only: bool = False
    stacks_begin_inside: bool = False
    outer_files: tuple[str, ...] = ()
    stack_filter: CountsStacks | None = None
    wants_stacks: bool = True


@dataclass(eq=False, slots=True)
class LateStacks:
    """The allocations at the peak of a block, which are read when its segment ends.

    Attributes:
        request: the block.
        wanted: whether to read them: until somebody knows that nobody shows the block.
        allocations: None until they are read.
        problem: why they could not be read; empty where they could.
        lost_stacks: whether memray has lost the stacks of some of them.
    """

    request: BlockRequest
    wanted: bool = True
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
