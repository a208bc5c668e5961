from __future__ import annotations

from typing import Any

import pytest

from tests.sources.examples import workspace
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sources import google_workspace


def parse(record: dict[str, Any]) -> list[Activity]:
    return list(google_workspace.parse(record, DriftLog()))


def test_what_an_application_did_is_its_doing_on_behalf_of_the_person() -> None:
    (told,) = parse(
        workspace("token", "activity", client_id="1-a.apps", app_name="Sync", method_name="drive.files.list")
    )
    assert (told.actor_authority, told.actor_id, told.actor_kind) == (
        "google:acme.example",
        "1-a.apps",
        ActorKind.APPLICATION,
    )
    assert told.on_behalf_of == "ana@acme.example"
    assert told.mutating is False


def test_a_consent_is_the_persons_and_tells_the_scopes() -> None:
    (told,) = parse(
        workspace("token", "authorize", client_id="1-a.apps", scope=["https://x/auth/drive", "https://x/auth/gmail"])
    )
    assert (told.actor_authority, told.actor_id) == ("gcp:email", "ana@acme.example")
    assert (told.resource_type, told.resource_id, told.mutating) == ("oauth_client", "1-a.apps", True)
    assert told.detail["scopes"] == ["https://x/auth/drive", "https://x/auth/gmail"]


def test_domain_wide_delegation_tells_client_and_scopes() -> None:
    (told,) = parse(
        workspace(
            "admin",
            "AUTHORIZE_API_CLIENT_ACCESS",
            "DOMAIN_SETTINGS",
            API_CLIENT_NAME="117",
            API_SCOPES="https://x/a,https://x/b",
        )
    )
    assert told.detail["scopes"] == ["https://x/a", "https://x/b"]
    assert told.resource_id == "117"


def test_a_granted_admin_role_is_user_access_management() -> None:
    (told,) = parse(
        workspace(
            "admin",
            "ASSIGN_ROLE",
            "DELEGATED_ADMIN_SETTINGS",
            ROLE_NAME="_SEED_ADMIN_ROLE",
            USER_EMAIL="eve@acme.example",
        )
    )
    assert told.class_uid is ActivityClass.USER_ACCESS_MANAGEMENT
    assert (told.detail["ROLE_NAME"], told.detail["USER_EMAIL"]) == ("_SEED_ADMIN_ROLE", "eve@acme.example")


@pytest.mark.parametrize(
    ("name", "parameters", "outcome"),
    [
        ("login_success", {}, Outcome.SUCCESS),
        ("login_failure", {"login_failure_type": "login_failure_invalid_password"}, Outcome.FAILURE),
        ("login_challenge", {"login_challenge_status": "Challenge Passed."}, Outcome.SUCCESS),
        ("login_challenge", {"login_challenge_status": "Challenge Failed."}, Outcome.FAILURE),
        ("login_challenge", {}, Outcome.UNKNOWN),
    ],
)
def test_outcomes_of_sign_ins(name: str, parameters: dict[str, Any], outcome: Outcome) -> None:
    (told,) = parse(workspace("login", name, "login", **parameters))
    assert told.outcome is outcome


def test_each_event_of_an_activity_is_one_with_an_id_of_its_own() -> None:
    record = workspace("drive", "edit", doc_id="d1")
    record["events"] *= 2
    first, second = parse(record)
    assert first.uid != second.uid


def test_an_alert_says_what_raised_it_and_about_whom() -> None:
    alert = {
        "alertId": "a1",
        "createTime": "2026-03-02T08:15:30.123Z",
        "type": "Leaked password",
        "source": "Google identity",
        "data": {
            "@type": "type.googleapis.com/google.apps.alertcenter.type.AccountWarning",
            "email": "Ana@acme.example",
        },
    }
    assert google_workspace.claims(alert)
    (told,) = parse(alert)
    assert (told.operation, told.detail["action"], told.actor_id) == (
        "Leaked password",
        "Google identity",
        "ana@acme.example",
    )


def test_an_activity_without_events_is_quarantined() -> None:
    with pytest.raises(DataError, match="without events"):
        parse({**workspace("admin", "x"), "events": []})
