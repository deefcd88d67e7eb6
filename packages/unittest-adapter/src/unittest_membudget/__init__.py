"""Memory budgets for unittest.

``@limit_memory("24 MB")`` from membudget goes on test methods and, with this package installed, on
``TestCase`` classes; :class:`MemoryTestCase` has a class attribute for the same limit, and
``assertMemoryLimit``. They work with every runner. ``python -m unittest_membudget`` and
:class:`MemoryTestRunner` also measure every test, and print a memory report.

* :mod:`measuring` - puts a block around the test method of one test;
* :mod:`rules` - the rules of a test, and decorators that waive a limit or keep a test unmeasured;
* :mod:`case` - ``MemoryTestCase``;
* :mod:`hooks` - the hooks that membudget calls, for ``@limit_memory`` on a class and for pytest;
* :mod:`memory_run` - measures a run of tests, and reports it;
* :mod:`runner` - the runner and its result;
* :mod:`__main__`, :mod:`options` - the command line;
* :mod:`collect` - a command that runs another command, and reports the results of its processes;
* :mod:`django` - the same for ``manage.py test``; imports Django.
"""

from typing import TYPE_CHECKING

from membudget.runs import late_names

if TYPE_CHECKING:
    from .case import MemoryTestCase, MemoryTestMixin
    from .rules import no_memory_limit, no_memray
    from .runner import MemoryResultMixin, MemoryRunnerMixin, MemoryTestResult, MemoryTestRunner
else:
    # pytest with --memray imports this package for its hooks only.
    __getattr__ = late_names(
        globals(),
        {
            ".case": "MemoryTestCase MemoryTestMixin",
            ".rules": "no_memory_limit no_memray",
            ".runner": "MemoryResultMixin MemoryRunnerMixin MemoryTestResult MemoryTestRunner",
        },
    )

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


def __dir__() -> list[str]:
    return __all__
