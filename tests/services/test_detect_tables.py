"""What detections are told of an event: who it was, with which credential, and what kind of act."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.lake import publish
from wardship.app import App
from wardship.sdk.detection import EVENT, TABLES
from wardship.services import detect_tables
from wardship.store.engine import DuckDbEngine

SINCE = datetime(2026, 11, 1, tzinfo=UTC)


def test_an_event_is_joined_with_the_inventory_by_exact_ids(own_demo: App) -> None:
    ws = own_demo.workspace
    with own_demo.facts() as facts:
        key = facts.one(
            "SELECT c.uid, c.public_id, c.identity_uid, a.authority, a.native_id FROM exposure AS x"
            " JOIN credential AS c ON c.uid = x.credential_uid"
            " JOIN identity_alias AS a ON a.identity_uid = c.identity_uid"
            " WHERE c.type = 'access_key' AND x.presence <> 'gone' AND a.authority = c.authority ORDER BY c.uid LIMIT 1"
        )
    known = {"actor_authority": key["authority"], "actor_id": key["native_id"], "credential_id": key["public_id"]}
    made = {"service": "iam.amazonaws.com", "operation": "CreateAccessKey", "resource_type": None, "user_agent": "x/1"}
    named = {"actor_authority": None, "actor_id": None, "actor_name": "somebody", "account": "42", "session": "run-77"}
    batch = publish(
        ws.db,
        ws.activity,
        [
            {"time": "2026-11-20T03:00:00", "uid": "a", **known, **made},
            {"time": "2026-11-20T04:00:00", "uid": "b", "position": 1, **named},
            {"time": "2026-11-20T05:00:00", "uid": "c", "actor_id": None, "actor_authority": None},
        ],
    )
    with (
        detect_tables.made(
            ws,
            [batch],
            since=datetime(2026, 11, 1, tzinfo=UTC),
            changes=[],
            declared={key["identity_uid"]: "Terraform"},
        ) as tables,
        DuckDbEngine(tables) as engine,
    ):
        assert {table.name for table in tables} == set(TABLES)
        rows = [dict(zip(EVENT, row, strict=True)) for row in engine.query("SELECT * FROM event ORDER BY time", {})]
        tools = list(engine.query("SELECT tool, how FROM provisioner", {}))
    first, second = rows  # the third names nobody
    assert first["identity_uid"] == key["identity_uid"]
    assert first["credential_uid"] == key["uid"]
    assert first["leaked"] is True
    assert (first["action_class"], first["privileged"]) == ("credential_creation", True)
    assert (first["ref"], first["agent"]) == ("1#0", "x")
    assert (second["authority"], second["actor_id"]) == ("aws.cloudtrail:42", "somebody")
    assert (second["identity_uid"], second["leaked"], second["own_network"]) == (None, False, None)
    assert (second["session_form"], second["hour_of_week"]) == ("run-#", 4 * 24 + 4)
    assert tools == [("Terraform", "declared")]
