"""Names of tests that mean something in a form of report, or on a terminal."""

from __future__ import annotations

from typing import Final

HOSTILE: Final = [
    f"tests/test_it.py::test_it[{one}]"
    for one in (
        *("a|b", "\\|", "\\", "`tick`", "**bold**", "_", "__init__", "~~s~~", "[x](http://x.y)"),
        *("<script>alert(1)</script>", "</pre></details>", "&amp;", "&#124;", "<!--", "]]>"),
        *("@octocat", "#12", "www.example.com", "http://x.y", "me@x.y", ":smile:", "$x$"),
        *("x::y", "100%", "%0A", "a,b=c", 'quo"te', "it's", "{}", "\U0001f600", "é漢"),
        *("new\nline", "return\r", "tab\t", "\x00", "\x1b[2J", "\udc80", "\u2028", "\u202e"),
        "x" * 3000,
    )
]
