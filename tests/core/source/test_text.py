"""Source files of every kind: everything except limits stays the same, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from membudget.source.text import Edit, SourceText, UnchangeableError, parsed, same_tree
from membudget.suggestions import round_up_size, suggested_maximum
from source_project import MB, Project, Use

ENCODINGS = [
    ("", "utf-8"),
    ("# coding: latin-1", "latin-1"),
    ("# -*- coding: cp1252 -*-", "cp1252"),
]

SOURCE = '''{cookie}
"""Grüße: 5 MB."""
import pytest
\f
class TestÄ:
\tä = 'é "5 MB"' ; ö = """
5 MB\\
"""; @pytest.mark.limit_memory('5 MB')
\tdef test_it(self): 'ü' # 5 MB  \t
\tdef test_new(self): ...
   # no line end'''.replace("; @", "\n\t@")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "mixed"])
@pytest.mark.parametrize(("cookie", "encoding"), [*ENCODINGS, ("", "utf-8-sig")])
def test_bytes_of_every_encoding(tmp_path: Path, cookie: str, encoding: str, end: str) -> None:
    """Cookies, byte order marks, form feeds, tabs, blanks at line ends, line ends of all kinds."""
    if end == "\r" and cookie:
        pytest.skip("Python looks for a cookie in what ends with a line feed")
    lines = SOURCE.format(cookie=cookie).split("\n")
    ends = ["\r\n", "\n", "\r"] if end == "mixed" else [end]
    text = "".join(line + ends[n % len(ends)] for n, line in enumerate(lines[:-1])) + lines[-1]
    project = Project(tmp_path, is_imported=False)
    project.write("test_it.py", text.encode(encoding))
    uses = {"TestÄ.test_it": Use(limit=5 * MB), "TestÄ.test_new": Use(MB)}
    (file,) = project.plan("test_it.py", uses).files
    line = next(one for one in text.splitlines(keepends=True) if "def test_new" in one)
    expected = text.replace("memory('5 MB')", "memory('12 MB')").replace(
        line, f'\t@pytest.mark.limit_memory("2.2 MB"){line[len(line.rstrip()) :]}{line}'
    )
    assert file.new == expected.encode(encoding)
    assert file.disk.data == text.encode(encoding)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"def test_it(:\n", "cannot be read as Python: invalid syntax"),
        (b"# coding: latin-1\n# coding: x\nx = '\xe9'\n\x00", "cannot be read as Python"),
        (b"'\xe9'\n", "cannot be read as Python"),
        (b"# coding: no-such\n", "cannot be read as Python: unknown encoding"),
        (b"x = " + b"(" * 500 + b")" * 500, "cannot be read as Python"),
    ],
)
def test_files_that_are_not_python(data: bytes, reason: str) -> None:
    with pytest.raises(UnchangeableError, match=reason):
        SourceText(data)


def test_edits_must_not_overlap() -> None:
    source = SourceText(b"x = 1\n")
    assert source.edited([Edit(4, 5, "2"), Edit(0, 0, "a = "), Edit(0, 0, "b = ")]) == (
        b"a = b = x = 2\n"
    )
    with pytest.raises(UnchangeableError):
        source.edited([Edit(0, 3, "y"), Edit(2, 5, "z")])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x = 1", "x   =  1 # y", True),
        ("x = 1", "x = 1.0", False),
        ("x = 1", "x = True", False),
        ("x = 'a'", "x = u'a'", False),
        ("x = [1]", "x = [1, 2]", False),
        ("def f(): 1", "async def f(): 1", False),
        ("f(x=1)", "f(**1)", False),
        ("+".join("x" * 900), "+".join("x" * 900), True),
    ],
)
def test_trees_are_compared(one: str, other: str, same: bool) -> None:
    assert same_tree(parsed(one.encode()), parsed(other.encode())) == same


# What stands in source files, and is easily taken for something else.
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
comments = st.builds("# {} 5 MB".format, texts)
values = st.one_of(
    texts.map(repr), st.integers().map(str), st.just("f'{5} MB'"), st.just("('5 '\n  'MB')")
)
markers = st.sampled_from(
    [
        "@pytest.mark.limit_memory({quote}{size}{unit}{quote})",
        "@pytest.mark.limit_memory(  {quote}{size}{unit}{quote},stable=True,)",
        "@pytest.mark.limit_memory(\n  # 'x'\nlimit={quote}{size}{unit}{quote})",
        "@(pytest.mark.limit_memory)(\\\n{quote}{size}{unit}{quote}\n)",
        "@pytest.mark.limit_memory({n_bytes}, total='999 PB')",
        "@limit_memory({quote}{size}{between}{unit}{quote})",
    ]
)


NEW = Use()


@dataclass(frozen=True)
class Drawn:
    """A piece of a file, before and after the changes, and a test in it."""

    before: str
    after: str
    test: str = ""
    use: Use = NEW
    limit_after: int = 0


def plain(text: str) -> Drawn:
    return Drawn(text, text)


@st.composite
def functions(draw: st.DrawFn, name: str, indent: str) -> Drawn:
    """Draw a function with a limit or without one, and what it used."""
    marker = draw(st.none() | markers)
    above = draw(st.lists(st.one_of(comments, st.builds("@pytest.mark.x({})".format, values))))
    below = [f"{draw(st.sampled_from(['def', 'async def']))} {name}(*a):  # {draw(texts)}"]
    below += [f"\t{one}" for one in draw(st.lists(st.one_of(comments, values), max_size=2))]
    below.append("\t...")
    used = draw(st.integers(0, 900)) * MB
    size, unit = draw(st.integers(1, 900)), draw(st.sampled_from(["MB", " MB", " MiB", "mb"]))
    quote = draw(st.sampled_from(["'", '"', "'''", '"""']))
    suggested = suggested_maximum("peak_bytes", used, stable=False)

    def whole(*lines: str) -> str:
        return "\n".join(indent + line for line in [*lines, *below])

    if marker is None:
        n_comments = next((n for n, line in enumerate(above) if line[0] == "@"), len(above))
        added = f'@pytest.mark.limit_memory("{round_up_size(suggested)}")'
        with_limit = [*above[:n_comments], added, *above[n_comments:]]
        return Drawn(whole(*above), whole(*with_limit), name, Use(used), suggested)
    at = draw(st.integers(0, len(above)))
    limit = size * MB
    changes = limit - used < MB or suggested < limit
    number, new_unit = round_up_size(suggested).split() if changes else (str(size), "MB")
    new_unit = new_unit.replace("B", "iB") if "i" in unit else new_unit
    new_unit = new_unit.lower() if unit == "mb" else new_unit
    # Two strings in a row become one, if they change.
    old = marker.format(
        quote=quote, size=size, unit=unit, between=f"{quote} {quote}", n_bytes=limit
    )
    new = marker.format(
        quote=quote,
        size=number,
        unit=" " * unit.count(" ") + new_unit,
        between="" if changes else f"{quote} {quote}",
        n_bytes=suggested if changes else limit,
    )
    return Drawn(
        whole(*above[:at], old, *above[at:]),
        whole(*above[:at], new, *above[at:]),
        name,
        Use(used, limit),
        suggested if changes else limit,
    )


@st.composite
def files(draw: st.DrawFn) -> list[Drawn]:
    """Draw the pieces of a file."""
    pieces = [
        plain(draw(st.sampled_from(["", "'doc 5 MB'", "from __future__ import annotations"])))
    ]
    pieces.append(plain("import pytest\nfrom membudget import limit_memory"))
    for n in range(draw(st.integers(1, 3))):
        between = st.one_of(comments, st.builds("x = {}".format, values), st.just("\f"))
        pieces.append(plain(draw(between)))
        inside = draw(st.sampled_from(["", f"class T{n}:", "if True:"]))
        name = f"test_{n}" + draw(st.sampled_from(["", "ä"]))
        function = draw(functions(name, "  " if inside else ""))
        if inside.startswith("class"):
            function = replace(function, test=f"T{n}.{name}")
        pieces += [plain(inside), function]
    return [*pieces, plain(draw(st.sampled_from(["", "# end"])))]


@given(files(), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["utf-8", "utf-8-sig"]))
@settings(
    max_examples=int(os.environ.get("MEMBUDGET_TEST_EXAMPLES", "100")),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
def test_any_file(tmp_path: Path, pieces: list[Drawn], end: str, encoding: str) -> None:
    """All these limits change, and nothing else; a second run changes nothing."""

    def whole(texts: Iterable[str]) -> bytes:
        return "\n".join(texts).replace("\n", end).encode(encoding)

    before, after = whole(one.before for one in pieces), whole(one.after for one in pieces)
    project = Project(tmp_path, is_imported=False)
    project.write("test_it.py", before)
    plan = project.plan("test_it.py", {one.test: one.use for one in pieces if one.test})
    assert not [one for one in plan.unchanged if one.wanted]
    assert [file.new for file in plan.files] == ([after] if after != before else [])
    project.write("test_it.py", after)
    again = {one.test: replace(one.use, limit=one.limit_after) for one in pieces if one.test}
    assert not project.plan("test_it.py", again).files
