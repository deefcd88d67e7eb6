"""Memory budgets for ``manage.py test``.

    TEST_RUNNER = "unittest_membudget.django.MemoryRunner"

Measures every test and prints a memory report. With ``--parallel``, the worker processes pass their
results to the reporting process.
"""

from __future__ import annotations

import argparse
from typing import Any

from django.test.runner import (
    DiscoverRunner,
    ParallelTestSuite,
    RemoteTestResult,
    RemoteTestRunner,
)
from membudget import InvalidOptionError
from membudget.runs import find_settings, options_of, own_allocators_seen

from .options import add_options
from .runner import MemoryResultMixin, MemoryTestRunner


class MemoryRemoteTestResult(MemoryResultMixin, RemoteTestResult):  # type: ignore[misc]
    """The result of a worker process."""


class MemoryRemoteTestRunner(RemoteTestRunner):  # type: ignore[misc]
    """Runs tests in a worker process."""

    resultclass = MemoryRemoteTestResult

    def run(self, test: Any) -> Any:
        """Run tests, and pass the results to the reporting process."""
        result = super().run(test)
        result.memory_run.end()
        return result


class MemoryParallelTestSuite(ParallelTestSuite):  # type: ignore[misc]
    """Runs tests in worker processes."""

    runner_class = MemoryRemoteTestRunner

    def run(self, result: Any) -> Any:
        """Run the tests, and collect the results of the workers."""
        with result.memory_run.collecting():
            return super().run(result)


class MemoryRunner(DiscoverRunner):  # type: ignore[misc]
    """Django's ``DiscoverRunner`` that measures every test and prints a memory report.

    ``manage.py test`` then accepts membudget's options; ``[tool.membudget]`` in ``pyproject.toml``
    and environment variables set them as well.
    """

    parallel_test_suite = MemoryParallelTestSuite

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = {option.name: kwargs.pop(option.name, None) for option in options_of("unittest")}
        super().__init__(*args, **kwargs)
        try:
            self._settings = find_settings("unittest", given)
        except InvalidOptionError as error:
            # The same as argparse does for a wrong option.
            raise SystemExit(f"manage.py test: error: {error}") from error

    def run_tests(self, *args: Any, **kwargs: Any) -> int:
        """Find and run the tests; they may import libraries with their own allocators."""
        with own_allocators_seen(self._settings):
            return int(super().run_tests(*args, **kwargs))

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options to those of ``manage.py test``."""
        super().add_arguments(parser)
        add_options(parser)

    def test_runner(self, **kwargs: Any) -> MemoryTestRunner:
        """Make the runner of the tests."""
        runner = MemoryTestRunner(**kwargs)
        runner.settings = self._settings
        return runner
