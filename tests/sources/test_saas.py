"""What holds for every source of Google, code hosts, SaaS and Kubernetes, whatever is in a record."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sources.examples import ALL
from wardship.model.activity import MAX_DETAIL_CHARS, Activity
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sdk.registry import source

NAMES = sorted(ALL)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            "\x00",
            "\ud800",
            "9" * 400,
            "{",
            "[1",
            "1e999",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59-23:59",
            "http://[",
            "a" * 9000,
        ]
    ),
    st.lists(
        st.one_of(st.none(), st.integers(), st.text(max_size=5), st.dictionaries(st.text(max_size=3), st.none())),
        max_size=3,
    ),
    st.dictionaries(st.text(max_size=8), st.one_of(st.none(), st.text(max_size=5), st.integers()), max_size=3),
)


def parse(name: str, record: dict[str, Any]) -> list[Activity]:
    return list(source(name).parse(record, DriftLog()))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a record."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in inner:
        yield (*path, key)
        yield from places(entry, (*path, key))


@pytest.mark.parametrize("name", NAMES)
def test_a_record_is_claimed_by_its_own_source_alone(name: str) -> None:
    assert [other for other in NAMES if source(other).claims(ALL[name])] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_a_record_says_when_who_what_and_from_where(name: str) -> None:
    (activity,) = parse(name, ALL[name])
    assert activity.time.replace(microsecond=0) == datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC)
    assert activity.actor_authority
    assert activity.actor_id
    assert activity.src_ip == "203.0.113.9"
    assert json.dumps(activity.detail)


@pytest.mark.parametrize("name", NAMES)
def test_an_event_without_a_time_is_quarantined(name: str) -> None:
    record = copy.deepcopy(ALL[name])
    for field in (
        "@timestamp",
        "created_at",
        "timestamp",
        "published",
        "date_create",
        "TIMESTAMP",
        "TIMESTAMP_DERIVED",
    ):
        record.pop(field, None)
    for field in ("requestReceivedTimestamp", "stageTimestamp"):
        record.pop(field, None)
    if name == "google.workspace":
        del record["id"]["time"]
    with pytest.raises(DataError, match="time"):
        parse(name, record)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_mutated_record_gives_activities_nothing_or_a_data_error(name: str, data: st.DataObject) -> None:
    _mutate(name, data)


@pytest.mark.chaos
@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=1_500, deadline=None, suppress_health_check=list(HealthCheck))
def test_many_mutated_records_give_activities_nothing_or_a_data_error(name: str, data: st.DataObject) -> None:
    _mutate(name, data)


def _mutate(name: str, data: st.DataObject) -> None:
    record = copy.deepcopy(ALL[name])
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(sorted(places(record), key=str)))
        holder: Any = record
        for key in path[:-1]:
            holder = holder[key]
        if data.draw(st.booleans()):
            holder[path[-1]] = data.draw(ODD)
        elif isinstance(holder, dict):
            del holder[path[-1]]
        if not record:
            return
    source(name).claims(record)
    try:
        found = parse(name, record)
    except DataError:
        return
    for activity in found:
        json.dumps(activity.detail, allow_nan=False).encode()
        assert all(len(text) <= MAX_DETAIL_CHARS for text in _texts(activity.detail))
        for column in ("operation", "actor_name", "resource_id", "user_agent", "session", "outcome_code", "account"):
            text = getattr(activity, column)
            assert text is None or "\x00" not in text.encode().decode()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
