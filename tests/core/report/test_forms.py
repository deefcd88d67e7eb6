"""Reports for other tools: each has its own form, and every name of a test is in it as text."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from hostile_names import HOSTILE
from membudget import Allocation, Budget, Frame, LeakLimit, Limit, Result
from membudget.report.formats import FORMATS
from membudget.report.github_annotations import github_annotations
from membudget.report.overview import Overview
from membudget.report.printable import printable
from membudget.results import Environment, RunFile
from membudget.testing import make_measurement, make_result
from membudget.verdict import judge

KB = 1024


def overview_of(*results: Result, environment: Environment | None = None) -> Overview:
    return Overview(RunFile(environment or Environment(), results))


def several(**limits: int) -> Result:
    """A test that used 5,000 bytes in 2 allocations, with limits on several figures."""
    measurement = make_measurement(4000, 1000)
    limited = tuple(Limit(figure, maximum) for figure, maximum in limits.items())  # type: ignore[arg-type]
    return Result("mod.Case.test_it", measurement, judge(measurement, Budget(limited)))


LIMITED = several(peak_bytes=10 * KB, n_allocations=1)


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_can_be_written_as_utf_8(form: str) -> None:
    """Names of tests can have bytes that are no text, and a run can have no tests."""
    results = [make_result(name, make_measurement(9), 5) for name in HOSTILE]
    results = [replace(one, file=one.name) for one in results]
    FORMATS[form](overview_of(*results)).encode()
    FORMATS[form](overview_of()).encode()


def test_junit() -> None:
    """Names are those of pytest's own XML, so that a server shows both for one test."""
    over = make_result("tests/test_a.py::TestB::test_c[x.y::z]", make_measurement(9), 5)
    results = [
        replace(over, file="tests/test_a.py", line=7),
        replace(make_result("mod.Case.test_it", make_measurement(9)), outcome="error"),
        replace(make_result("skipped", make_measurement(9), 5), outcome="skipped"),
        make_result("passed", make_measurement(9)),
    ]
    environment = Environment(python="3.13.1", duration_seconds=1.5)
    suite = ElementTree.fromstring(
        FORMATS["junit"](overview_of(*results, environment=environment))
    )[0]
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1", "time": "1.5"}
    first, second, third, last = suite.iter("testcase")
    assert first.attrib == {
        "classname": "tests.test_a.TestB",
        "name": "test_c[x.y::z]",
        "file": "tests/test_a.py",
        "line": "7",
    }
    assert (second.get("classname"), second.get("name")) == ("mod.Case", "test_it")
    failure = first.find("failure")
    assert failure is not None
    assert failure.get("message") == "Test was limited to 5.0B but allocated 9.0B"
    assert "\t- load:app.py:7 -> 9.0B" in (failure.text or "")
    assert [case.find(end) is not None for case, end in ((second, "error"), (third, "skipped"))]
    assert [one.tag for one in last] == ["properties"]
    assert properties(first) == {
        "memray_peak_bytes": "9",
        "memray_total_bytes": "9",
        "memray_n_allocations": "1",
        "memray_retained_bytes": "9",
        "memray_limit_peak_bytes": "5",
        "memray_verdict": "exceeded",
    }
    assert "memray_verdict" not in properties(last)


def properties(case: ElementTree.Element) -> dict[str, str]:
    return {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}


def test_junit_has_every_name() -> None:
    results = [make_result(name, make_measurement(9), 5) for name in HOSTILE]
    cases = ElementTree.fromstring(FORMATS["junit"](overview_of(*results))).iter("testcase")
    names = [f"tests/test_it.py::{case.get('name')}" for case in cases]
    assert names == [printable(name) for name in HOSTILE]


def test_openmetrics() -> None:
    assert FORMATS["openmetrics"](overview_of(LIMITED)).splitlines() == [
        "# TYPE memray_peak_bytes gauge",
        "# UNIT memray_peak_bytes bytes",
        "# HELP memray_peak_bytes Largest memory of a test at one time.",
        'memray_peak_bytes{test="mod.Case.test_it"} 5000',
        "# TYPE memray_limit_peak_bytes gauge",
        "# UNIT memray_limit_peak_bytes bytes",
        "# HELP memray_limit_peak_bytes Limit of a test on memray_peak_bytes.",
        'memray_limit_peak_bytes{test="mod.Case.test_it"} 10240',
        "# TYPE memray_allocations gauge",
        "# HELP memray_allocations Number of allocations of a test.",
        'memray_allocations{test="mod.Case.test_it"} 2',
        "# TYPE memray_limit_allocations gauge",
        "# HELP memray_limit_allocations Limit of a test on memray_allocations.",
        'memray_limit_allocations{test="mod.Case.test_it"} 1',
        "# TYPE memray_over_limit gauge",
        "# HELP memray_over_limit 1 for a test that is over a limit, 0 for other tests.",
        'memray_over_limit{test="mod.Case.test_it"} 1',
        "# EOF",
    ]


def test_gitlab_reads_every_line_of_openmetrics() -> None:
    """It removes what follows a number sign, and splits the rest as a shell does."""
    text = FORMATS["openmetrics"](
        overview_of(*(make_result(name, make_measurement(9)) for name in HOSTILE))
    )
    found: dict[str, str] = {}
    for line in text.splitlines():
        words = shlex.split(re.sub("#.*", "", line))
        if words:
            name, value = words
            assert name not in found
            found[name] = value
    assert list(found.values()) == ["9"] * len(HOSTILE) + ["0"] * len(HOSTILE)
    for name in HOSTILE:
        label = printable(name).replace("#", r"\x23")
        assert f"memray_peak_bytes{{test={label}}}" in found


def test_bencher() -> None:
    """A name above 1,024 characters would be refused."""
    assert json.loads(FORMATS["bencher"](overview_of(LIMITED))) == {
        "mod.Case.test_it": {"peak-bytes": {"value": 5000}, "n-allocations": {"value": 2}}
    }
    results = [make_result(name, make_measurement(9)) for name in HOSTILE]
    found = json.loads(FORMATS["bencher"](overview_of(*results)))
    assert list(found) == [printable(name)[:1024] for name in HOSTILE]


def test_github_action_benchmark() -> None:
    assert json.loads(FORMATS["github-action-benchmark"](overview_of(LIMITED))) == [
        {"name": "mod.Case.test_it", "unit": "bytes", "value": 5000, "extra": "limit 10.0KiB"},
        {
            "name": "mod.Case.test_it (allocations)",
            "unit": "allocations",
            "value": 2,
            "extra": "limit 1",
        },
    ]


IN_VALUES = (("%3A", ":"), ("%2C", ","))
IN_TEXTS = (("%0D", "\r"), ("%0A", "\n"), ("%25", "%"))


def annotated(*results: Result, root: str = "", **options: Any) -> list[dict[str, str]]:
    """The annotations as GitHub understands them: its own escapes, undone."""
    overview = overview_of(*results, environment=Environment(root=root))
    lines = github_annotations(overview, **{"environment": {}, **options}).split("\n")
    assert lines.pop() == ""
    found = []
    for line in lines:
        match = re.fullmatch(r"::(error|warning) ([^:]*)::(.*)", line)
        assert match is not None, line
        pairs = dict(pair.split("=", 1) for pair in match[2].split(","))
        for escape, character in (*IN_VALUES, *IN_TEXTS):
            pairs = {key: value.replace(escape, character) for key, value in pairs.items()}
        text = match[3]
        for escape, character in IN_TEXTS:
            text = text.replace(escape, character)
        found.append({"kind": match[1], "text": text, **pairs})
    return found


def test_an_annotation_says_what_was_exceeded_and_where() -> None:
    over = make_result("test_load", make_measurement(9000), 5 * KB)
    over = replace(over, file="tests/test_a.py", line=12)
    assert annotated(over) == [
        {
            "kind": "error",
            "file": "tests/test_a.py",
            "line": "12",
            "title": "Memory limit exceeded",
            "text": "test_load was limited to 5.0KiB but allocated 8.8KiB\n"
            "\t- load:app.py:7 -> 8.8KiB",
        }
    ]
    assert annotated(over, errors=False) == []


def test_a_limit_with_little_room_is_a_warning() -> None:
    """Those that are used most come first; not those of a test that is over another limit."""
    results = [
        make_result("half", make_measurement(5 * KB), 10 * KB),
        make_result("most", make_measurement(95 * KB), 100 * KB),
        make_result("roomy", make_measurement(5 * KB), 3000 * KB),
        several(peak_bytes=9000, n_allocations=1),
    ]
    found = annotated(*results)
    assert [one["text"] for one in found[1:]] == [
        "most used 95.0KiB of 100.0KiB at the peak (95%)",
        "half used 5.0KiB of 10.0KiB at the peak (50%)",
    ]
    assert {one["title"] for one in found[1:]} == {"Memory limit leaves little room"}


def test_github_shows_ten_annotations_of_a_kind() -> None:
    """So the tests that are furthest over their limits come first, and expected failures not."""
    over = [make_result(f"test_{n}", make_measurement(n * KB), KB) for n in range(2, 20)]
    expected = replace(make_result("expected", make_measurement(99 * KB), KB), outcome="skipped")
    found = annotated(*over, expected)
    names = [one["text"].partition(" ")[0] for one in found]
    assert names == [f"test_{n}" for n in range(19, 9, -1)]


def test_an_annotation_of_a_leak_shows_the_leak() -> None:
    stack = (Frame("keep", "app.py", 3),)
    measurement = replace(make_measurement(5000), retained=(Allocation(5000, 1, stack),))
    budget = Budget(leaks=LeakLimit(KB, origin="test_a.py:4"))
    (found,) = annotated(Result("test_keep", measurement, judge(measurement, budget)))
    assert found["text"].splitlines()[1:] == [
        "The limit is written in test_a.py:4",
        "\t- keep:app.py:3 -> 4.9KiB",
    ]


@pytest.mark.parametrize(
    ("root", "file", "workspace", "shown"),
    [
        ("/w/repo/backend", "tests/a.py", "/w/repo", "backend/tests/a.py"),
        ("/w/repo", "/w/repo/tests/a.py", "/w/repo", "tests/a.py"),
        ("/elsewhere", "tests/a.py", "/w/repo", "tests/a.py"),
        ("/w/repo", "tests/a.py", "", "tests/a.py"),
        ("", "tests/a.py", "/w/repo", "tests/a.py"),
    ],
)
def test_a_path_in_an_annotation_is_relative_to_the_repository(
    root: str, file: str, workspace: str, shown: str
) -> None:
    """The directory of the project can be one in the repository, or in a container."""
    over = replace(make_result("test", make_measurement(9), 5), file=file, line=1)
    environment = {"GITHUB_WORKSPACE": workspace} if workspace else {}
    (found,) = annotated(over, root=root, environment=environment)
    assert found["file"] == shown


def test_annotations_have_every_name() -> None:
    """And no name makes another command."""
    for name in HOSTILE:
        over = replace(make_result(name, make_measurement(9), 5), file=name, line=1)
        (found,) = annotated(over)
        assert found["text"].startswith(f"{printable(name)} was limited to")
        assert found["file"] == printable(name)


def test_text() -> None:
    """The table, failures with their stacks, and what changed."""
    over = make_result("test_load", make_measurement(9 * KB), 5 * KB)
    before = RunFile(Environment(), (make_result("test_load", make_measurement(1 * KB)),))
    now = RunFile(Environment(), (over, make_result("test_new", make_measurement(1))))
    lines = FORMATS["text"](Overview(now, before)).splitlines()
    assert lines[0] == "1 of 2 tests is over its memory limit; 1 new"
    assert lines[2].split()[-1] == "test"
    assert "test_load" in lines
    assert "\t- load:app.py:7 -> 9.0KiB" in lines
    assert lines[-1] == "2 figures compared: 1 new, 1 same; tolerance 10% + 64.0KiB"
