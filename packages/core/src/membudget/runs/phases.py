"""A block that covers several phases of a test; memory between the phases does not count."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Final

from ..availability import measuring_is_on
from ..block import Block
from ..budget import Budget, Phase
from ..decorating import run_in
from ..errors import MembudgetError, MisuseError
from ..measurement import Measurement
from ..noted_verdicts import delivering_verdicts

# unittest leaves out the frames of modules with this name from tracebacks.
__unittest = True


class PhasedBlock:
    """Runs the phases of a test that its budget includes in one block.

    The block begins with the first of these phases and ends with the last. Each phase is also
    measured on its own.

    Args:
        block: the block; this class enters and leaves it.

    Attributes:
        measured: the measurement of each phase that has ended.

    Example:
        >>> from membudget.runs import memory_budget
        >>> test = PhasedBlock(Block(memory_budget("1 MB", include="setup,call")))
        >>> with test.phase("setup"):
        ...     fixture = bytearray(200_000)
        >>> with test.phase("call"):
        ...     data = bytearray(100_000)
        >>> test.measured["call"].peak_bytes < 200_000
        True
    """

    def __init__(self, block: Block) -> None:
        self.measured: Final[dict[Phase, Measurement]] = {}
        self._block = block
        self._include = block.budget.scope.phases
        self._n_begun = 0
        self._open: list[Block] = []  # the block, and that of the current phase
        self._counts = False
        self._broke_off = False

    def around(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function, ``def`` or ``async def``, whose call is the phase ``call``."""
        return run_in(lambda: (self.phase("call"),), func)

    def phase(
        self, phase: Phase, *, counts: bool = True
    ) -> contextlib.AbstractContextManager[None]:
        """Return a context manager for a phase; it does nothing if the phase is not included.

        Args:
            phase: the phase.
            counts: whether allocations count, until :meth:`counting` changes that.

        Raises:
            MisuseError: an earlier phase that is included was skipped.
            MemoryLimitExceeded: after the last phase, see :class:`Block`.
        """
        is_included = phase in self._include and measuring_is_on()
        return _InPhase(self, phase, counts) if is_included else contextlib.nullcontext()

    @contextlib.contextmanager
    def counting(self, counts: bool) -> Iterator[None]:
        """While this lasts, let allocations in an included phase count, or not."""
        before = self._counts
        self._count(counts)
        try:
            yield
        finally:
            self._count(before)

    def _count(self, counts: bool) -> None:
        if counts != self._counts:
            self._counts = counts
            for block in self._open:
                if counts:
                    block.go_on()
                else:
                    block.suspend()

    def begin(self, phase: Phase, counts: bool) -> None:
        """Begin an included phase; see :meth:`phase`."""
        left = self._include[self._n_begun :]
        # After a phase that ended early, the next ones may be skipped.
        if phase not in left or not (phase == left[0] or self._broke_off):
            raise MisuseError(
                f"the budget of this test includes its {', '.join(self._include)}, but its {phase} "
                f"ran in an unusual way, so they cannot be measured: limit only the call"
            )
        self._n_begun = self._include.index(phase) + 1
        if not self._open:
            self._open_suspended(self._block)
        scope = replace(self._block.budget.scope, include=(), stable=None)
        self._open_suspended(Block(Budget((), scope)))
        self._count(counts)

    def _open_suspended(self, block: Block) -> None:
        # Only allocations inside counting(True) count.
        block.__enter__()
        block.suspend()
        self._open.append(block)

    def end(self, phase: Phase, raised: BaseException | None) -> None:
        """End a phase, with the exception that it raised."""
        __tracebackhide__ = True
        self._count(False)
        self._broke_off |= raised is not None
        try:
            if len(self._open) == 2:
                own = self._open.pop()
                own.__exit__(*_information(raised))
                if own.measurement is not None:
                    self.measured[phase] = own.measurement
        finally:
            if phase == self._include[-1]:
                self._finish(raised)

    def abandon(self) -> None:
        """End the block, if it is open because its last phase was never reached; raises nothing."""
        if self._open:
            # The test fails for another reason, and on_measured gets the verdict.
            with contextlib.suppress(MembudgetError), delivering_verdicts():
                self._finish(MisuseError("this test did not reach its last phase"))

    def _finish(self, raised: BaseException | None) -> None:
        __tracebackhide__ = True
        self._open.clear()
        self._block.__exit__(*_information(raised))

    @property
    def is_open(self) -> bool:
        """Whether the block has begun and not ended."""
        return bool(self._open)


class _InPhase(contextlib.AbstractContextManager[None]):
    """The context manager of a phase."""

    def __init__(self, block: PhasedBlock, phase: Phase, counts: bool) -> None:
        self._block = block
        self._phase: Phase = phase
        self._counts = counts

    def __enter__(self) -> None:
        self._block.begin(self._phase, self._counts)

    def __exit__(self, _: object, raised: BaseException | None, __: object, /) -> None:
        __tracebackhide__ = True
        self._block.end(self._phase, raised)


def _information(
    raised: BaseException | None,
) -> tuple[type[BaseException] | None, BaseException | None, TracebackType | None]:
    return (None, None, None) if raised is None else (type(raised), raised, raised.__traceback__)
