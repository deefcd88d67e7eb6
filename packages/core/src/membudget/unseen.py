"""Memory that memray does not see: finds signs of it around a block, and reports them.

There are two signs: a library used its own allocator in the block (see
``recording/own_allocators.py``), or the process grew by far more than the figures explain.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from warnings import warn

from .availability import why_not_measured
from .budget import Budget
from .errors import BlindBudgetError, BlindBudgetWarning
from .host.origins import levels_to_the_user
from .measurement import Measurement, Unseen
from .noted_verdicts import add_note, let_win
from .recording import own_allocators
from .recording.process_memory import ProcessMemory, most_memory, process_memory
from .report.failure_text import unseen_words
from .settings import Settings
from .settings_sources import from_environment
from .verdict import is_blind

UNEXPLAINED_BYTES: Final = 32 * 1024 * 1024
"""The growth of a process is a sign if more than this, and more than half of it, is in no figure.
docs/own-allocators.md says why."""

_settings_of_runs: Final[list[Settings]] = []


@contextlib.contextmanager
def own_allocators_seen(settings: Settings) -> Iterator[None]:
    """Make own allocators visible for a run of tests, if the settings say so.

    Enter it as early as possible: most libraries choose their allocator when they are loaded.
    """
    with contextlib.ExitStack() as stack:
        if why_not_measured() is not None:
            yield
            return
        if settings.memray_own_allocators == "visible":
            stack.enter_context(own_allocators.visible_from_the_start())
        _settings_of_runs.append(settings)
        stack.callback(_settings_of_runs.remove, settings)
        yield


def _value_of(option: str) -> str:
    """Return the value in the settings of the run of tests; without a run, in the environment."""
    if _settings_of_runs:
        return str(getattr(_settings_of_runs[-1], option))
    return _value_in_environment(option)


@functools.cache
def _value_in_environment(option: str) -> str:
    return str(from_environment(option))


class UnseenMemory:
    """Looks for signs of memory that a block does not count, from :meth:`begin` to :meth:`end`.

    Args:
        budget: of the block.
        is_test: whether it is the block of a test, which is watched even without a limit.
    """

    __slots__ = (
        *("_before", "_found", "_grown_bytes", "_is_on", "_switched", "_taken"),
        *("_closely", "_watches"),
    )

    def __init__(self, budget: Budget, *, is_test: bool) -> None:
        scope = budget.scope
        # If the figures leave memory out, the process grows by more than they explain.
        leaves_out = scope.current_thread_only or scope.filters_stacks
        self._watches = (is_test or budget.limits_memory) and not leaves_out
        self._closely = False
        self._is_on = False
        self._switched = False
        self._forget()

    def _forget(self) -> None:
        self._taken: dict[str, int] = {}
        self._found: dict[str, int | None] = {}
        self._before: ProcessMemory | None = None
        self._grown_bytes = 0

    def begin(self, *, closely: bool) -> None:
        """Begin, just before the block.

        Args:
            closely: whether to measure the growth of the process closely, which takes about 20
                microseconds; reading its largest size takes three.
        """
        self._forget()
        self._closely = closely
        if own_allocators.arrow_is_loaded() and _value_of("memray_own_allocators") == "visible":
            self._switched = True
            own_allocators.switch_arrow()
        self._is_on = True
        self._look()

    def end(self) -> None:
        """End, just after the block. Can be called again."""
        if self._is_on:
            self._is_on = False
            self._compare()
        if self._switched:
            self._switched = False
            own_allocators.switch_arrow_back()

    def suspend(self) -> None:
        """Ignore the growth: the block leaves out a stretch, so the figures cannot explain it.

        The counts of libraries still include the stretch: they are upper bounds.
        """
        self._before = None

    def _look(self) -> None:
        for allocator in own_allocators.loaded():
            taken = own_allocators.taken_bytes(allocator)
            if taken is not None:
                self._taken[allocator.module] = taken
        if self._watches:
            self._before = process_memory() if self._closely else most_memory()

    def _compare(self) -> None:
        if self._before is not None and (self._closely or most_memory() != self._before):
            after = process_memory()
            if after is not None:
                self._grown_bytes = self._before.growth_until(after)
        for allocator in own_allocators.loaded():
            taken = own_allocators.taken_bytes(allocator)
            if taken is not None:
                grown = taken - self._taken.get(allocator.module, 0)
                if grown:
                    self._found[allocator.module] = grown
            elif not own_allocators.is_visible(allocator):
                self._found[allocator.module] = None

    def added_to(self, measurement: Measurement) -> Measurement:
        """Return the measurement of the block with the signs that were found."""
        explained = measurement.peak_bytes + sum(size or 0 for size in self._found.values())
        unexplained = self._grown_bytes - explained
        found = [Unseen(library, size) for library, size in self._found.items()]
        if unexplained > max(UNEXPLAINED_BYTES, explained):
            found.append(Unseen("", unexplained))
        return replace(measurement, unseen=tuple(found)) if found else measurement


def tell_blindness(
    subject: str, measurement: Measurement, budget: Budget, raised: BaseException | None
) -> None:
    """Report limits that were kept only as far as memray can see.

    Raises:
        BlindBudgetError: with ``memray_blind = error``. If the body has raised an exception, the
            message is a note on that instead.
    """
    __tracebackhide__ = True
    if not is_blind(measurement, budget):
        return
    text = (
        f"{subject} kept its limits as far as memray can see, but {unseen_words(measurement)}. "
        f"{_advice(measurement)}"
    )
    if _value_of("memray_blind") == "error":
        error = BlindBudgetError(text)
        if raised is None:
            raise error
        let_win(raised, error)
    elif raised is not None:
        add_note(raised, text)
    else:
        warn(text, BlindBudgetWarning, stacklevel=levels_to_the_user())


def _advice(measurement: Measurement) -> str:
    libraries = {unseen.library for unseen in measurement.unseen}
    known = [one for one in own_allocators.ALLOCATORS if one.module in libraries]
    advice = "; ".join(dict.fromkeys(one.advice for one in known))
    advice = advice[:1].upper() + advice[1:] + ". " if advice else ""
    return f"{advice}See own-allocators.md in the documentation"
