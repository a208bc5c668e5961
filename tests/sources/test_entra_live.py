"""Microsoft's logs read live from the simulated tenant, every call and answer held against the vendor's description."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NOW
from wardship.app import App
from wardship.model.activity import Activity
from wardship.model.errors import MissingScope, NotVisible, UnexpectedResponse
from wardship.sdk.clock import SimClock
from wardship.sdk.connector import Connection, DriftLog
from wardship.sdk.registry import source
from wardship.sdk.source import LiveLog, LiveSource
from wardship.services import telemetry_sync
from wardship.sim.entra import READER_ROLES, EntraTenant
from wardship.sim.entra_logs import pack, sign_in, stamp
from wardship.store import telemetry

SUBSCRIPTION = "77777777-aaaa-4aaa-8aaa-777777777777"
FOREIGN = "88888888-aaaa-4aaa-8aaa-888888888888"
DAY = timedelta(days=1)
Held = Callable[..., Any]


@pytest.fixture
def tenant() -> EntraTenant:
    return EntraTenant(clock=SimClock(NOW))


def opened(name: str, connection: Connection) -> LiveLog:
    found = source(name)
    assert isinstance(found, LiveSource)
    return found.live(connection)


def read(name: str, log: LiveLog, stream: str, since: datetime, until: datetime) -> list[Activity]:
    where = next(one for one in log.streams() if one.name == stream)
    records = [item for page in log.fetch(where, since, until) for item in page.items]
    reads = source(name)
    assert all(reads.claims(record) for record in records)
    return [one for record in records for one in reads.parse(record, DriftLog())]


def test_each_kind_of_sign_in_is_read_page_by_page(contract: Held, tenant: EntraTenant) -> None:
    held = contract("graph", "graph-beta", undescribed=["login.microsoftonline.com"])
    app = tenant.add_application("invoice-import")
    user = tenant.add_user("Ana", "ana@acme.example")
    tenant.page_cap = 2
    for hours in range(5):
        sign_in(tenant, "servicePrincipal", NOW - timedelta(hours=hours), appId=app.app_id)
    sign_in(tenant, "servicePrincipal", NOW - 3 * DAY, appId=app.app_id)
    sign_in(tenant, "interactiveUser", NOW, appId=app.app_id, userId=user, userPrincipalName="ana@acme.example")
    connection = tenant.connection()
    log = opened("entra.signin", held_connection(connection, held, tenant))
    own = read("entra.signin", log, "servicePrincipal", NOW - DAY, NOW)
    assert len(own) == 5
    assert {(one.actor_authority, one.actor_id) for one in own} == {(f"entra:{tenant.tenant_id}:appid", app.app_id)}
    (person,) = read("entra.signin", log, "interactiveUser", NOW - DAY, NOW)
    assert (person.actor_authority, person.actor_id) == (f"entra:{tenant.tenant_id}", user)
    assert read("entra.signin", log, "managedIdentity", NOW - DAY, NOW) == []
    assert log.stats.api_calls >= 5
    held.expect("GET /v1.0/auditLogs/signIns", "GET /beta/auditLogs/signIns")


def held_connection(connection: Connection, held: Any, tenant: EntraTenant) -> Connection:
    """The connection with the simulator held against the descriptions."""
    return replace(connection, wire=held.wire(tenant))


def test_changes_in_the_directory_are_read(contract: Held, tenant: EntraTenant) -> None:
    held = contract("graph", undescribed=["login.microsoftonline.com"])
    app = tenant.add_application("invoice-import")
    user = tenant.add_user("Ana", "ana@acme.example")
    tenant.consent(app.sp, "Mail.Read Files.ReadWrite.All", by=user, at=NOW - timedelta(hours=2))
    tenant.consent(app.sp, "User.Read", by=user, at=NOW - 9 * DAY)
    log = opened("entra.audit", held_connection(tenant.connection(), held, tenant))
    (consent,) = read("entra.audit", log, "directoryAudits", NOW - DAY, NOW)
    assert (consent.operation, consent.actor_id) == ("Consent to application", user)
    assert consent.detail["scopes"] == ["Mail.Read", "Files.ReadWrite.All"]
    assert (consent.detail["tenant_wide"], consent.account) == (True, tenant.tenant_id)
    held.expect("GET /v1.0/auditLogs/directoryAudits")


def activity(at: datetime, **more: Any) -> dict[str, Any]:
    return {
        "eventDataId": stamp(at),
        "eventTimestamp": stamp(at),
        "operationName": {"value": "Microsoft.KeyVault/vaults/delete"},
        "status": {"value": "Succeeded"},
        "caller": "ana@acme.example",
        "subscriptionId": SUBSCRIPTION,
        "resourceId": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.KeyVault/vaults/v",
        **more,
    }


def test_the_activity_log_of_each_subscription_is_read(contract: Held, tenant: EntraTenant) -> None:
    held = contract("azure-activitylog", "azure-subscriptions", undescribed=["login.microsoftonline.com"])
    tenant.activity_logs = {SUBSCRIPTION: [activity(NOW - timedelta(hours=n)) for n in (1, 2, 3, 80)]}
    tenant.page_cap = 2
    log = opened("azure.activity", held_connection(tenant.connection(), held, tenant))
    (stream,) = log.streams()
    assert (stream.name, stream.authority) == (SUBSCRIPTION, f"azure:{SUBSCRIPTION}")
    found = read("azure.activity", log, SUBSCRIPTION, NOW - DAY, NOW)
    assert len(found) == 3
    assert {one.actor_authority for one in found} == {f"entra:{tenant.tenant_id}:upn"}
    held.expect("GET /subscriptions/{subscriptionId}/providers/Microsoft.Insights/eventtypes/management/values")
    tenant.activity_logs = {FOREIGN: []}
    with pytest.raises(MissingScope) as refused:
        list(log.fetch(stream, NOW - DAY, NOW))
    assert refused.value.scope == "Reader"


OFFICE_APP = "c5393580-f805-4401-95e8-94b7a6ef2fc2"  # the Office 365 Management APIs, in every tenant
DIRECTORY = "Audit.AzureActiveDirectory"


def m365(tenant: EntraTenant, *, permission: str = "ActivityFeed.Read") -> LiveLog:
    connection = tenant.connection()
    client = tenant.sp_of(connection.settings["client_id"])
    assert client is not None
    if permission:
        tenant.grant_app_role(client["id"], permission, resource=OFFICE_APP)
    return opened("m365.audit", connection)


def office_event(tenant: EntraTenant, at: datetime, name: str) -> dict[str, Any]:
    return {
        "Id": name,
        "CreationTime": stamp(at).rstrip("Z"),
        "Operation": "Add service principal.",
        "OrganizationId": tenant.tenant_id,
        "RecordType": 8,
        "ResultStatus": "Success",
        "UserType": 0,
        "UserId": "ana@acme.example",
        "UserKey": "1003",
        "Workload": "AzureActiveDirectory",
    }


def test_the_audit_log_of_microsoft_365_is_read_blob_by_blob(tenant: EntraTenant) -> None:
    tenant.page_cap = 2
    for day in range(9):
        at = NOW - day * DAY - timedelta(hours=1)
        pack(tenant, DIRECTORY, at, office_event(tenant, at, f"a{day}"), office_event(tenant, at, f"b{day}"))
    for minute in range(5):
        pack(tenant, DIRECTORY, NOW - timedelta(minutes=minute + 1), office_event(tenant, NOW, f"m{minute}"))
    log = m365(tenant)
    assert {one.whole_days for one in log.streams()} == {7}, "nothing older is handed out"
    found = read("m365.audit", log, DIRECTORY, NOW - 30 * DAY, NOW)
    assert len({one.uid for one in found}) == len(found) == 7 * 2 + 5
    assert {one.account for one in found} == {tenant.tenant_id}
    assert log.stats.api_calls > 7


def test_what_expired_since_it_was_listed_is_named_and_the_rest_is_read(tenant: EntraTenant) -> None:
    early, late = NOW - timedelta(hours=3), NOW - timedelta(hours=1)
    pack(tenant, DIRECTORY, early, office_event(tenant, early, "gone"), expires=timedelta(hours=1))
    pack(tenant, DIRECTORY, late, office_event(tenant, late, "there"))
    log = m365(tenant)
    (stream,) = [one for one in log.streams() if one.name == DIRECTORY]
    pages = list(log.fetch(stream, NOW - DAY, NOW))
    assert [item["Id"] for page in pages for item in page.items] == ["there"]
    assert [one.reason for page in pages for one in page.problems] == ["not_visible"]


def test_content_that_is_listed_without_its_address_is_not_passed_over(tenant: EntraTenant) -> None:
    pack(tenant, DIRECTORY, NOW - timedelta(hours=1), office_event(tenant, NOW, "x"))
    tenant.audit_content[DIRECTORY][0]["contentUri"] = None
    with pytest.raises(UnexpectedResponse, match="without its address"):
        read("m365.audit", m365(tenant), DIRECTORY, NOW - DAY, NOW)


def test_content_without_a_subscription_a_right_or_a_reachable_api_is_told_apart(tenant: EntraTenant) -> None:
    pack(tenant, DIRECTORY, NOW, office_event(tenant, NOW, "x"))
    with pytest.raises(NotVisible, match="no subscription") as refused:
        read("m365.audit", m365(tenant), "Audit.Exchange", NOW - DAY, NOW)
    assert "subscriptions/start" in refused.value.advice
    with pytest.raises(NotVisible, match="access token"):
        list(opened("m365.audit", tenant.connection(access_token="sim:")).streams())
    with pytest.raises(NotVisible, match="cloud"):
        list(opened("m365.audit", tenant.connection(cloud="china")).streams())
    tenant = EntraTenant(clock=SimClock(NOW))
    pack(tenant, DIRECTORY, NOW, office_event(tenant, NOW, "x"))
    with pytest.raises(MissingScope) as missing:
        read("m365.audit", m365(tenant, permission=""), DIRECTORY, NOW - DAY, NOW)
    assert missing.value.scope == "ActivityFeed.Read"


def test_no_licence_and_no_right_are_told_apart(tenant: EntraTenant) -> None:
    tenant.premium = False
    log = opened("entra.signin", tenant.connection())
    with pytest.raises(NotVisible, match="P1"):
        read("entra.signin", log, "servicePrincipal", NOW - DAY, NOW)
    tenant = EntraTenant(clock=SimClock(NOW))
    log = opened("entra.signin", tenant.connection(roles=READER_ROLES.replace("AuditLog.Read.All", "")))
    with pytest.raises(MissingScope) as refused:
        read("entra.signin", log, "servicePrincipal", NOW - DAY, NOW)
    assert refused.value.scope == "AuditLog.Read.All"


def test_without_a_subscription_or_a_token_for_azure_it_says_so(tenant: EntraTenant) -> None:
    with pytest.raises(NotVisible):
        list(opened("azure.activity", tenant.connection()).streams())
    with pytest.raises(NotVisible):
        list(opened("azure.activity", tenant.connection(access_token="sim:")).streams())


def test_a_sync_publishes_what_can_be_read_and_names_what_cannot(tenant: EntraTenant, tmp_path: Path) -> None:
    app = tenant.add_application("invoice-import")
    sign_in(tenant, "servicePrincipal", NOW - DAY, appId=app.app_id)
    user = tenant.add_user("Ana", "ana@acme.example")
    tenant.consent(app.sp, "Mail.Read", by=user, at=NOW - DAY)
    with App.create(tmp_path / "ws", clock=lambda: NOW) as made:
        told = {
            (one.source, one.stream): one for one in telemetry_sync.sync(made.workspace, [tenant.connection()], "test")
        }
        assert told["entra.signin", "servicePrincipal"].events == 1
        assert told["entra.audit", "directoryAudits"].events == 1
        assert told["entra.signin", "managedIdentity"].problem is None
        assert told["azure.activity", ""].problem
        assert {one.source for one in telemetry.live_files(made.db)} == {"entra.signin", "entra.audit"}
