"""Memory budgets for pytest: ``pytest --memray`` and ``@pytest.mark.limit_memory("24 MB")``.

* :mod:`plugin` - what pytest loads: the options, and whether measuring is on;
* :mod:`markers` - markers in, rules of a test out; every bad marker is reported at once;
* :mod:`measuring` - a block around each test;
* :mod:`open_calls` - test functions that others run on, when they have returned;
* :mod:`kept_by_pytest` - log records and output, which are not a test's leaks;
* :mod:`warm_up` - a run before the measured one, for stable figures;
* :mod:`reports` - what pytest's reports carry and say about memory;
* :mod:`reporting` - the report at the end, and its JSON file;
* :mod:`suggesting` - limits that a run suggests, and writes;
* :mod:`verdicts` - verdicts of blocks in a test arrive, in every run;
* :mod:`not_enforced` - notices about limits and settings that do nothing in this run;
* :mod:`_private` - what is used of pytest that is not public.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Load the plugin for ``-p pytest_membudget`` as well; its own name is ``membudget``."""
    pluginmanager.import_plugin("membudget", consider_entry_points=True)
