"""Fails tests that swallowed the failure of a block, in every run, also without ``--memray``."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from membudget.runs import delivering_verdicts


class VerdictsPlugin:
    """Fails a test that swallowed the failure of an exceeded block: see ``delivering_verdicts``.

    The limit of the test itself needs ``--memray``: see ``measuring`` and ``reports``.
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
