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
from wardship.model.errors import MissingScope, NotVisible
from wardship.sdk.clock import SimClock
from wardship.sdk.connector import Connection, DriftLog
from wardship.sdk.registry import source
from wardship.sdk.source import LiveLog, LiveSource
from wardship.services import telemetry_sync
from wardship.sim.entra import READER_ROLES, EntraTenant
from wardship.sim.entra_logs import sign_in, stamp
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
