"""Dataclasses become JSON data, and come back as they were."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from membudget import Frame
from membudget.errors import RunFileError
from membudget.plain_data import coder_of


@dataclass(frozen=True)
class Part:
    name: str
    size: int | None = None


@dataclass(frozen=True)
class Whole:
    word: Literal["a", "b"]
    seconds: float
    is_on: bool
    parts: tuple[Part, ...] = ()
    one: Part | None = None
    by_name: tuple[tuple[str, Part], ...] = ()
    stacks: tuple[tuple[Frame, ...], ...] = ()
    function: Callable[[], None] | None = None


WHOLE = coder_of(Whole)
FULL = Whole(
    "b",
    1.5,
    True,
    (Part("x"), Part("y", 3)),
    Part("z"),
    (("ü", Part("u")),),
    ((), (Frame("load", "app.py", 7),)),
)
DATA: dict[str, Any] = {
    "word": "b",
    "seconds": 1.5,
    "is_on": True,
    "parts": [{"name": "x", "size": None}, {"name": "y", "size": 3}],
    "one": {"name": "z", "size": None},
    "by_name": {"ü": {"name": "u", "size": None}},
    "stacks": [[], [{"function": "load", "filename": "app.py", "lineno": 7}]],
}


def test_every_kind_of_field_is_written_and_read_back() -> None:
    assert WHOLE.to_data(FULL) == DATA
    assert WHOLE.from_data(json.loads(json.dumps(DATA))) == FULL


def test_data_that_has_changed_is_read_again() -> None:
    """Also if it is the same dictionary, or equal: 1 and 1.0 equal True."""
    data = {**DATA, "is_on": True}
    assert WHOLE.from_data(data).is_on is True
    data["is_on"] = False
    assert WHOLE.from_data(data).is_on is False
    assert WHOLE.from_data({**DATA, "is_on": True}).is_on is True
    with pytest.raises(RunFileError, match="is_on: 1 is not true or false"):
        WHOLE.from_data({**DATA, "is_on": 1})


def test_functions_stay_where_they_are() -> None:
    """A filter is code of its process; the reader of the data has none."""
    assert WHOLE.to_data(Whole("a", 0, False, function=print)).keys() == DATA.keys()
    assert WHOLE.from_data({**DATA, "function": "print"}).function is None


def test_data_of_other_versions_can_be_read() -> None:
    """A later version has keys that this one does not know, an earlier one lacks some."""
    least = {"word": "a", "seconds": 0, "is_on": False}
    assert WHOLE.from_data({**least, "later": [1], "one": {"name": "x", "also": 1}}) == Whole(
        "a", 0, False, one=Part("x")
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"word": "c"}, "run.word: 'c' is not one of 'a', 'b'"),
        ({"word": ["a"]}, "run.word: ['a'] is not one of 'a', 'b'"),
        ({"seconds": "1"}, "run.seconds: '1' is not a number"),
        ({"seconds": None}, "run.seconds: None is not a number"),
        ({"is_on": 1}, "run.is_on: 1 is not true or false"),
        ({"parts": {}}, "run.parts: {} is not an array"),
        ({"parts": [{"name": "x"}, {"name": 3}]}, "run.parts[1].name: 3 is not a text"),
        ({"parts": [{"name": "x", "size": True}]}, "run.parts[0].size: True is not a whole number"),
        ({"one": {}}, "run.one: there is no 'name'"),
        ({"one": 5}, "run.one: 5 is not an object"),
        ({"by_name": {"ü": 1.0}}, "run.by_name.ü: 1.0 is not an object"),
        ({"stacks": [[{"function": "f", "filename": "a", "lineno": 1.5}]]}, "stacks[0][0].lineno"),
    ],
)
def test_an_error_says_where_it_is_and_what_was_found(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(RunFileError) as caught:
        WHOLE.from_data({**DATA, **changes}, "run")
    assert message in str(caught.value)
