"""Requests to the engine: which block to record, and what counts in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from ..measurement import Allocation, Curve, Frame


class CountsStacks(Protocol):
    """Decides which stacks count; see :class:`membudget.stack_filter.StackFilter`."""

    def keeps(self, stacks: Iterable[tuple[Frame, ...]]) -> list[bool]:
        """Return for each stack whether it counts. Called within ``real_functions()``."""


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """A block to record.

    Attributes:
        serial: the number in the block's marks.
        thread_only: count only what the thread that opens the block allocates.
        stacks_begin_inside: stack traces begin below the frame that opened the block, not with it.
        outer_files: paths of files and directories; their frames are left out at the beginning of a
            stack trace, because they only lead to the measured code.
        stack_filter: decides which stacks count; None if all of them do.
        wants_stacks: whether its stacks may be needed, and not only its figures.
        keeps_capture: whether a capture of it may be kept.
    """

    serial: int
    thread_only: bool = False
    stacks_begin_inside: bool = False
    outer_files: tuple[str, ...] = ()
    stack_filter: CountsStacks | None = None
    wants_stacks: bool = True
    keeps_capture: bool = False


@dataclass(eq=False, slots=True)
class LateStacks:
    """The allocations at the peak of a block, which are read when its segment ends.

    Attributes:
        request: the block.
        wanted: whether to read them; set to false once it is known that no report shows the block.
        allocations: None until they are read.
        problem: why they could not be read; empty if they could.
        lost_stacks: whether memray has lost the stacks of some of them.
        curve: how much was alive over time; None if it is not known.
    """

    request: BlockRequest
    wanted: bool = True
    allocations: tuple[Allocation, ...] | None = None
    problem: str = ""
    lost_stacks: bool = False
    curve: Curve | None = None


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """What a recording traces in addition to allocations and their Python stacks.

    Attributes:
        native_traces: native stacks of allocations; changes no figure.
        trace_python_allocators: every object from Python's own allocators, instead of the arenas
            that they request from the system.
        track_objects: which objects are made and destroyed; changes no figure.
    """

    native_traces: bool = False
    trace_python_allocators: bool = False
    track_objects: bool = False
