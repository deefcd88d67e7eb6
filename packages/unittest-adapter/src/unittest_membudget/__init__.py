"""Memory budgets for unittest.

``@limit_memory("24 MB")`` from membudget goes on test methods and, with this package installed, on
``TestCase`` classes; :class:`MemoryTestCase` says the same with a class attribute and has
``assertMemoryLimit``. They work with every runner. ``python -m unittest_membudget`` and
:class:`MemoryTestRunner` measure every test besides, and print a memory report.

* :mod:`measuring` - puts a block around the test method of one test;
* :mod:`rules` - the rules of a test, and decorators that waive a limit or keep a test unmeasured;
* :mod:`case` - ``MemoryTestCase``;
* :mod:`hooks` - what membudget calls, for ``@limit_memory`` above a class and for pytest;
* :mod:`memory_run` - the measuring of a run of tests, and its report;
* :mod:`runner` - the runner and its result;
* :mod:`__main__`, :mod:`options` - the command line;
* :mod:`collect` - a command that runs another one, and reports what its processes measured;
* :mod:`django` - the same for ``manage.py test``; imports Django.
"""

from .case import MemoryTestCase, MemoryTestMixin
from .rules import no_memory_limit, no_memray
from .runner import MemoryResultMixin, MemoryRunnerMixin, MemoryTestResult, MemoryTestRunner

__all__ = [
    "MemoryResultMixin",
    "MemoryRunnerMixin",
    "MemoryTestCase",
    "MemoryTestMixin",
    "MemoryTestResult",
    "MemoryTestRunner",
    "no_memory_limit",
    "no_memray",
]
