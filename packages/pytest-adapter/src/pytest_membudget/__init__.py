"""Memory budgets for pytest: ``pytest --memray`` and ``@pytest.mark.limit_memory("24 MB")``.

* :mod:`plugin` - what pytest loads: the options, and whether measuring is on;
* :mod:`budgets` - markers in, budgets out; every bad marker is reported at once;
* :mod:`measuring` - a block around each test, the verdict in its report, the report at the end.
"""
