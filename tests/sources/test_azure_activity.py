"""What was done to Azure, in each form of its logs."""

from __future__ import annotations

import json
from typing import Any

from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.sdk.connector import DriftLog
from wardship.sources import azure_activity

TENANT = "11111111-aaaa-4aaa-8aaa-111111111111"
APP = "22222222-bbbb-4bbb-8bbb-222222222222"
OBJECT = "33333333-cccc-4ccc-8ccc-333333333333"
SUBSCRIPTION = "77777777-aaaa-4aaa-8aaa-777777777777"
AT = "2026-03-01T10:11:12.1234567Z"
VAULT = f"/SUBSCRIPTIONS/{SUBSCRIPTION.upper()}/RESOURCEGROUPS/R/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/SAFE"
CLAIMS = "http://schemas.microsoft.com/identity/claims/"


def read(record: dict[str, Any]) -> Activity:
    assert azure_activity.claims(record)
    (found,) = azure_activity.parse(record, DriftLog())
    return found


def api(**more: Any) -> dict[str, Any]:
    """As the management API answers."""
    return {
        "eventDataId": "e1",
        "eventTimestamp": AT,
        "operationName": {"value": "Microsoft.Authorization/roleAssignments/write"},
        "category": {"value": "Administrative"},
        "status": {"value": "Succeeded"},
        "resourceId": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleAssignments/r1",
        "subscriptionId": SUBSCRIPTION,
        "httpRequest": {"clientIpAddress": "203.0.113.8", "method": "PUT"},
        "caller": OBJECT,
        "claims": {f"{CLAIMS}tenantid": TENANT, "appid": APP, "appidacr": "2", "idtyp": "app"},
        **more,
    }


def test_an_application_assigns_a_role() -> None:
    body = {"properties": {"roleDefinitionId": "/x/8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "principalId": OBJECT}}
    found = read(api(properties={"requestbody": json.dumps(body)}))
    assert (found.actor_authority, found.actor_id) == (f"entra:{TENANT}:appid", APP)
    assert (found.actor_kind, found.credential_type) == (ActorKind.APPLICATION, "certificate")
    assert (found.service, found.account) == ("Microsoft.Authorization", SUBSCRIPTION)
    assert (found.src_ip, found.outcome, found.mutating) == ("203.0.113.8", Outcome.SUCCESS, True)
    assert found.class_uid is ActivityClass.USER_ACCESS_MANAGEMENT
    assert found.detail["role_id"] == "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
    assert found.detail["target_sp"] == OBJECT


def test_flags_of_a_body_are_told() -> None:
    opened = {"properties": {"allowBlobPublicAccess": True}}
    assert read(api(properties={"requestbody": json.dumps(opened)})).detail["allow_blob_public_access"] == "true"
    gone = {"properties": {"deleteRetentionPolicy": {"enabled": False}}}
    assert read(api(properties={"requestbody": json.dumps(gone)})).detail["new_value"] == "off"
    assert "new_value" not in read(api(properties={"requestbody": json.dumps({"properties": {}})})).detail


def test_a_person_is_one_although_a_client_did_it_for_them() -> None:
    claims = {f"{CLAIMS}tenantid": TENANT, "appid": APP, f"{CLAIMS}objectidentifier": OBJECT, "upn": "ana@example.com"}
    found = read(api(claims=claims, caller="ana@example.com", status={"value": "Started"}))
    assert (found.actor_authority, found.actor_id) == (f"entra:{TENANT}", OBJECT)
    assert (found.actor_name, found.actor_kind) == ("ana@example.com", ActorKind.USER)
    assert found.detail["client"] == APP
    assert found.outcome is Outcome.UNKNOWN  # only begun


def test_a_managed_identity_is_told_by_its_resource() -> None:
    claims = {f"{CLAIMS}tenantid": TENANT, "appid": APP, "xms_mirid": f"/subscriptions/{SUBSCRIPTION}/x"}
    assert read(api(claims=claims)).actor_kind is ActorKind.MANAGED_IDENTITY


def test_capitals_of_an_export_are_undone_where_the_event_knows_better() -> None:
    found = read(
        {
            "time": AT,
            "resourceId": VAULT,
            "operationName": "MICROSOFT.KEYVAULT/VAULTS/DELETE",
            "category": "Administrative",
            "resultType": "Failure",
            "resultSignature": "Failed.Forbidden",
            "callerIpAddress": "203.0.113.8",
            "identity": {
                "authorization": {"action": "Microsoft.KeyVault/vaults/delete", "evidence": {"principalId": OBJECT}},
                "claims": {"appid": APP, f"{CLAIMS}tenantid": TENANT},
            },
        }
    )
    assert (found.operation, found.service) == ("Microsoft.KeyVault/vaults/delete", "Microsoft.KeyVault")
    assert (found.outcome, found.account) == (Outcome.FAILURE, SUBSCRIPTION)
    assert found.resource_id == VAULT.lower()


def test_reading_a_secret_names_it_and_not_what_it_holds() -> None:
    found = read(
        {
            "time": AT,
            "category": "AuditEvent",
            "operationName": "SecretGet",
            "resultType": "Success",
            "callerIpAddress": "203.0.113.8",
            "resourceId": VAULT,
            "identity": {"claim": {"appid": APP, f"{CLAIMS}objectidentifier": OBJECT}},
            "properties": {
                "id": "https://safe.vault.azure.net/secrets/db?sig=secret",
                "clientInfo": "azsdk-python",
                "httpStatusCode": 200,
            },
        }
    )
    assert (found.operation, found.mutating) == ("SecretGet", False)
    assert found.resource_id == "https://safe.vault.azure.net/secrets/db"
    assert found.user_agent == "azsdk-python"
    assert found.actor_id == APP


def test_a_storage_key_is_a_credential_without_a_name() -> None:
    blob = {
        "time": AT,
        "category": "StorageDelete",
        "operationName": "DeleteBlob",
        "statusCode": 202,
        "callerIpAddress": "203.0.113.8:4711",
        "identity": {"type": "AccountKey", "tokenHash": "key1(ABCDEF)"},
        "resourceId": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Storage/storageAccounts/a",
        "uri": "https://a.blob.core.windows.net/c/b?sv=1&sig=abc",
        "properties": {"objectKey": "/a/c/b"},
    }
    found = read(blob)
    assert (found.actor_id, found.credential_type, found.src_ip) == (None, "access_key", "203.0.113.8")
    assert (found.outcome, found.mutating, found.resource_id) == (Outcome.SUCCESS, True, "/a/c/b")
    assert "abc" not in repr(found)
    signed = read({**blob, "identity": None})
    assert signed.detail["authentication"] == "SAS"


def test_rows_of_log_analytics_are_read() -> None:
    found = read(
        {
            "TimeGenerated": AT,
            "OperationNameValue": "MICROSOFT.COMPUTE/DISKS/BEGINGETACCESS/ACTION",
            "ActivityStatusValue": "Success",
            "CategoryValue": "Administrative",
            "Caller": "ana@example.com",
            "CallerIpAddress": "203.0.113.8",
            "SubscriptionId": SUBSCRIPTION,
            "_ResourceId": f"/subscriptions/{SUBSCRIPTION}/providers/microsoft.compute/disks/d",
            "Authorization_d": {"action": "Microsoft.Compute/disks/beginGetAccess/action"},
            "Claims_d": {f"{CLAIMS}tenantid": TENANT, f"{CLAIMS}objectidentifier": OBJECT, "name": "Ana"},
        }
    )
    assert found.operation == "Microsoft.Compute/disks/beginGetAccess/action"
    assert (found.actor_id, found.account, found.outcome) == (OBJECT, SUBSCRIPTION, Outcome.SUCCESS)


def test_a_batch_cut_at_the_wrong_place_loses_nothing() -> None:
    one = {"time": AT, "resourceId": VAULT, "operationName": "VaultGet", "category": "AuditEvent"}
    text = f"{json.dumps(one)},{json.dumps({**one, 'operationName': 'SecretGet'})}]}}"
    record = {"message": text}
    assert azure_activity.claims(record)
    assert [found.operation for found in azure_activity.parse(record, DriftLog())] == ["VaultGet", "SecretGet"]


def test_kubernetes_audit_in_an_export_is_left_to_its_own_source() -> None:
    record = {"time": AT, "category": "kube-audit", "operationName": "x", "resourceId": VAULT}
    assert azure_activity.claims({**record, "properties": {"log": '{"kind": "Event"}'}})
    assert not azure_activity.claims({**record, "properties": {"log": '{"kind": "Event", "verb": "get"}'}})
