"""The tests with the largest peaks. Run: python largest_tests.py memory.json"""

from __future__ import annotations

import sys

from membudget import format_size
from membudget.results import read_run

run = read_run(sys.argv[1])
print(f"Python {run.environment.python}, memray {run.environment.memray}")
by_peak = sorted(run.results, key=lambda result: result.measurement.peak_bytes, reverse=True)
for result in by_peak[:3]:
    print(result.name, format_size(result.measurement.peak_bytes))
