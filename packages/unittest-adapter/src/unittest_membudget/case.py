"""``MemoryTestCase``: a ``TestCase`` with a memory limit and an assertion about memory."""

from __future__ import annotations

import unittest
from typing import Any

from membudget import limit_memory

from .measuring import LIMIT_ATTRIBUTE, measured, written_budget


class MemoryTestMixin:
    """What :class:`MemoryTestCase` adds, for people who have a base class of their own.

    Write it before the base class: ``class LoadTest(MemoryTestMixin, MyTestCase)``.
    """

    memory_limit: str | int | None = None
    """The largest peak memory of each test method of the class, such as ``"24 MB"`` or an ``int``
    of bytes; None for no limit. ``setUp`` and ``tearDown`` do not count, and a limit on the method
    itself comes first."""

    _membudget_runs_measured = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        bases = cls.__mro__
        if unittest.TestCase in bases and (
            bases.index(unittest.TestCase) < bases.index(MemoryTestMixin)
        ):
            raise TypeError(
                f"class {cls.__qualname__}: write MemoryTestMixin before its other base classes, "
                f"or TestCase.run() never reaches it and no limit counts"
            )
        # A mistake shows when the class is made, not when its tests run.
        written_budget(cls, vars(cls).get(LIMIT_ATTRIBUTE))

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run the test as ``TestCase.run`` does, its method in a block."""
        assert isinstance(self, unittest.TestCase)
        with measured(self):
            return super().run(result)  # type: ignore[misc, no-any-return]

    def assertMemoryLimit(  # noqa: N802 - unittest's own style
        self, limit: str | int, *, current_thread_only: bool = False
    ) -> limit_memory:
        """Return a context manager that fails the test when its block exceeds ``limit``.

        Args:
            limit: the largest peak allowed, such as ``"10 MB"``.
            current_thread_only: count only what this thread allocates.

        Raises:
            InvalidSizeError: at once, for a limit that is no size.
            MemoryLimitExceeded: when the block ends; an ``AssertionError``.

        Example:
            >>> case = MemoryTestCase()
            >>> with case.assertMemoryLimit("1 MB") as memory:
            ...     data = bytearray(100_000)
            >>> memory.peak_bytes >= 100_000
            True
        """
        return limit_memory(limit, current_thread_only=current_thread_only)


class MemoryTestCase(MemoryTestMixin, unittest.TestCase):
    """A ``TestCase`` with a memory limit and an assertion about memory.

    Example:
        >>> class LoadTest(MemoryTestCase):
        ...     memory_limit = "24 MB"
        ...     def test_load(self):
        ...         with self.assertMemoryLimit("10 MB") as memory:
        ...             data = bytearray(1000)
        ...         self.assertLess(memory.retained_bytes, 5000)
    """
