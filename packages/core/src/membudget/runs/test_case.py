"""The phases of a ``unittest.TestCase``, for every framework that runs it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from .phases import PhasedBlock

# Not public in unittest. Python 3.11 to 3.13 have them.
_SET_UP: Final = "_callSetUp"
_TEAR_DOWN: Final = "_callTearDown"


@contextlib.contextmanager
def phases_of_test_case(
    phased: PhasedBlock, test: Any, set_up: Callable[[], object] | None = None
) -> Iterator[None]:
    """While this lasts, run the setup and the teardown of a test as phases of a block.

    The setup is ``setUp`` and ``asyncSetUp``; the teardown is ``tearDown``, ``asyncTearDown`` and
    the cleanups.

    Args:
        phased: the block.
        test: the test, before any part of it has run.
        set_up: sets up the test; None for the method that unittest calls.
    """
    do_set_up, tear_down = set_up or getattr(test, _SET_UP), getattr(test, _TEAR_DOWN)
    teardown = contextlib.ExitStack()

    def set_up_in_phase() -> None:
        with phased.phase("setup"):
            do_set_up()

    def tear_down_in_phase() -> None:
        teardown.enter_context(phased.phase("teardown"))
        tear_down()

    def end() -> None:
        teardown.close()
        if phased.is_open:  # there is no tearDown after a setUp that failed
            with phased.phase("teardown"):
                pass
        phased.abandon()

    before = dict(vars(test))
    vars(test).update({_SET_UP: set_up_in_phase, _TEAR_DOWN: tear_down_in_phase})
    test.addCleanup(end)  # cleanups run in reverse order: this one last
    try:
        yield
    finally:
        for name in (_SET_UP, _TEAR_DOWN):
            if name in before:
                setattr(test, name, before[name])
            else:
                delattr(test, name)
