"""Memory budgets for pytest: ``pytest --memray`` and ``@pytest.mark.limit_memory("24 MB")``.

* :mod:`plugin` - what pytest loads: the options, and whether measuring is on;
* :mod:`budgets` - markers in, budgets out; every bad marker is reported at once;
* :mod:`measuring` - a block around each test;
* :mod:`warming_up` - a run before the measured one, for stable figures;
* :mod:`reports` - what pytest's reports say of memory, the report at the end, and files.
"""
