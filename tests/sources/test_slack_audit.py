from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.sources.examples import slack
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sources import slack_audit


def parse(record: dict[str, Any]) -> Activity:
    (activity,) = slack_audit.parse(record, DriftLog())
    return activity


def test_widened_scopes_are_told_apart_from_those_an_app_had() -> None:
    told = parse(slack())
    assert (told.actor_authority, told.actor_id, told.actor_kind) == ("slack:T1", "U1", ActorKind.USER)
    assert (told.resource_type, told.resource_id) == ("app", "A1")
    assert told.detail["scopes_added"] == ["users:read"]
    assert told.class_uid is ActivityClass.APPLICATION_LIFECYCLE


def test_an_app_that_acts_is_known_by_its_id_everywhere() -> None:
    told = parse(slack("file_uploaded", actor={"type": "app", "app": {"id": "A7", "name": "Sync"}}))
    assert (told.actor_authority, told.actor_id, told.actor_kind) == ("slack:app", "A7", ActorKind.APPLICATION)


def test_an_anomaly_is_placed_when_it_happened() -> None:
    told = parse(slack("anomaly", details={"action_timestamp": 1772430000000, "reason": ["asn"]}))
    assert told.time == datetime(2026, 3, 2, 5, 40, tzinfo=UTC)
    assert told.detail["reason"] == ["asn"]


def test_a_failed_sign_in_failed() -> None:
    assert parse(slack("user_login_failed")).outcome is Outcome.FAILURE


def test_a_flattened_row_reads_as_the_entry_it_came_from() -> None:
    row = {
        "id_g": "e-1",
        "date_create_d": 1772439330,
        "action_s": "user_login",
        "actor_type_s": "user",
        "actor_user_id_s": "U1",
        "actor_user_email_s": "ana@acme.example",
        "actor_user_team_s": "T1",
        "entity_type_s": "user",
        "entity_user_id_s": "U1",
        "context_location_id_s": "T1",
        "context_ip_address_s": "203.0.113.9",
    }
    assert slack_audit.claims(row)
    told = parse(row)
    assert (told.actor_id, told.src_ip, told.resource_id) == ("U1", "203.0.113.9", "U1")
    assert told.class_uid is ActivityClass.AUTHENTICATION


def test_an_entry_without_an_action_is_quarantined() -> None:
    with pytest.raises(DataError, match="action"):
        parse(slack(action=""))
