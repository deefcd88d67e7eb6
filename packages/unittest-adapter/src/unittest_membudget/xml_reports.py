"""Adds figures to the XML that unittest-xml-reporting writes.

Its XML can have properties of a whole suite only. So this extends the function that writes the
element of a test, which is private; without it, the XML is as it would be without membudget.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_MODULE = "xmlrunner.result"
_CLASS, _FUNCTION = "_XMLTestResult", "_report_testcase"


@contextlib.contextmanager
def figures_in_xml(properties_of: Callable[[str], Mapping[str, object]]) -> Iterator[None]:
    """While this lasts, add properties to the element of each test.

    Args:
        properties_of: returns the properties of the test with an id; empty if there are none.
    """
    owner = getattr(sys.modules.get(_MODULE), _CLASS, None)
    plain: Callable[..., None] | None = getattr(owner, _FUNCTION, None)
    if plain is None:
        yield
        return

    def report(test: Any, suite: Any, document: Any) -> None:
        plain(test, suite, document)
        found = properties_of(test.id())
        if found:
            element = suite.lastChild
            element.insertBefore(_element(document, found), element.firstChild)

    setattr(owner, _FUNCTION, staticmethod(report))
    try:
        yield
    finally:
        setattr(owner, _FUNCTION, staticmethod(plain))


def _element(document: Any, properties: Mapping[str, object]) -> Any:
    parent = document.createElement("properties")
    for name, value in properties.items():
        child = document.createElement("property")
        child.setAttribute("name", name)
        child.setAttribute("value", str(value))
        parent.appendChild(child)
    return parent
