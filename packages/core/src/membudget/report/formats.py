"""The forms in which a report can be written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from .bencher_json import bencher_json
from .benchmark_action_json import benchmark_action_json
from .github_annotations import github_annotations
from .junit_xml import junit_xml
from .markdown_page import markdown_page
from .openmetrics_text import openmetrics_text
from .overview import Overview
from .text_page import text_page


def _html(overview: Overview) -> str:
    from .html_page import page_of  # imports jinja2

    return f"{page_of(overview)}\n"


FORMATS: Final[Mapping[str, Callable[[Overview], str]]] = {
    "text": text_page,
    "markdown": markdown_page,
    "html": _html,
    "github": github_annotations,
    "junit": junit_xml,
    "openmetrics": openmetrics_text,
    "bencher": bencher_json,
    "github-action-benchmark": benchmark_action_json,
}
"""The functions that write a run, by the name of the form."""
