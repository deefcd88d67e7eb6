"""Changes of limits in the source: the right literal, and nothing else."""

from __future__ import annotations

import difflib
import textwrap
from pathlib import Path

import pytest
from membudget.limit_words import LimitKind
from membudget.option_values import FixMode
from membudget.suggestions import LimitNow
from source_project import MB, Project, Use

OVER = Use(limit=5 * MB)  # 9 MB used, 12 MB suggested
LOOSE = Use(limit=50 * MB)
FITS = Use(used=4 * MB, limit=5 * MB)
NEW = Use()


def fixed(directory: Path, source: str, uses: dict[str, Use], mode: FixMode = "all") -> str:
    project = Project(directory)
    project.write("test_it.py", textwrap.dedent(source))
    return project.fixed("test_it.py", uses, mode)


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(textwrap.dedent(before).splitlines(), after.splitlines())
    return [line for line in lines if line[0] in "+-"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@pytest.mark.limit_memory('5 MB')", "@pytest.mark.limit_memory('12 MB')"),
        ('@pytest.mark.limit_memory("5MB")', '@pytest.mark.limit_memory("12MB")'),
        ('@pytest.mark.limit_memory("5 MiB")', '@pytest.mark.limit_memory("12 MiB")'),
        ('@pytest.mark.limit_memory("5mb")', '@pytest.mark.limit_memory("12mb")'),
        ('@pytest.mark.limit_memory("5120 kib")', '@pytest.mark.limit_memory("12 mib")'),
        ('@pytest.mark.limit_memory("5242880 B")', '@pytest.mark.limit_memory("12 MB")'),
        ('@pytest.mark.limit_memory(r"""5 MB""")', '@pytest.mark.limit_memory(r"""12 MB""")'),
        ("@pytest.mark.limit_memory(u'5 MB')", "@pytest.mark.limit_memory(u'12 MB')"),
        (r'@pytest.mark.limit_memory("\x35 MB")', '@pytest.mark.limit_memory("12 MB")'),
        ("@pytest.mark.limit_memory(\"5 \" 'MB')", '@pytest.mark.limit_memory("12 MB")'),
        ("@pytest.mark.limit_memory(limit='5 MB')", "@pytest.mark.limit_memory(limit='12 MB')"),
        ("@pytest.mark.limit_memory(5242880)", "@pytest.mark.limit_memory(12582912)"),
        ("@pytest.mark.limit_memory(5_242_880)", "@pytest.mark.limit_memory(12_582_912)"),
        ("@pytest.mark.limit_memory(0x500000)", "@pytest.mark.limit_memory(12_582_912)"),
        ("@limit_memory('5 MB', stable=False)", "@limit_memory('12 MB', stable=False)"),
        ("@membudget.limit_memory('5 MB')", "@membudget.limit_memory('12 MB')"),
        ("@mark.limit_memory('5 MB')  # why", "@mark.limit_memory('12 MB')  # why"),
        ("@pt.mark.limit_memory('5 MB')", "@pt.mark.limit_memory('12 MB')"),
        ("@limit('5 MB')", "@limit('12 MB')"),
        ("@marks.limit_memory('5 MB')", "@marks.limit_memory('12 MB')"),
        (
            "@mark.limit_memory(\n    '5'  \n    ' MB'\n)",
            "@mark.limit_memory(\n    '12 MB'\n)",
        ),
        (
            "@mark.limit_memory(\n    total='99 GB',\n    limit=('5 MB'),\n)",
            "@mark.limit_memory(\n    total='99 GB',\n    limit=('12 MB'),\n)",
        ),
        ("@mark.limit_memory('5.0 MB')", "@mark.limit_memory('12 MB')"),
        (
            "@pytest.mark.limit_memory( '5 MB' ,total = '99 GB')",
            "@pytest.mark.limit_memory( '12 MB' ,total = '99 GB')",
        ),
        (
            "@pytest.mark.parametrize('é', ['5 MB'])\n@pytest.mark.limit_memory('5 MB')",
            "@pytest.mark.parametrize('é', ['5 MB'])\n@pytest.mark.limit_memory('12 MB')",
        ),
    ],
)
def test_a_literal_is_replaced(tmp_path: Path, old: str, new: str) -> None:
    """However a limit is written, only its number changes, in the same style."""
    source = """
    import membudget, pytest
    import pytest as pt
    from membudget import limit_memory
    from pytest import mark
    limit = pytest.mark.limit_memory
    marks = pytest.mark

    '''äöü\t€ 5 MB'''
    {}
    def test_it(): ...
    """
    source = textwrap.dedent(source)
    assert fixed(tmp_path, source.format(old), {"test_it": OVER}) == source.format(new)


@pytest.mark.parametrize(
    ("use", "mode", "number"),
    [
        (OVER, "raise", 12),
        (OVER, "all", 12),
        (OVER, "lower", None),
        (OVER, "add", None),
        (LOOSE, "lower", 12),
        (LOOSE, "all", 12),
        (LOOSE, "raise", None),
        (FITS, "all", None),
    ],
)
def test_each_mode_changes_only_its_limits(
    tmp_path: Path, use: Use, mode: FixMode, number: int | None
) -> None:
    limit = use.limit
    assert isinstance(limit, int)
    source = f"import pytest\n@pytest.mark.limit_memory('{limit // MB} MB')\ndef test_it(): ...\n"
    after = fixed(tmp_path, source, {"test_it": use}, mode)
    if number is None:
        assert "pytest" not in after
    else:
        assert changed_lines(source, after)[1] == f"+ @pytest.mark.limit_memory('{number} MB')"


def test_all_limits_of_a_test(tmp_path: Path) -> None:
    """Each kind has its own number, and several stand on one line."""
    source = """
    import pytest

    @pytest.mark.limit_leaks("1 KB")
    @pytest.mark.limit_memory(total='5 MB', allocations=1000, retained='5 MB')  # é
    def test_it(): ...
    """
    kinds: dict[LimitKind, int] = {
        "total_bytes": 9 * MB,
        "n_allocations": 12345,
        "retained_bytes": 9 * MB,
        "leaks": 3000,
    }
    limits = (
        LimitNow("total_bytes", 5 * MB),
        LimitNow("n_allocations", 1000),
        LimitNow("retained_bytes", 5 * MB),
        LimitNow("leaks", 1024),
    )
    after = fixed(tmp_path, source, {"test_it": Use(kinds, limits)})
    assert '@pytest.mark.limit_leaks("7.3 KB")' in after
    assert "limit_memory(total='12 MB', allocations=15_000, retained='12 MB')  # é" in after
    assert len(changed_lines(source, after)) == 4


@pytest.mark.parametrize(
    ("source", "test", "line"),
    [
        ("@M('5 MB')\n    async def test_it(self): ...", "A.test_it", "@M('12 MB')"),
        (
            "@pytest.mark.usefixtures('tmp_path')\n    @M(\n        '5 MB',\n        # 5 MB\n    )"
            "\n    def test_it(self): ...",
            "A.test_it",
            "'12 MB',",
        ),
        (
            "class B:\n        @M('5 MB')\n        def test_it(self): ...",
            "A.B.test_it",
            "@M('12 MB')",
        ),
        ("@staticmethod\n    @M('5 MB')\n    def test_it(): ...", "A.test_it", "@M('12 MB')"),
        (
            "if True:\n        @M('5 MB')\n        def test_it(self): ...\n"
            "    else:\n        @M('5 MB')\n        def test_it(self): 'other'",
            "A.test_it",
            "@M('12 MB')",
        ),
        (
            "@M('5 MB')\n    def test_it(self): 'old'\n    @M('5 MB')\n    def test_it(self): ...",
            "A.test_it",
            "@M('12 MB')",
        ),
        (
            "for n in range(2):\n        @M('5 MB')\n        def test_it(self): ...",
            "A.test_it",
            "@M('12 MB')",
        ),
        ("@M('5 MB')\n    class B:\n        def test_it(self): ...", "A.B.test_it", "@M('12 MB')"),
        (
            "pytestmark = M('5 MB')\n    def test_it(self): ...",
            "A.test_it",
            "pytestmark = M('12 MB')",
        ),
        (
            "pytestmark = [pytest.mark.skip, M('5 MB')]\n    class B:\n        def test_it(s): ...",
            "A.B.test_it",
            "pytestmark = [pytest.mark.skip, M('12 MB')]",
        ),
        (
            "pytestmark: list = [*[], M('5 MB')] + []\n    def test_it(self): ...",
            "A.test_it",
            "pytestmark: list = [*[], M('12 MB')] + []",
        ),
        (
            "@pytest.mark.parametrize('n', [pytest.param(1, marks=[M('5 MB')]),"
            " pytest.param(2, marks=M('6 MB'))])\n    @M('7 MB')\n    def test_it(self): ...",
            "A.test_it[1]",
            "@pytest.mark.parametrize('n', [pytest.param(1, marks=[M('12 MB')]),"
            " pytest.param(2, marks=M('6 MB'))])",
        ),
    ],
)
def test_every_place_of_a_limit(tmp_path: Path, source: str, test: str, line: str) -> None:
    """Functions and classes of all kinds, nested or conditional; the one that was imported."""
    source = f"import pytest\nclass A:\n    {source}\n".replace("M(", "pytest.mark.limit_memory(")
    line = line.replace("M(", "pytest.mark.limit_memory(")
    after = fixed(tmp_path, source, {test: OVER})
    removed, added = (one for one in changed_lines(source, after) if one[:2] != "? ")
    assert (removed[0], added[0]) == ("-", "+")
    assert added[1:].strip() == line


def test_of_two_definitions_the_one_that_runs_is_changed(tmp_path: Path) -> None:
    source = """
    import pytest
    if False:
        @pytest.mark.limit_memory("5 MB")
        def test_it(): ...
    else:
        @pytest.mark.limit_memory("5 MB")
        def test_it(): ...
    """
    after = fixed(tmp_path, source, {"test_it": OVER})
    assert after.splitlines()[3:8] == [
        '    @pytest.mark.limit_memory("5 MB")',
        "    def test_it(): ...",
        "else:",
        '    @pytest.mark.limit_memory("12 MB")',
        "    def test_it(): ...",
    ]


def test_a_module_limit(tmp_path: Path) -> None:
    source = "import pytest\npytestmark = pytest.mark.limit_memory('5 MB')\ndef test_it(): ...\n"
    assert "limit_memory('12 MB')" in fixed(tmp_path, source, {"test_it": OVER})


UNITTEST = """
from unittest_membudget import MemoryTestCase
from membudget import limit_memory

@limit_memory("6 MB")
class Base(MemoryTestCase):
    memory_limit = "7 MB"
    def test_base(self): ...

class Test(Base):
    memory_limit: str = '5 MB'  # each
    def test_it(self): ...
    @limit_memory("5 MB")
    def test_own(self): ...
"""


@pytest.mark.parametrize(
    ("test", "limit", "line"),
    [
        ("Test.test_it", 5, "    memory_limit: str = '12 MB'  # each"),
        ("Test.test_base", 5, "    memory_limit: str = '12 MB'  # each"),
        ("Test.test_own", 5, '    @limit_memory("12 MB")'),
        ("Base.test_base", 7, '    memory_limit = "12 MB"'),
        ("Base.test_base", 6, '@limit_memory("12 MB")'),
    ],
)
def test_unittest(tmp_path: Path, test: str, limit: int, line: str) -> None:
    use = Use(limit=limit * MB, framework="unittest")
    removed, added = changed_lines(UNITTEST, fixed(tmp_path, UNITTEST, {test: use}))
    assert (removed[0], added) == ("-", f"+ {line}")


SHARED = """
import pytest

@pytest.mark.limit_memory("20 MB")
class TestAll:
    def test_one(self): ...
    def test_two(self): ...
    @pytest.mark.limit_memory("20 MB")
    @pytest.mark.parametrize("n", [1, 2])
    def test_n(self, n): ...
"""


def test_a_shared_limit_is_the_largest(tmp_path: Path) -> None:
    """Lowering it for one test does not make another one fail."""
    uses = {
        "TestAll.test_one": Use(limit=20 * MB),
        "TestAll.test_two": Use(3 * MB, 20 * MB),
        "TestAll.test_n[1]": Use(3 * MB, 20 * MB),
        "TestAll.test_n[2]": Use(4 * MB, 20 * MB),
    }
    after = fixed(tmp_path, SHARED, uses)
    assert after == SHARED.replace("20", "12", 1).replace("20", "5.8", 1)
    uses["TestAll.test_one"] = Use(30 * MB, 20 * MB)
    after = fixed(tmp_path, SHARED, uses)
    assert after == SHARED.replace("20", "37", 1).replace("20", "5.8", 1)
    uses["TestAll.test_one"] = Use(17 * MB, 20 * MB)
    after = fixed(tmp_path, SHARED, uses)
    assert after == SHARED[:40] + SHARED[40:].replace('"20 MB")\n    @', '"5.8 MB")\n    @')


def test_a_shared_limit_is_not_lowered_if_some_tests_did_not_run(tmp_path: Path) -> None:
    """Nor if one failed or was not seen in full; but it is raised."""
    project = Project(tmp_path)
    project.write("test_it.py", SHARED)
    uses = {"TestAll.test_one": Use(limit=20 * MB)}
    more = {"TestAll.test_one": Use(20 * MB, limit=20 * MB)}
    for name in ("TestAll.test_two", "TestAll.test_n[1]"):
        reason = project.fixed("test_it.py", uses, unmeasured=[name])
        assert reason == "not all tests with this limit were measured"
        assert '"25 MB"' in project.fixed("test_it.py", more, unmeasured=[name])
    failed = {"TestAll.test_two": Use(3 * MB, 20 * MB, incomplete="it failed")}
    reason = project.fixed("test_it.py", {**uses, **failed})
    assert reason == "TestAll.test_two may need more: it failed"
    assert '"25 MB"' in project.fixed("test_it.py", {**more, **failed})


def test_a_test_that_did_not_run_does_not_block_other_limits(tmp_path: Path) -> None:
    """A limit at a single test applies only to that test."""
    project = Project(tmp_path)
    project.write("test_it.py", SHARED)
    uses = {"TestAll.test_n[1]": Use(3 * MB, 20 * MB), "TestAll.test_n[2]": Use(3 * MB, 20 * MB)}
    after = project.fixed("test_it.py", uses, unmeasured=["TestAll.test_one"])
    assert after == SHARED[:40] + SHARED[40:].replace('"20 MB")\n    @', '"4.6 MB")\n    @')


@pytest.mark.parametrize(
    ("marker", "reason"),
    [
        ("limit_memory(LIMIT)", "test_it.py:8: it is the name LIMIT"),
        ("limit_memory(settings.LIMIT)", "test_it.py:8: it is the name settings.LIMIT"),
        ("limit_memory(f'{5} MB')", "it is an f-string"),
        ("limit_memory(5 * 1024 * 1024)", "it is an expression"),
        ("limit_memory('%d MB' % 5)", "it is an expression"),
        ("limit_memory('5 MB' if LIMIT else '6 MB')", "it is an expression"),
        ("limit_memory(+5_242_880)", "it is an expression"),
        ("limit_memory(*ARGS)", "its arguments come from * or **"),
        ("limit_memory(**KWARGS)", "its arguments come from * or **"),
        ("limit_memory(total='9 MB')", "its limit is not written at the test"),
        ("limit_memory('6 MB')", "test_it.py:8 says 6.0MiB, but the limit was 5.0MiB"),
        ("limit_memory('5 '  # five\n    'MB')", "it has a comment between its parts"),
        ("skip", "its limit is not written at the test (from a hook)"),
        (
            "parametrize('n', [pytest.param(1, marks=pytest.mark.limit_memory('5 MB'))])\n"
            "@pytest.mark.limit_memory('5 MB')",
            "several limits have the same value: test_it.py:8, test_it.py:9",
        ),
    ],
)
def test_limits_that_cannot_be_changed_are_named(tmp_path: Path, marker: str, reason: str) -> None:
    """With the line, so that the user can change it."""
    source = f"""
import pytest
LIMIT = "5 MB"
ARGS = ["5 MB"]
KWARGS = {{"limit": "5 MB"}}
class settings: LIMIT = "5 MB"

@pytest.mark.{marker}
def test_it(): ...
"""
    limit = (LimitNow("peak_bytes", 5 * MB, origin="from a hook"),)
    assert reason in fixed(tmp_path, source, {"test_it": Use(limit=limit)})


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "small = pytest.mark.limit_memory('5 MB')\n@small\ndef test_it(): ...",
            "it has the name small",
        ),
        (
            "marks = [pytest.mark.limit_memory('5 MB')]\nmarks = marks + []\npytestmark = marks\n"
            "def test_it(): ...",
            "it has the name marks",
        ),
        (
            "def make():\n    def test_it(): ...\n    return test_it\n"
            "test_it = pytest.mark.limit_memory('5 MB')(make())",
            "its limit is not written at the test",
        ),
        (
            "@(m := pytest.mark.limit_memory('5 MB'))\ndef test_it(): ...",
            "its limit is not written at the test",
        ),
        (
            "def test_it():\n    with membudget.limit_memory('5 MB'): ...",
            "its limit is not written at the test",
        ),
        (
            "exec('@pytest.mark.limit_memory(\"5 MB\")\\ndef test_it(): ...')",
            "its limit is not written at the test",
        ),
    ],
)
def test_limits_that_come_from_elsewhere(tmp_path: Path, code: str, reason: str) -> None:
    assert reason in fixed(tmp_path, f"import pytest\n{code}\n", {"test_it": OVER})


def test_a_limit_that_two_names_share(tmp_path: Path) -> None:
    """It counts for both, whatever their names are."""
    source = """
    import pytest
    @pytest.mark.limit_memory("50 MB")
    def test_one(): ...
    test_two = test_one
    """
    after = fixed(tmp_path, source, {"test_one": Use(MB, 50 * MB), "test_two": LOOSE})
    assert '"12 MB"' in after


def test_limits_that_are_not_in_the_source(tmp_path: Path) -> None:
    """A default belongs to no test, but a test can get its own limit. A baseline is elsewhere."""
    source = "import pytest\n\ndef test_it(): ...\n"
    default = (LimitNow("peak_bytes", 5 * MB, "default"),)
    assert "no limit of its own" in fixed(
        tmp_path, source, {"test_it": Use(limit=default)}, "raise"
    )
    assert '"12 MB"' in fixed(tmp_path, source, {"test_it": Use(limit=default)}, "add")
    baseline = (LimitNow("peak_bytes", 5 * MB, "baseline"),)
    assert "its limit is its baseline" in fixed(tmp_path, source, {"test_it": Use(limit=baseline)})


def test_a_limit_of_a_base_class_in_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is changed in that file, for every class that inherits it."""
    project = Project(tmp_path)
    base = """
import pytest
class Base:
    @pytest.mark.limit_memory("5 MB")
    def test_it(self): ...
    def test_new(self): ...
"""
    project.write("base_of_tests.py", base)
    project.write(
        "test_a.py",
        "from base_of_tests import Base\nclass TestA(Base): ...\nclass TestB(Base): ...\n",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    uses = {
        "TestA.test_it": Use(3 * MB, 5 * MB),
        "TestB.test_it": OVER,
        "TestA.test_new": Use(3 * MB),
        "TestB.test_new": Use(2 * MB),
    }
    lowered = {"TestA.test_it": Use(MB, 5 * MB), "TestB.test_it": Use(MB, 5 * MB)}
    reason = project.fixed("test_a.py", lowered, all_files_ran=False)
    assert reason == "base_of_tests.py may be used by tests of files that did not run"
    plan = project.plan("test_a.py", uses)
    (file,) = plan.files
    new = base.replace("5 MB", "12 MB").replace(
        "    def test_new", '    @pytest.mark.limit_memory("4.6 MB")\n    def test_new'
    )
    assert file.new.decode() == new
    assert [(str(change)) for change in plan.changes] == [
        "base_of_tests.py:4: peak 5.0MiB -> 12 MB (TestA.test_it and 1 more)",
        "base_of_tests.py:6: peak 4.6 MB, new (TestA.test_new and 1 more)",
    ]


def test_everything_that_does_not_change_is_listed(tmp_path: Path) -> None:
    """In the order of the suggestions; `wanted` says whether the user has to act."""
    project = Project(tmp_path)
    project.write("test_it.py", SHARED)
    uses = {
        "TestAll.test_one": Use(limit=20 * MB),
        "TestAll.test_n[1]": Use(16 * MB, 20 * MB),
    }
    plan = project.plan("test_it.py", uses, unmeasured=["TestAll.test_two"])
    assert [(one.test, one.kind, one.wanted, one.reason) for one in plan.unchanged] == [
        (
            "TestAll.test_one",
            "peak_bytes",
            True,
            "not all tests with this limit were measured",
        ),
        ("TestAll.test_n[1]", "peak_bytes", False, "fits; used + 20% + 1 MB"),
    ]
