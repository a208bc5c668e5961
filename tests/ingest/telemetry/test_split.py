"""Whatever a document holds, the lines are its records, or the reader can tell that they are not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardship.ingest.telemetry.split import exact, split
from wardship.model.errors import DataError

KEYS = ("Records",)
SEPARATOR = '},{"eventVersion":'


def records_of(document: bytes) -> list[Any]:
    """What a reader gets: the fast lines when each is an object, else the exact ones."""
    lines = bytearray(document)
    if split(lines, KEYS):
        try:
            read = [json.loads(line) for line in bytes(lines).split(b"\n") if line]
        except ValueError:
            read = [None]
        if all(isinstance(one, dict) for one in read):
            return read
    return [json.loads(line) for line in exact(document, KEYS).split(b"\n") if line]


def document(records: list[Any], **others: Any) -> bytes:
    return json.dumps({"Records": records, **others}, separators=(",", ":")).encode()


def test_a_compact_document_is_split_without_being_read() -> None:
    records = [{"eventVersion": "1.11", "eventName": name} for name in ("A", "B", "C")]
    lines = bytearray(document(records))
    assert split(lines, KEYS)
    assert [json.loads(line) for line in bytes(lines).splitlines()] == records


def test_a_text_that_looks_like_the_separator_splits_nothing() -> None:
    records = [{"eventVersion": "1", "userAgent": SEPARATOR}, {"eventVersion": "2"}]
    assert records_of(document(records)) == records


@pytest.mark.parametrize(
    "records",
    [
        [{"eventVersion": "1", "requestParameters": {"items": [{"a": 1}, {"eventVersion": "x"}, {"b": 2}]}}],
        [{"eventVersion": "1"}, {"eventName": "first key is another"}, {"eventVersion": "2"}],
        [{"eventVersion": "1", "more": {"eventVersion": "nested"}}, {"eventVersion": "2"}],
        [{"eventVersion": "1"}, 7, None, {"eventVersion": "2"}],
        [{"eventVersion": "1"}, [{"eventVersion": "2"}, {"eventVersion": "3"}]],
        [{}, {"eventVersion": "1"}],
    ],
)
def test_an_adversary_cannot_move_a_boundary(records: list[Any]) -> None:
    assert records_of(document(records)) == records


@pytest.mark.parametrize(
    "text",
    [
        '{"Records":[{"eventVersion":"1"}],"Other":[{"eventVersion":"2"},{"eventVersion":"3"}]}',
        '{"Records":[{"eventVersion":"1"},{"eventVersion":"2"}],"x":[{"y":1},{"eventVersion":"3"}]}',
        '{ "Records" : [ {"eventVersion":"1"} , {"eventVersion":"2"} ] }\n',
        '{"Records":[{"eventVersion":"1"},\n{"eventVersion":"2"}]}',
    ],
)
def test_other_forms_are_read_exactly(text: str) -> None:
    assert records_of(text.encode()) == json.loads(text)["Records"]


def test_no_records_are_no_lines() -> None:
    for text in (b'{"Records":[]}', b"[]"):
        lines = bytearray(text)
        assert split(lines, KEYS)
        assert lines == b""
    assert exact(b'{"Records":[]}', KEYS) == b""


def test_a_list_at_the_top_and_an_object_alone() -> None:
    assert records_of(b'[{"a":1},{"a":2}]') == [{"a": 1}, {"a": 2}]
    assert records_of(b'{"eventVersion":"1"}') == [{"eventVersion": "1"}]


@pytest.mark.parametrize("text", [b"", b"\x00\xff", b'{"Records":[{"eventVersion":"1"},', b"7", b'"text"'])
def test_what_is_no_document_is_said(text: bytes) -> None:
    with pytest.raises(DataError):
        records_of(text)


def test_half_a_surrogate_pair_does_not_lose_the_document() -> None:
    assert records_of(b'{"Records":[{"eventVersion":"\\ud800"}, {"eventVersion":"2"}]}')[1] == {"eventVersion": "2"}


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([SEPARATOR, '"', "\\", "}\n{", "]}", "[{"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["eventVersion", "a", SEPARATOR]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(
    records=st.lists(
        st.builds(lambda head, more: {**({"eventVersion": "1"} if head else {}), **more},
                  st.booleans(),
                  st.dictionaries(st.sampled_from(["a", "eventVersion", "resources"]), _values, max_size=3))
        | _values,
        max_size=5,
    ),
    after=st.none() | _values,
)  # fmt: skip
def test_the_lines_are_the_records(records: list[Any], after: Any) -> None:
    text = document(records, **({} if after is None else {"after": after}))
    assert records_of(text) == records
