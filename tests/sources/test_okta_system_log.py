from __future__ import annotations

from typing import Any

import pytest

from tests.sources.examples import okta
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sources import okta_system_log


def parse(record: dict[str, Any], drift: DriftLog | None = None) -> Activity:
    (activity,) = okta_system_log.parse(record, drift or DriftLog())
    return activity


def test_a_sign_in_tells_what_was_new_about_it() -> None:
    told = parse(okta())
    assert (told.actor_authority, told.actor_id, told.actor_kind) == ("okta:id", "00u1", ActorKind.USER)
    assert (told.class_uid, told.mutating, told.interactive) == (ActivityClass.AUTHENTICATION, False, True)
    assert told.detail["behaviors"] == ["New Country"]


def test_a_call_with_an_api_token_names_the_token_and_is_not_a_person_at_a_browser() -> None:
    told = parse(okta("user.lifecycle.create", transaction={"detail": {"requestApiTokenId": "00T1"}}))
    assert (told.credential_id, told.credential_type, told.interactive) == ("00T1", "token", None)
    assert told.mutating is True


def test_a_service_app_is_an_application_with_its_scopes() -> None:
    told = parse(
        okta(
            "app.oauth2.token.grant.access_token",
            actor={"id": "0oa1", "type": "PublicClientApp", "displayName": "Sync"},
            debugContext={"debugData": {"grantedScopes": "okta.users.manage", "grantType": "client_credentials"}},
        )
    )
    assert (told.actor_kind, told.class_uid) == (ActorKind.APPLICATION, ActivityClass.AUTHORIZE_SESSION)
    assert told.detail["scopes"] == ["okta.users.manage"]


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ("SUCCESS", Outcome.SUCCESS),
        ("DENY", Outcome.FAILURE),
        ("CHALLENGE", Outcome.UNKNOWN),
        ("NEWWORD", Outcome.UNKNOWN),
    ],
)
def test_outcomes_and_new_words_are_drift(result: str, outcome: Outcome) -> None:
    drift = DriftLog()
    assert parse(okta(outcome={"result": result}), drift).outcome is outcome
    assert bool(drift.counts) is (result == "NEWWORD")


def test_the_address_of_a_proxy_chain_stands_in_for_a_client_without_one() -> None:
    told = parse(okta(client={}, request={"ipChain": [{"ip": "198.51.100.7"}, {"ip": "203.0.113.1"}]}))
    assert told.src_ip == "198.51.100.7"


def test_a_flattened_row_reads_as_the_event_it_came_from() -> None:
    row = {
        "uuid_g": "11111111-2222-3333-4444-555555555555",
        "published_t": "2026-03-02T08:15:30.123Z",
        "eventType_s": "user.session.start",
        "actor_id_s": "00u1",
        "actor_type_s": "User",
        "actor_alternateId_s": "ana@acme.example",
        "client_ipAddress_s": "203.0.113.9",
        "client_userAgent_rawUserAgent_s": "Mozilla/5.0",
        "outcome_result_s": "SUCCESS",
        "authenticationContext_externalSessionId_s": "trs1",
        "debugContext_debugData_behaviors_s": "{New Country=POSITIVE, Velocity=NEGATIVE}",
        "severity_s": "INFO",
        "target_s": '[{"id": "00T9", "type": "Token", "displayName": "ci", "alternateId": "unknown"}]',
    }
    assert okta_system_log.claims(row)
    assert parse(row) == parse(okta())


def test_an_event_of_eventbridge_lies_in_detail() -> None:
    assert parse({"source": "aws.partner/okta.com/x", "detail": okta()}) == parse(okta())


def test_an_event_without_a_type_is_quarantined() -> None:
    with pytest.raises(DataError, match="type"):
        parse({"actor": {}, "published": "2026-03-02T08:15:30Z"})
