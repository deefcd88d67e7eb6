"""A hook for a whole suite: memory of the tracing agent counts in no test."""

from __future__ import annotations

from membudget import Stack, hookimpl


@hookimpl
def membudget_keep_allocation(stack: Stack) -> bool:
    return not any("tracing_agent" in frame.filename for frame in stack.frames)
