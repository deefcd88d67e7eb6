"""Memory budgets for unittest.

``@limit_memory("24 MB")`` from membudget goes on test methods and, with this package installed, on
``TestCase`` classes; :class:`MemoryTestCase` says the same with a class attribute and has
``assertMemoryLimit``. They work with every runner. ``python -m unittest_membudget`` and
:class:`MemoryTestRunner` measure every test besides, and print a memory report.

* :mod:`measuring` - puts a block around the test method of one test;
* :mod:`case` - ``MemoryTestCase``;
* :mod:`class_budget` - ``@limit_memory`` above a class: the hook that membudget calls;
* :mod:`runner` - the runner and its result;
* :mod:`__main__` - the command line.
"""

from .case import MemoryTestCase, MemoryTestMixin
from .runner import MemoryTestResult, MemoryTestRunner

__all__ = ["MemoryTestCase", "MemoryTestMixin", "MemoryTestResult", "MemoryTestRunner"]
