"""Calls of Microsoft Graph: the application, for whom, with what right."""

from __future__ import annotations

from typing import Any

from wardship.model.activity import Activity, ActorKind, Outcome
from wardship.sdk.connector import DriftLog
from wardship.sources import graph_activity

TENANT = "11111111-aaaa-4aaa-8aaa-111111111111"
APP = "22222222-bbbb-4bbb-8bbb-222222222222"
USER = "44444444-dddd-4ddd-8ddd-444444444444"


def read(**more: Any) -> Activity:
    record = {
        "category": "MicrosoftGraphActivityLogs",
        "tenantId": TENANT,
        "time": "2026-03-01T10:11:12Z",
        "properties": {
            "requestId": "q1",
            "timeGenerated": "2026-03-01T10:11:12Z",
            "requestMethod": "GET",
            "requestUri": f"https://graph.microsoft.com/v1.0/users/{USER}/messages?$search=salary",
            "responseStatusCode": 200,
            "appId": APP,
            "clientAuthMethod": "2",
            "roles": "Mail.Read User.Read.All",
            "ipAddress": "203.0.113.5",
            "userAgent": "python-requests/2.32",
            **more,
        },
    }
    assert graph_activity.claims(record)
    (found,) = graph_activity.parse(record, DriftLog())
    return found


def test_an_application_reads_mail_with_its_own_right() -> None:
    found = read()
    assert (found.actor_authority, found.actor_id) == (f"entra:{TENANT}:appid", APP)
    assert (found.actor_kind, found.credential_type) == (ActorKind.APPLICATION, "certificate")
    assert found.operation == "GET /users/{id}/messages"
    assert found.resource_id == f"/users/{USER}/messages"
    assert found.detail["roles"] == ["Mail.Read", "User.Read.All"]
    assert (found.on_behalf_of, found.mutating, found.outcome) == (None, False, Outcome.SUCCESS)


def test_what_was_searched_for_is_not_kept() -> None:
    assert "salary" not in repr(read())


def test_a_delegated_call_names_its_user() -> None:
    found = read(userId=USER, scopes="Mail.Send", requestMethod="POST", responseStatusCode=403)
    assert (found.on_behalf_of, found.mutating, found.outcome) == (USER, True, Outcome.FAILURE)
    assert found.detail["scopes"] == ["Mail.Send"]


def test_keys_in_parentheses_are_ids_too() -> None:
    found = read(requestUri=f"https://graph.microsoft.com/beta/applications(appId='{APP}')/addPassword")
    assert found.operation == "GET /applications()/addPassword"
    assert found.resource_type == "addPassword"
