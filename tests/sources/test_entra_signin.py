"""Sign-ins in each form that they come in, and who acted in each kind of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wardship.model.activity import Activity, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sdk.told import told
from wardship.sources import entra_signin

TENANT = "11111111-aaaa-4aaa-8aaa-111111111111"
APP = "22222222-bbbb-4bbb-8bbb-222222222222"
SP = "33333333-cccc-4ccc-8ccc-333333333333"
USER = "44444444-dddd-4ddd-8ddd-444444444444"
KEY = "55555555-eeee-4eee-8eee-555555555555"
GRAPH = "00000003-0000-0000-c000-000000000000"
AT = "2026-03-01T10:11:12.1234567Z"


def read(record: dict[str, Any]) -> Activity:
    assert entra_signin.claims(record)
    (found,) = entra_signin.parse(record, DriftLog())
    return found


def exported(category: str, **properties: Any) -> dict[str, Any]:
    """As diagnostic settings write it."""
    return {
        "time": AT,
        "resourceId": f"/tenants/{TENANT}/providers/Microsoft.aadiam",
        "operationName": "Sign-in activity",
        "category": category,
        "tenantId": TENANT,
        "properties": {"id": "s1", "createdDateTime": AT, "status": {"errorCode": 0}, **properties},
    }


def service_principal(**more: Any) -> dict[str, Any]:
    return exported(
        "ServicePrincipalSignInLogs",
        appId=APP.upper(),
        servicePrincipalId=SP,
        servicePrincipalName="invoice-import",
        ipAddress="203.0.113.7",
        resourceDisplayName="Microsoft Graph",
        resourceId=GRAPH,
        **more,
    )


def test_a_service_principal_is_known_by_its_application_and_the_key_it_used() -> None:
    found = read(service_principal(servicePrincipalCredentialKeyId=KEY, clientCredentialType="clientSecret"))
    assert (found.actor_authority, found.actor_id) == (f"entra:{TENANT}:appid", APP)
    assert found.actor_kind is ActorKind.APPLICATION
    assert (found.credential_id, found.credential_type) == (KEY, "client_secret")
    assert (found.resource_id, found.resource_name) == (GRAPH, "Microsoft Graph")
    assert found.interactive is False
    assert found.account == TENANT
    assert found.time.isoformat() == "2026-03-01T10:11:12.123456+00:00"


def test_a_certificate_and_a_federation_are_told_apart() -> None:
    certificate = read(service_principal(servicePrincipalCredentialThumbprint="AB12"))
    assert (certificate.credential_id, certificate.credential_type) == ("AB12", "certificate")
    trust = read(service_principal(federatedCredentialId=KEY))
    assert (trust.credential_id, trust.credential_type) == (KEY, "federation")


def test_an_application_of_microsofts_own_is_not_ours() -> None:
    found = read(service_principal(appOwnerTenantId="f8cdef31-a31e-4b4a-93e4-5f571e91255a"))
    assert found.actor_kind is ActorKind.PROVIDER_SERVICE


def test_a_managed_identity_is_one() -> None:
    found = read(exported("ManagedIdentitySignInLogs", appId=APP, servicePrincipalId=SP, userId=None))
    assert found.actor_kind is ActorKind.MANAGED_IDENTITY
    assert found.actor_id == APP


def test_a_client_acts_on_behalf_of_its_user_when_nobody_is_there() -> None:
    user = {"userId": USER, "userPrincipalName": "ana@example.com", "appId": APP, "appDisplayName": "Mail sync"}
    quiet = read(exported("NonInteractiveUserSignInLogs", isInteractive=False, **user))
    assert (quiet.actor_id, quiet.on_behalf_of, quiet.interactive) == (APP, "ana@example.com", False)
    present = read(exported("SignInLogs", isInteractive=True, **user))
    assert (present.actor_authority, present.actor_id) == (f"entra:{TENANT}", USER)
    assert (present.actor_kind, present.interactive) == (ActorKind.USER, True)
    assert present.detail["app_id"] == APP


def test_graph_says_the_kind_of_sign_in_itself() -> None:
    record = {
        "id": "s2",
        "createdDateTime": AT,
        "appId": APP,
        "servicePrincipalId": SP,
        "servicePrincipalName": "invoice-import",
        "resourceTenantId": TENANT,
        "signInEventTypes": ["servicePrincipal"],
        "status": {"errorCode": 7000215, "failureReason": "Invalid client secret"},
    }
    found = read(record)
    assert found.actor_id == APP
    assert (found.outcome, found.outcome_code) == (Outcome.FAILURE, "7000215")


def test_a_row_of_log_analytics_has_its_tenant_in_another_column_than_the_workspace() -> None:
    found = read(
        {
            "TimeGenerated": "2026-03-01T10:11:12Z",
            "TenantId": "99999999-9999-4999-8999-999999999999",
            "AADTenantId": TENANT,
            "Type": "AADServicePrincipalSignInLogs",
            "ResultType": "0",
            "AppId": APP,
            "ServicePrincipalId": SP,
            "ServicePrincipalName": "invoice-import",
            "IPAddress": "203.0.113.7",
            "Location": "ES",
            "LocationDetails": json.dumps({"countryOrRegion": "ES"}),
        }
    )
    assert found.account == TENANT
    assert found.actor_id == APP
    assert found.outcome is Outcome.SUCCESS
    assert found.detail["country"] == "ES"


def test_a_download_of_the_portal_is_read() -> None:
    found = read(
        {
            "Date (UTC)": "2026-03-01T10:11:12Z",
            "Request ID": "r1",
            "User ID": USER,
            "Username": "ana@example.com",
            "Application": "Azure Portal",
            "Application ID ": APP,
            "Resource": "Windows Azure Service Management API",
            "Resource ID ": "797f4846-ba00-4fd7-ba43-dac1f8f63013",
            "Resource tenant ID": TENANT,
            "Home tenant ID": TENANT,
            "IP address": "203.0.113.9",
            "Status": "Failure",
            "Sign-in error code": "50126",
            "Client app": "Browser",
        }
    )
    assert (found.actor_id, found.src_ip, found.outcome_code) == (USER, "203.0.113.9", "50126")
    assert found.resource_id == "797f4846-ba00-4fd7-ba43-dac1f8f63013"
    assert found.detail["client_app"] == "Browser"


def test_what_cannot_be_joined_still_belongs_together() -> None:
    found = read({"id": "s3", "createdDateTime": AT, "appId": APP, "userId": USER, "resourceDisplayName": "x"})
    assert (found.actor_authority, found.actor_id, found.account) == ("entra:?", USER, None)


def test_the_importer_may_say_whose_a_file_without_a_tenant_is() -> None:
    record = {"id": "s4", "createdDateTime": AT, "appId": APP, "servicePrincipalId": USER, "resourceDisplayName": "x"}
    (found,) = told(entra_signin, authority=f"entra:{TENANT}").parse(record, DriftLog())
    assert (found.actor_authority, found.actor_id) == (f"entra:{TENANT}:appid", APP)


@pytest.mark.parametrize(("word", "outcome"), [("Success", Outcome.SUCCESS), ("Failure", Outcome.FAILURE)])
def test_a_result_may_be_a_word(word: str, outcome: Outcome) -> None:
    row = {"TimeGenerated": AT, "Type": "AADManagedIdentitySignInLogs", "AppId": APP, "ResultType": word}
    assert read(row).outcome is outcome


def test_a_risk_detection_names_its_kind() -> None:
    record = exported("UserRiskEvents", userId=USER, riskEventType="leakedCredentials", riskLevel="high")
    found = read({**record, "operationName": "User Risk Detection"})
    assert found.actor_id == USER
    assert (found.detail["risk_type"], found.detail["risk_level"]) == ("leakedCredentials", "high")


@pytest.mark.parametrize("broken", [{"createdDateTime": "yesterday"}, {"createdDateTime": None, "id": "x"}])
def test_without_a_time_it_is_no_event(broken: dict[str, Any]) -> None:
    record = service_principal()
    record["properties"].update(broken)
    if broken["createdDateTime"] is None:
        del record["time"]
    with pytest.raises(DataError):
        list(entra_signin.parse(record, DriftLog()))


def test_other_logs_are_not_claimed() -> None:
    assert not entra_signin.claims({"eventTime": AT, "eventName": "ConsoleLogin"})
    assert not entra_signin.claims({"activityDisplayName": "Add user", "initiatedBy": {}})


def test_only_sign_ins_of_applications_count_as_a_log_of_use() -> None:
    """Coverage takes events that are known to change nothing for a sign that every use is logged."""
    assert read(service_principal()).mutating is False
    assert read(exported("ManagedIdentitySignInLogs", appId=APP)).mutating is False
    assert read(exported("SignInLogs", userId=USER, appId=APP)).mutating is None
    assert read(exported("NonInteractiveUserSignInLogs", userId=USER, appId=APP)).mutating is None
    assert entra_signin.MANIFEST.logs_reads is None
