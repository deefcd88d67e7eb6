"""The phases of a ``unittest.TestCase``, whichever framework runs it."""

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
    """Let the setup and the teardown of a test be phases of a block, while this lasts.

    Its setup is what unittest runs before the test method, its teardown what it runs after it:
    ``setUp`` and ``asyncSetUp``, ``tearDown``, ``asyncTearDown`` and the cleanups.

    Args:
        phased: the block.
        test: the test, before anything of it ran.
        set_up: sets it up; what unittest calls if None.
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
    test.addCleanup(end)  # the first to be added is the last to be called
    try:
        yield
    finally:
        for name in (_SET_UP, _TEAR_DOWN):
            if name in before:
                setattr(test, name, before[name])
            else:
                delattr(test, name)
