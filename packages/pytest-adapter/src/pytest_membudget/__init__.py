"""Memory budgets for pytest: ``pytest --memray`` and ``@pytest.mark.limit_memory("24 MB")``.

* :mod:`plugin` - the plugin that pytest loads: options, and whether measuring is on;
* :mod:`markers` - the markers, and which of those at a test is closest;
* :mod:`item_rules` - turns the markers of a test into its rules;
* :mod:`marker_check` - reports all bad markers at once;
* :mod:`measuring` - puts a block around each test;
* :mod:`open_calls` - test functions whose work continues after they have returned;
* :mod:`kept_by_pytest` - keeps pytest's log records and output out of a test's leaks;
* :mod:`warm_up` - runs a test before it is measured, for stable figures;
* :mod:`report_data` - the memory data that pytest's reports take to the reporting process;
* :mod:`reports` - adds memory data and failure texts to pytest's reports;
* :mod:`reporting` - prints the report at the end, and writes its JSON file;
* :mod:`suggesting` - suggests limits, and writes them;
* :mod:`verdicts` - fails a test that swallowed the failure of a block, in every run;
* :mod:`not_enforced` - notices about limits and settings that have no effect in this run;
* :mod:`_private` - the only module that uses private names of pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Make ``-p pytest_membudget`` load the plugin as well; its own name is ``membudget``."""
    pluginmanager.import_plugin("membudget", consider_entry_points=True)
