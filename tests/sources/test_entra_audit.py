"""Changes in a directory: who, on what, and the words that detections ask for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.sdk.connector import DriftLog
from wardship.sources import entra_audit

TENANT = "11111111-aaaa-4aaa-8aaa-111111111111"
APP = "22222222-bbbb-4bbb-8bbb-222222222222"
SP = "33333333-cccc-4ccc-8ccc-333333333333"
USER = "44444444-dddd-4ddd-8ddd-444444444444"
OLD_KEY = "55555555-eeee-4eee-8eee-555555555555"
NEW_KEY = "66666666-eeee-4eee-8eee-666666666666"
BY_USER = {"user": {"id": USER, "userPrincipalName": "ana@example.com", "ipAddress": "203.0.113.4"}, "app": None}


def read(record: dict[str, Any]) -> Activity:
    assert entra_audit.claims(record)
    (found,) = entra_audit.parse(record, DriftLog())
    return found


def event(activity: str, changes: dict[str, tuple[Any, Any]], **more: Any) -> dict[str, Any]:
    """As Microsoft Graph answers, in the envelope of diagnostic settings, which names the tenant."""
    changed = [{"displayName": name, "oldValue": old, "newValue": new} for name, (old, new) in changes.items()]
    target = {"id": SP, "displayName": "invoice-import", "type": "ServicePrincipal", "modifiedProperties": changed}
    properties = {
        "id": "a1",
        "activityDateTime": "2026-03-01T10:11:12.1234567Z",
        "activityDisplayName": activity,
        "category": "ApplicationManagement",
        "result": "success",
        "initiatedBy": BY_USER,
        "targetResources": [target],
        **more,
    }
    return {"category": "AuditLogs", "tenantId": TENANT, "properties": properties}


def key(ident: str) -> str:
    return f"[KeyIdentifier={ident},KeyType=Password,KeyUsage=Verify,DisplayName=made by hand]"


def test_a_new_credential_names_its_key_and_its_holder() -> None:
    keys = (json.dumps([key(OLD_KEY)]), json.dumps([key(OLD_KEY), key(NEW_KEY)]))
    found = read(event("Add service principal credentials", {"KeyDescription": keys}))
    assert found.detail["key_ids"] == [NEW_KEY]
    assert found.detail["key_types"] == ["Password"]
    assert found.detail["target_sp"] == SP
    assert "removed_key_ids" not in found.detail
    assert (found.actor_authority, found.actor_id, found.src_ip) == (f"entra:{TENANT}", USER, "203.0.113.4")
    assert (found.resource_id, found.class_uid) == (SP, ActivityClass.ENTITY_MANAGEMENT)
    assert found.mutating is True
    assert found.outcome is Outcome.SUCCESS


def test_a_consent_tells_its_scopes_and_for_whom() -> None:
    granted = f"[] => [[Id: x, ClientId: {SP}, PrincipalId: , ResourceId: {APP}, ConsentType: AllPrincipals, Scope: Mail.Read Files.ReadWrite.All, CreatedDateTime: ]]; "  # noqa: E501 - as Microsoft writes it
    changes = {
        "ConsentContext.IsAdminConsent": (None, '"True"'),
        "ConsentContext.OnBehalfOfAll": (None, '"True"'),
        "ConsentAction.Permissions": (None, json.dumps(granted)),
    }
    found = read(event("Consent to application", changes))
    assert found.detail["scopes"] == ["Mail.Read", "Files.ReadWrite.All"]
    assert found.detail["tenant_wide"] is True
    assert found.detail["admin_consent"] is True
    assert found.class_uid is ActivityClass.USER_ACCESS_MANAGEMENT


@pytest.mark.parametrize(
    ("activity", "changes", "told"),
    [
        (
            "Add app role assignment to service principal",
            {"AppRole.Value": (None, '"Mail.ReadWrite"'), "ServicePrincipal.ObjectID": (None, f'"{APP}"')},
            {"roles": ["Mail.ReadWrite"], "target_sp": APP},
        ),
        (
            "Add delegated permission grant",
            {
                "DelegatedPermissionGrant.Scope": (None, '"openid Mail.Send"'),
                "DelegatedPermissionGrant.ConsentType": (None, '"Principal"'),
            },
            {"scopes": ["openid", "Mail.Send"], "consent_type": "Principal", "tenant_wide": False},
        ),
        (
            "Add member to role",
            {"Role.DisplayName": (None, '"Global Administrator"'), "Role.TemplateId": (None, f'"{APP}"')},
            {"role": "Global Administrator", "role_id": APP},
        ),
        (
            "Update application",
            {
                "FederatedIdentityCredentials": (
                    "[]",
                    json.dumps([{"Subject": "repo:x/y:ref:main", "Issuer": "https://token.example"}]),
                )
            },
            {"federation": ["repo:x/y:ref:main"], "federation_issuers": ["https://token.example"]},
        ),
        ("Update user", {"StrongAuthenticationRequirement": ('[{"State":1}]', "[]")}, {"mfa": "off"}),
    ],
)
def test_each_change_is_told_in_words(activity: str, changes: dict[str, tuple[Any, Any]], told: dict[str, Any]) -> None:
    found = read(event(activity, changes))
    assert found.operation == activity
    assert told.items() <= found.detail.items()


def test_values_of_other_properties_are_not_kept() -> None:
    found = read(event("Update user", {"Manager": (None, '"do not keep me"')}))
    assert found.detail["changed"] == ["Manager"]
    assert "do not keep me" not in json.dumps(dict(found.detail))


def test_reading_a_key_changes_nothing() -> None:
    assert read(event("Read BitLocker key", {})).mutating is False


def test_an_application_acts_under_its_application_id_or_its_own() -> None:
    by_app = {"app": {"appId": APP.upper(), "displayName": "deployer", "servicePrincipalId": SP}}
    found = read(event("Add application", {}, initiatedBy=by_app))
    assert (found.actor_authority, found.actor_id) == (f"entra:{TENANT}:appid", APP)
    assert (found.actor_name, found.actor_kind) == ("deployer", ActorKind.APPLICATION)
    nameless = read(event("Add application", {}, initiatedBy={"app": {"servicePrincipalId": SP}}))
    assert (nameless.actor_authority, nameless.actor_id) == (f"entra:{TENANT}", SP)
    microsoft = read(event("Add application", {}, initiatedBy={"app": {"displayName": "Microsoft Approval"}}))
    assert (microsoft.actor_id, microsoft.actor_kind) == (None, ActorKind.PROVIDER_SERVICE)


def test_a_row_of_log_analytics_has_objects_as_text() -> None:
    found = read(
        {
            "TimeGenerated": "2026-03-01T10:11:12Z",
            "AADTenantId": TENANT,
            "TenantId": APP,
            "OperationName": "Add owner to application",
            "Result": "failure",
            "InitiatedBy": json.dumps(BY_USER),
            "TargetResources": json.dumps([{"type": "User", "id": USER, "userPrincipalName": "eve@example.com"}]),
        }
    )
    assert (found.account, found.actor_id, found.outcome) == (TENANT, USER, Outcome.FAILURE)
    assert found.detail["target_user"] == "eve@example.com"


def test_a_download_of_the_portal_numbers_its_targets() -> None:
    found = read(
        {
            "Date (UTC)": "2026-03-01T10:11:12Z",
            "Activity": "Add member to role",
            "Result": "success",
            "ActorType": "User",
            "ActorObjectId": USER,
            "ActorUserPrincipalName": "ana@example.com",
            "IPAddress": "203.0.113.4",
            "Target1Type": "User",
            "Target1ObjectId": SP,
            "Target1UserPrincipalName": "eve@example.com",
            "Target1ModifiedProperty1Name": "Role.DisplayName",
            "Target1ModifiedProperty1NewValue": '"Global Administrator"',
        }
    )
    assert found.actor_id == USER
    assert found.detail["role"] == "Global Administrator"
    assert found.detail["target_user"] == "eve@example.com"
