"""Verdicts of blocks inside of tests, which arrive in every run, also without ``--memray``."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from membudget.runs import delivering_verdicts


class VerdictsPlugin:
    """Fails a test in which an exceeded block was passed over: see ``delivering_verdicts``.

    The verdict on the test itself, which needs ``--memray``, is in ``measuring`` and ``reports``.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, object, object]:
        __tracebackhide__ = True
        with delivering_verdicts():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        __tracebackhide__ = True
        with delivering_verdicts():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        __tracebackhide__ = True
        with delivering_verdicts():
            return (yield)
