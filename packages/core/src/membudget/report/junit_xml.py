"""A run as JUnit XML, for CI servers."""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree

from ..verdict import Result
from .failure_text import exceeded_line, exceeded_section
from .junit_properties import junit_properties
from .overview import Overview, failed_otherwise, is_over
from .printable import printable

_ENDS: Final = {"failed": "failure", "error": "error", "skipped": "skipped"}


def junit_xml(overview: Overview) -> str:
    """Return a run as JUnit XML: a test that is over a limit is a failure."""
    environment = overview.run.environment
    ends = [_end(one) for one in overview.run.results]
    suite = ElementTree.Element(
        "testsuite",
        name="membudget",
        tests=str(len(ends)),
        failures=str(ends.count("failure")),
        errors=str(ends.count("error")),
        skipped=str(ends.count("skipped")),
        time=str(environment.duration_seconds),
        timestamp=environment.started_at,
    )
    known = {
        name: getattr(environment, name)
        for name in ("python", "platform", "machine", "memray", "membudget", "commit", "branch")
    }
    _add_properties(suite, {name: value for name, value in known.items() if value})
    for result, end in zip(overview.run.results, ends, strict=True):
        _add_case(suite, result, end)
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(suites, "unicode")}\n'


def _end(result: Result) -> str:
    """Return the name of the element that says how a test ended; empty for one that passed."""
    return "failure" if is_over(result) else _ENDS.get(result.outcome, "")


def _add_case(suite: ElementTree.Element, result: Result, end: str) -> None:
    group, name = _class_and_name(result.name)
    case = ElementTree.SubElement(suite, "testcase", classname=group, name=name)
    if result.file:
        case.set("file", printable(result.file))
        case.set("line", str(result.line))
    _add_properties(case, junit_properties(result.measurement, result.verdict))
    if not end:
        return
    what = ElementTree.SubElement(case, end)
    if is_over(result):
        what.set("message", exceeded_line("Test", result.verdict))
        what.text = exceeded_section("Test", result.measurement, result.verdict)
    elif failed_otherwise(result):
        what.set("message", "The test failed for another reason than its memory limits")


def _add_properties(
    element: ElementTree.Element, properties: dict[str, int | str] | dict[str, str]
) -> None:
    if properties:
        parent = ElementTree.SubElement(element, "properties")
        for name, value in properties.items():
            ElementTree.SubElement(parent, "property", name=name, value=printable(str(value)))


def _class_and_name(test: str) -> tuple[str, str]:
    """Return what JUnit calls the class and the name of a test, as pytest's own XML has them."""
    path, bracket, parameters = printable(test).partition("[")
    if "::" in path:
        *outer, name = path.split("::")
        outer[0] = outer[0].removesuffix(".py").replace("/", ".")
        group = ".".join(outer)
    else:
        group, _, name = path.rpartition(".")
    return group, name + bracket + parameters
