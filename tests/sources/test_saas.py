"""What holds for every source of Google, code hosts, SaaS and Kubernetes."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.sources.examples import ALL
from wardship.model.activity import Activity
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sdk.registry import source

NAMES = sorted(ALL)


def parse(name: str, record: dict[str, Any]) -> list[Activity]:
    return list(source(name).parse(record, DriftLog()))


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
