"""A run as text: all tests in a table, those over their limits with their stacks, what changed."""

from __future__ import annotations

from .comparison_text import comparison_lines
from .failure_text import exceeded_section
from .overview import Overview
from .printable import printable
from .table_of_tests import table_of_tests


def text_page(overview: Overview) -> str:
    """Return a run as text."""
    lines = [overview.headline, ""]
    lines += [line.text for line in table_of_tests(overview.tests)]
    for result in overview.over:
        section = exceeded_section("Test", result.measurement, result.verdict)
        lines += ["", printable(result.name), section]
    if overview.baseline is not None:
        compared = overview.compared, overview.tolerance, overview.differences
        lines += ["", *(line.text for line in comparison_lines(*compared))]
    return "\n".join(lines) + "\n"
