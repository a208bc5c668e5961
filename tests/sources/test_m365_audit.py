"""The unified audit log: its forms, its actors, and what of it is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.sdk.connector import DriftLog
from wardship.sources import m365_audit

TENANT = "11111111-aaaa-4aaa-8aaa-111111111111"
APP = "22222222-bbbb-4bbb-8bbb-222222222222"
USER = "44444444-dddd-4ddd-8ddd-444444444444"


def read(record: dict[str, Any]) -> Activity:
    assert m365_audit.claims(record)
    (found,) = m365_audit.parse(record, DriftLog())
    return found


def event(operation: str, workload: str = "Exchange", **more: Any) -> dict[str, Any]:
    return {
        "CreationTime": "2026-03-01T10:11:12",
        "Id": "m1",
        "Operation": operation,
        "OrganizationId": TENANT.upper(),
        "RecordType": 1,
        "UserType": 0,
        "UserId": "Ana@example.com",
        "UserKey": "1003200280FF7557",
        "Workload": workload,
        "ClientIP": "[2001:db8::7]:4711",
        **more,
    }


def parameters(**values: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def test_a_search_result_holds_its_event_as_text() -> None:
    inner = event("New-InboxRule", ResultStatus="True")
    row = {"RecordType": "ExchangeAdmin", "CreationDate": "3/1/2026 10:11:12 AM", "AuditData": json.dumps(inner)}
    found = read(row)
    assert found == read(inner)
    assert found.src_ip == "2001:db8::7"
    assert found.time.isoformat() == "2026-03-01T10:11:12+00:00"
    assert (found.actor_authority, found.actor_id) == (f"entra:{TENANT}:upn", "ana@example.com")


def test_the_outer_date_counts_where_the_event_has_none() -> None:
    inner = event("Set-Mailbox")
    del inner["CreationTime"]
    row = {"RecordType": 1, "CreationDate": "3/1/2026 9:05:00 PM", "AuditData": inner}
    assert read(row).time.isoformat() == "2026-03-01T21:05:00+00:00"


@pytest.mark.parametrize(
    ("operation", "given", "told"),
    [
        (
            "New-InboxRule",
            parameters(ForwardTo="x@evil.example;y@other.example", DeleteMessage="True"),
            {"forwards": True, "forward_domains": ["evil.example", "other.example"], "delete": True},
        ),
        ("Set-Mailbox", parameters(AuditEnabled="False"), {"audit_enabled": False}),
        (
            "Add-MailboxPermission",
            parameters(User="eve", AccessRights="FullAccess, SendAs"),
            {"target_user": "eve", "access_rights": ["FullAccess", "SendAs"]},
        ),
        (
            "Set-AdminAuditLogConfig",
            '-UnifiedAuditLogIngestionEnabled "False" -Identity "x"',
            {"audit_ingestion": False},
        ),
    ],
)
def test_switches_are_told_and_content_is_not(operation: str, given: Any, told: dict[str, Any]) -> None:
    found = read(event(operation, Parameters=given, ResultStatus="True", Subject="do not keep me"))
    for name, value in told.items():
        assert found.detail[name] == value
    assert (found.outcome, found.mutating) == (Outcome.SUCCESS, True)
    assert "do not keep me" not in repr(found)
    assert "x@evil.example" not in repr(found)


def test_a_rule_that_outlook_made_is_told_too() -> None:
    actions = json.dumps([{"ActionType": "Forward", "Recipients": ["x@evil.example"]}])
    found = read(event("UpdateInboxRules", OperationProperties=parameters(RuleActions=actions)))
    assert (found.detail["forwards"], found.detail["forward_domains"]) == (True, ["evil.example"])


def test_a_change_in_the_directory_is_read_as_the_directorys_own() -> None:
    found = read(
        event(
            "Add service principal credentials.",
            "AzureActiveDirectory",
            ResultStatus="Success",
            Actor=[{"ID": "Ana@example.com", "Type": 5}, {"ID": f"User_{USER}", "Type": 2}],
            Target=[{"ID": f"ServicePrincipal_{APP}", "Type": 2}, {"ID": "invoice-import", "Type": 1}],
            ModifiedProperties=[
                {
                    "Name": "KeyDescription",
                    "OldValue": "[]",
                    "NewValue": json.dumps([f"[KeyIdentifier={APP},KeyType=Password,KeyUsage=Verify]"]),
                }
            ],
        )
    )
    assert (found.actor_authority, found.actor_id) == (f"entra:{TENANT}", USER)
    assert found.detail["key_ids"] == [APP]
    assert found.resource_name == "invoice-import"


def test_a_service_principal_acts_under_its_own_id() -> None:
    actor = [{"ID": "deployer", "Type": 1}, {"ID": f"ServicePrincipal_{USER}", "Type": 2}, {"ID": USER, "Type": 2}]
    found = read(event("Add application.", "AzureActiveDirectory", Actor=[*actor, {"ID": APP, "Type": 2}]))
    assert (found.actor_authority, found.actor_id) == (f"entra:{TENANT}:appid", APP)
    assert found.actor_kind is ActorKind.APPLICATION


def test_an_application_in_a_mailbox_is_the_actor() -> None:
    found = read(event("MailItemsAccessed", UserType=5, AppId=APP, UserId="ana@example.com"))
    assert (found.actor_id, found.on_behalf_of) == (APP, "ana@example.com")
    assert (found.actor_kind, found.mutating) == (ActorKind.APPLICATION, False)


def test_a_cmdlet_of_an_application_is_its_own() -> None:
    found = read(event("Set-Mailbox", UserType=2, AppId=APP, UserId=USER, UserKey=USER))
    assert (found.actor_authority, found.actor_id) == (f"entra:{TENANT}:appid", APP)
    assert found.actor_kind is ActorKind.APPLICATION


def test_a_failed_sign_in_is_a_failure_whatever_its_status_says() -> None:
    found = read(event("UserLoginFailed", "AzureActiveDirectory", ResultStatus="Success", LogonError="InvalidPassword"))
    assert (found.outcome, found.outcome_code) == (Outcome.FAILURE, "InvalidPassword")
    assert found.class_uid is ActivityClass.AUTHENTICATION


def test_microsofts_own_service_is_nobody_of_the_tenant() -> None:
    found = read(event("Set-Mailbox", UserType=3, UserId="NT AUTHORITY\\SYSTEM (Microsoft.Exchange.ServiceHost)"))
    assert (found.actor_id, found.actor_kind) == (None, ActorKind.PROVIDER_SERVICE)


def test_a_file_that_is_read_changes_nothing() -> None:
    found = read(event("FileDownloaded", "SharePoint", ObjectId="https://x/f.docx"))
    assert (found.mutating, found.class_uid) == (False, ActivityClass.FILE_HOSTING_ACTIVITY)
    assert found.resource_id == "https://x/f.docx"
