from __future__ import annotations

from typing import Any

import pytest

from tests.sources.examples import salesforce
from wardship.model.activity import Activity, ActivityClass, Outcome
from wardship.sdk.connector import DriftLog
from wardship.sources import salesforce_events
from wardship.sources.salesforce_events import long_id


def parse(record: dict[str, Any]) -> Activity:
    (activity,) = salesforce_events.parse(record, DriftLog())
    return activity


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("0055j000000utlP", "0055j000000utlPAAQ"),  # as the vendor's own logs pair them
        ("0053X00000BoLQR", "0053X00000BoLQRQA3"),
        ("0055j000000utlPAAQ", "0055j000000utlPAAQ"),
        ("robot", None),
    ],
)
def test_an_id_has_one_form(short: str, long: str | None) -> None:
    assert long_id(short) == long


def test_an_api_call_names_the_connected_app_and_what_was_read() -> None:
    told = parse(salesforce())
    assert (told.actor_authority, told.actor_id) == ("salesforce:id", "0055j000000utlPAAQ")
    assert (told.credential_id, told.credential_type) == ("0H4000000000001", "token")
    assert (told.operation, told.resource_id, told.mutating, told.detail["rows"]) == ("API", "Account", False, 2000)


def test_the_two_forms_of_a_sign_in_name_the_same_actor() -> None:
    history = {
        "attributes": {"type": "LoginHistory"},
        "Id": "0Ya1",
        "UserId": "0055j000000utlPAAQ",
        "LoginTime": "2026-03-02T08:15:30.000+0000",
        "LoginType": "Remote Access 2.0",
        "LoginSubType": "OauthClientCredential",
        "SourceIp": "203.0.113.9",
        "Status": "Invalid Password",
        "Application": "Sync",
    }
    assert salesforce_events.claims(history)
    told = parse(history)
    assert told.actor_id == parse(salesforce("Login", LOGIN_STATUS="LOGIN_NO_ERROR")).actor_id
    assert (told.outcome, told.outcome_code, told.credential_type) == (Outcome.FAILURE, "Invalid Password", "token")
    assert told.class_uid is ActivityClass.AUTHENTICATION
    assert told.detail["login_subtype"] == "OauthClientCredential"


def test_who_signs_in_as_another_is_the_one_who_acted() -> None:
    told = parse(salesforce("LoginAs", DELEGATED_USER_ID="0054x000001L78a", DELEGATED_USER_NAME="admin@acme.example"))
    assert (told.actor_id, told.actor_name) == (long_id("0054x000001L78a"), "admin@acme.example")
    assert (told.resource_type, told.resource_id) == ("user", "0055j000000utlPAAQ")


def test_a_setup_change_tells_the_delegate() -> None:
    told = parse(
        {
            "attributes": {"type": "SetupAuditTrail"},
            "Id": "0Ym1",
            "Action": "insertConnectedApplication",
            "Section": "Connected Apps",
            "CreatedDate": "2026-03-02T08:15:30.000+0000",
            "CreatedById": "0055j000000utlPAAQ",
            "CreatedBy": {"Username": "ana@acme.example"},
            "DelegateUser": "support",
            "Display": "Created Sync",
        }
    )
    assert (told.operation, told.actor_name, told.on_behalf_of) == (
        "insertConnectedApplication",
        "ana@acme.example",
        "support",
    )
    assert told.class_uid is ActivityClass.APPLICATION_LIFECYCLE


def test_a_streamed_event_lies_in_its_payload() -> None:
    payload = {
        "EventIdentifier": "e1",
        "EventDate": "2026-03-02T08:15:30Z",
        "UserId": "0055j000000utlPAAQ",
        "Username": "robot@acme.example",
        "LoginType": "SAML Sfdc Initiated SSO",
        "SourceIp": "203.0.113.9",
        "Status": "Success",
    }
    told = parse({"channel": "/event/LoginEventStream", "data": {"payload": payload}})
    assert (told.operation, told.outcome, told.credential_type) == ("LoginEvent", Outcome.SUCCESS, "federation")


def test_a_callout_keeps_the_host_alone() -> None:
    told = parse(salesforce("ApexCallout", URL='"https://api.example.com/v1?key=T0KEN"', SUCCESS="1"))
    assert told.detail["url_host"] == "api.example.com"
    assert "T0KEN" not in repr(told)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [("1", "success"), (True, "success"), ("0", "failure"), (False, "failure"), ("false", "failure")],
)
def test_whether_it_succeeded_is_a_digit_in_files_and_a_flag_in_objects(said: Any, outcome: str) -> None:
    assert parse(salesforce("ApexCallout", SUCCESS=said)).outcome == outcome


def test_a_heading_in_the_middle_of_joined_files_is_skipped() -> None:
    assert list(salesforce_events.parse({"EVENT_TYPE": "EVENT_TYPE", "TIMESTAMP": "TIMESTAMP"}, DriftLog())) == []
