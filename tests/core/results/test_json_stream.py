"""JSON that is read piece by piece is the same as JSON that is read whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from membudget.results.json_stream import JsonStream

texts = st.text(max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=15,
)
layouts: st.SearchStrategy[Callable[[Any], str]] = st.builds(
    lambda indent, ascii_only, end: (
        lambda value: json.dumps(value, indent=indent, ensure_ascii=ascii_only) + end
    ),
    st.none() | st.integers(0, 2),
    st.booleans(),
    st.sampled_from(["", "\r\n\t "]),
)


def in_pieces(text: str, size: int, encoding: str = "utf-8") -> Iterator[bytes]:
    data = text.encode(encoding, "surrogatepass")
    return (data[start : start + size] for start in range(0, len(data), size))


def walked(stream: JsonStream) -> Any:
    """Return the next value, put together from its parts."""
    if stream.next_is("{"):
        return {key: walked(stream) for key in stream.members()}
    return list(stream.items()) if stream.next_is("[") else stream.value()


def whole(stream: JsonStream) -> Any:
    value = walked(stream)
    stream.end()
    return value


@given(values, layouts, st.integers(4, 30), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_every_document_is_read_as_a_whole_one(
    value: Any, layout: Callable[[Any], str], size: int, encoding: str
) -> None:
    text = layout(value)
    assert JsonStream(in_pieces(text, size, encoding)).value() == value
    assert whole(JsonStream(in_pieces(text, size, encoding))) == value


@given(st.lists(values, max_size=4), layouts, st.integers(4, 30))
def test_each_item_has_its_text(items: list[Any], layout: Callable[[Any], str], size: int) -> None:
    stream = JsonStream(in_pieces(layout(items), size))
    assert [json.loads(stream.text) for _ in stream.items()] == items


def test_members_that_nobody_asks_for_are_skipped() -> None:
    stream = JsonStream([b'{"a": [1, {"b": 2}], "c": "}', b'", "d": 3}'])
    assert [(key, stream.value()) for key in stream.members() if key == "d"] == [("d", 3)]
    stream.end()


BROKEN = [
    "",
    "[1, 2",
    "[1 2]",
    "[1,]",
    '{"a": 1',
    '{"a" 1}',
    "{a: 1}",
    '{"a": 1,}',
    "[1] 2",
    '["a]',
]


@pytest.mark.parametrize("text", BROKEN)
def test_what_json_refuses_is_refused(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    with pytest.raises(ValueError, match=r", at character \d+$"):
        whole(JsonStream(in_pieces(text, 4)))
