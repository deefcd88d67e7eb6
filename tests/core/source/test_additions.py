"""Limits for tests that have none: where the decorator and its import go."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from membudget.suggestions import LimitNow
from source_project import MB, Project, Use

LIMIT = '@pytest.mark.limit_memory("12 MB")'


def added(directory: Path, source: str, test: str = "test_it", use: Use | None = None) -> str:
    project = Project(directory, is_imported=False)
    # Since Python 3.14, dedent also removes form feeds from lines that have nothing else.
    project.write("test_it.py", source if "\f" in source else textwrap.dedent(source))
    return project.fixed("test_it.py", {test: use or Use()}, "add")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def test_it(): ...", "+\ndef test_it(): ..."),
        ("async def test_it(): ...", "+\nasync def test_it(): ..."),
        (
            "# why\n@pytest.mark.skipif('n')\n# how\n@(\n  str and\n  pytest.mark.x\n)\n"
            "def test_it(): ...",
            "# why\n+\n@pytest.mark.skipif('n')\n# how\n@(\n  str and\n  pytest.mark.x\n)\n"
            "def test_it(): ...",
        ),
        (
            "@(\n\n  # @why\n  pytest.mark.x\n)\ndef test_it(): ...",
            "+\n@(\n\n  # @why\n  pytest.mark.x\n)\ndef test_it(): ...",
        ),
        ("if 1:\n\tdef test_it(): ...", "if 1:\n\t+\n\tdef test_it(): ..."),
        ("\f\ndef test_it(): ...", "\f\n+\ndef test_it(): ..."),
        ("\fdef test_it(): ...", "\f+\ndef test_it(): ..."),
        ("x = '''\n'''\ndef test_it(): 'é'", "x = '''\n'''\n+\ndef test_it(): 'é'"),
        ("def test_it():\r\n    ...\r\n", "+\r\ndef test_it():\r\n    ...\r\n"),
    ],
)
def test_where_a_marker_goes(tmp_path: Path, before: str, after: str) -> None:
    """Above the other decorators, with the same indentation and line end."""
    start = "import pytest\n"
    expected = start + after.replace("+", LIMIT)
    assert added(tmp_path, start + before) == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def test_it(self): ...", "+\n    def test_it(self): ..."),
        ("@staticmethod\n    def test_it(): ...", "@staticmethod\n    +\n    def test_it(): ..."),
        (
            "@classmethod\n    @pytest.mark.x\n    def test_it(cls): ...",
            "@classmethod\n    +\n    @pytest.mark.x\n    def test_it(cls): ...",
        ),
    ],
)
def test_methods(tmp_path: Path, before: str, after: str) -> None:
    start = "import pytest\nclass TestA:\n    x = 1\n\n    "
    expected = start + after.replace("+", LIMIT)
    assert added(tmp_path, start + before, "TestA.test_it") == expected


IMPORT = "import pytest\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "{}\n\n"),
        ('"""Tests."""\n\n\n', '"""Tests."""\n\n{}\n\n'),
        ("#!/bin/python\n# coding: latin-1\n\n", "#!/bin/python\n# coding: latin-1\n\n{}\n\n"),
        ("'''a\nb''' 'c'; x = 1\n", "'''a\nb''' 'c'; x = 1\n\n{}"),
        (
            "'doc'\nfrom __future__ import annotations\n\nx = 1\n",
            "'doc'\nfrom __future__ import annotations\n\n{}\nx = 1\n",
        ),
        (
            "from __future__ import (\n    annotations,\n)  # all\n",
            "from __future__ import (\n    annotations,\n)  # all\n\n{}",
        ),
        ("import os\nimport sys\n\nx = 1\n", "import os\nimport sys\n\n{}\nx = 1\n"),
        ("import os; import sys\n", "import os; import sys\n\n{}"),
        (
            "import os\n\nimport aaa\nfrom abc_ import x\n",
            "import os\n\nimport aaa\n{}from abc_ import x\n",
        ),
        ("import os\n\nimport zzz\n", "import os\n\n{}import zzz\n"),
        ("import os\n\nimport aaa\n\nx = 1\n", "import os\n\nimport aaa\n{}\nx = 1\n"),
        ("import os\n\nfrom . import x\n", "import os\n\n{}\nfrom . import x\n"),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pytest\n",
            "from typing import TYPE_CHECKING\n\n{}if TYPE_CHECKING:\n    import pytest\n",
        ),
        ("def test_other():\n    import pytest\n", "{}\n\ndef test_other():\n    import pytest\n"),
        ("x = 1; y = 2\nx = 3; import os\n", "{}\nx = 1; y = 2\nx = 3; import os\n"),
    ],
)
def test_where_the_import_goes(tmp_path: Path, before: str, after: str) -> None:
    """After statements that have to be first, sorted, so that most files need no other tool."""
    expected = f"{after.format(IMPORT)}{LIMIT}\ndef test_it(): ...\n"
    assert added(tmp_path, f"{before}def test_it(): ...\n") == expected


@pytest.mark.parametrize(
    ("start", "marker"),
    [
        ("import pytest as pt", "pt.mark.limit_memory"),
        ("from pytest import mark", "mark.limit_memory"),
        ("from pytest import mark as m, raises", "m.limit_memory"),
        ("import os, pytest", "pytest.mark.limit_memory"),
        ("try:\n    import pytest\nexcept ImportError:\n    pytest = None", None),
        ("import pytest\nif os:\n    import pytest", None),
    ],
)
def test_an_existing_import_is_used(tmp_path: Path, start: str, marker: str | None) -> None:
    source = f"{start}\n\ndef test_it(): ...\n"
    marker = marker or "pytest.mark.limit_memory"
    assert added(tmp_path, source) == f'{start}\n\n@{marker}("12 MB")\ndef test_it(): ...\n'


@pytest.mark.parametrize(
    "start",
    [
        "pytest = None",
        "from mine import pytest",
        "import pytest\npytest = mine(pytest)",
        "def pytest(): ...",
        "for pytest in []: ...",
        "with x as (pytest, *y): ...",
        "try: ...\nexcept E as pytest: ...",
        "(pytest := 1)",
        "match x:\n    case {**pytest}: ...",
    ],
)
def test_a_name_with_another_meaning(tmp_path: Path, start: str) -> None:
    """Nothing is written that would have another meaning, or hide a name of the user."""
    reason = added(tmp_path, f"{start}\n\ndef test_it(): ...\n")
    assert reason == "the name pytest has another meaning in the file"


def test_names_of_a_class(tmp_path: Path) -> None:
    source = "import pytest\nclass TestA:\n    pytest = 1\n    def test_it(self): ...\n"
    assert "has another meaning" in added(tmp_path, source, "TestA.test_it")


def test_an_import_below_the_test_does_not_count(tmp_path: Path) -> None:
    after = added(tmp_path, "def test_it(): ...\nimport pytest\n")
    assert after == f"import pytest\n\n\n{LIMIT}\ndef test_it(): ...\nimport pytest\n"


@pytest.mark.parametrize(
    ("start", "after"),
    [
        (
            "import unittest\n",
            'import unittest\n\nfrom membudget import limit_memory\n%\n@limit_memory("12 MB")',
        ),
        ("from membudget import limit_memory as lim\n", None),
        ("import membudget\n", None),
        (
            "import membudget.testing as t\n",
            "import membudget.testing as t\nfrom membudget import limit_memory\n%\n"
            '@limit_memory("12 MB")',
        ),
    ],
)
def test_unittest(tmp_path: Path, start: str, after: str | None) -> None:
    """The decorator of membudget, which every runner enforces."""
    called = "lim" if "lim\n" in start else "membudget.limit_memory"
    after = after or f'{start}%\n@{called}("12 MB")'
    rest = "class TestA(unittest.TestCase):"
    source = f"{start}\n{rest}\n    def test_it(self): ...\n"
    expected = after.replace("%\n", f"\n{rest}\n    ") + "\n    def test_it(self): ...\n"
    assert added(tmp_path, source, "TestA.test_it", Use(framework="unittest")) == expected


def test_both_frameworks_in_one_file(tmp_path: Path) -> None:
    """Each import is added once."""
    project = Project(tmp_path, is_imported=False)
    source = "import os\n\n\ndef test_a(): ...\ndef test_b(): ...\n" + (
        "class T:\n    def test_c(self): ...\n    def test_d(self): ...\n"
    )
    project.write("test_it.py", source)
    unittest = Use(framework="unittest")
    uses = {"T.test_c": unittest, "test_a": Use(), "test_b": Use(MB), "T.test_d": unittest}
    after = project.fixed("test_it.py", uses)
    compile(after, "test_it.py", "exec")
    assert after.count("import pytest\n") == after.count("import limit_memory\n") == 1
    assert [line.strip() for line in after.splitlines() if "@" in line] == [
        LIMIT,
        '@pytest.mark.limit_memory("2.2 MB")',
        '@limit_memory("12 MB")',
        '@limit_memory("12 MB")',
    ]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("@pytest.mark.no_memory_limit(reason='x')", "it has a waiver"),
        ("@pytest.mark.no_memray", "it has a waiver"),
        ("@membudget.limit_memory(total='1 MB')", "other limits are written there"),
        ("@pytest.mark.limit_memory('1 MB')", "other limits are written there"),
        (
            "@pytest.mark.parametrize('n', [pytest.param(1, marks=pytest.mark.limit_memory(1))])",
            "other limits are written there",
        ),
    ],
)
def test_functions_that_already_have_marks(tmp_path: Path, code: str, reason: str) -> None:
    """A second marker in the same place would be a usage error of the next run."""
    assert reason in added(tmp_path, f"import pytest\n{code}\ndef test_it(): ...\n")


def test_a_waiver_outside_of_the_function(tmp_path: Path) -> None:
    """It is listed, but is not a change that was wanted and could not be made."""
    project = Project(tmp_path, is_imported=False)
    project.write("test_it.py", "def test_it(): ...\n")
    (one,) = project.plan("test_it.py", {"test_it": Use(waived=True)}).unchanged
    assert (one.wanted, one.reason[:15]) == (False, "it has a waiver")


def test_parameters(tmp_path: Path) -> None:
    """They share one marker, for the largest use; none is added if some were not measured."""
    project = Project(tmp_path, is_imported=False)
    source = "import pytest\n@pytest.mark.parametrize('n', [1, 2])\ndef test_it(n): ...\n"
    project.write("test_it.py", source)
    uses = {"test_it[1]": Use(MB), "test_it[2]": Use()}
    after = source.replace("@", f"{LIMIT}\n@")
    assert project.fixed("test_it.py", uses) == after
    del uses["test_it[1]"]
    reason = project.fixed("test_it.py", uses, unmeasured=["test_it[1]"])
    assert reason == "not all tests with this limit were measured"
    # One of the parameters has a limit of a hook's on something else.
    limits = (LimitNow("total_bytes", MB),)
    uses["test_it[1]"] = Use({"peak_bytes": 1, "total_bytes": 1}, limits)
    assert "other limits are written there" in project.fixed("test_it.py", uses)


def test_decorators_that_hide_the_function(tmp_path: Path) -> None:
    """The limit is written above them, where pytest sees it; never at the function that they made.

    What an assignment hides cannot be helped.
    """
    source = """
    import functools
    import pytest

    def hides(test):
        def other(): ...
        return other

    def wraps(test):
        @functools.wraps(test)
        def other(): ...
        return other

    @hides
    def test_hidden(): ...

    @wraps
    def test_wrapped(): ...

    @functools.partial
    def test_partial(): ...

    def test_assigned(): ...
    test_assigned = hides(test_assigned)

    def make(name):
        def inner(): ...
        globals()[name] = inner
    make("test_made")
    """
    source = textwrap.dedent(source)
    project = Project(tmp_path)
    project.write("test_it.py", source)
    names = ("hidden", "wrapped", "partial", "assigned", "made")
    plan = project.plan("test_it.py", {f"test_{name}": Use() for name in names})
    (file,) = plan.files
    expected = source
    for above in ("@hides", "@wraps", "@functools.partial"):
        expected = expected.replace(f"\n{above}\n", f"\n{LIMIT}\n{above}\n")
    assert file.new.decode() == expected
    assert [(one.test, one.reason) for one in plan.unchanged] == [
        ("test_assigned", "test_it.py:23: another function runs instead of it"),
        ("test_made", "test_it.py has no function test_made: it was created at run time"),
    ]


def test_a_function_that_is_defined_twice(tmp_path: Path) -> None:
    """Without a line, it is unknown which one ran."""
    source = "if 1:\n    def test_it(): ...\nelse:\n    def test_it(): ...\n"
    assert added(tmp_path, source) == "test_it.py defines test_it more than once"


def test_a_decorator_that_makes_a_function_of_the_same_name(tmp_path: Path) -> None:
    """As hypothesis does: its function is not in the source; the limit goes above the original."""
    source = """
import pytest
from hypothesis import given, strategies

@given(strategies.integers())
def test_new(n): ...

class TestA:
    @pytest.mark.limit_memory("5 MB")
    @given(strategies.integers())
    def test_old(self, n): ...
"""
    project = Project(tmp_path)
    project.write("test_it.py", source)
    after = project.fixed("test_it.py", {"test_new": Use(), "TestA.test_old": Use(limit=5 * MB)})
    assert after == source.replace("@given", f"{LIMIT}\n@given", 1).replace("5 MB", "12 MB")
