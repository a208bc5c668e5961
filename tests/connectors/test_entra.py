"""The Entra connector against the simulated tenant, held to Microsoft's own description of Graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import NOW
from wardship.connectors import entra
from wardship.connectors.entra.parse import Parser
from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage, UseState
from wardship.model.errors import (
    AuthenticationFailed,
    ConfigError,
    DataError,
    MissingScope,
    NotVisible,
    UnexpectedResponse,
)
from wardship.model.identity import Identity, IdentityKind, Person, Standing, System
from wardship.model.owner import Owner
from wardship.model.scan import Scope
from wardship.model.secret import Secret
from wardship.sdk.clock import SimClock
from wardship.sdk.connector import Connection, DriftLog, Record
from wardship.sdk.testing import ScopeRead, read_all, read_scope
from wardship.sim.entra import READER_ROLES, EntraTenant
from wardship.sim.entra_small import made_up, populate_small
from wardship.sim.faults import Wrong

LOGIN = "login.microsoftonline.com"
OPERATIONS = (
    "GET /v1.0/applications",
    "GET /v1.0/applications/{id}/owners",
    "GET /v1.0/servicePrincipals",
    "GET /v1.0/servicePrincipals/{id}/owners",
    "GET /v1.0/servicePrincipals/{id}/appRoleAssignments",
    "GET /v1.0/servicePrincipals/microsoft.graph.agentIdentity",
    "GET /v1.0/oauth2PermissionGrants",
    "GET /v1.0/auditLogs/directoryAudits",
    "GET /v1.0/roleManagement/directory/roleAssignments",
    "GET /v1.0/roleManagement/directory/roleDefinitions",
    "GET /v1.0/users",
    "GET /v1.0/policies/adminConsentRequestPolicy",
    "GET /v1.0/policies/authorizationPolicy",
    "GET /v1.0/policies/appManagementPolicies",
    "GET /v1.0/policies/defaultAppManagementPolicy",
    "GET /v1.0/organization",
    "GET /beta/reports/servicePrincipalSignInActivities",
    "GET /beta/reports/appCredentialSignInActivities",
)


def tenant(**options: Any) -> EntraTenant:
    return EntraTenant(clock=SimClock(NOW), **options)


def scope_of(connector: Any, kind: str) -> Scope:
    return next(scope for scope in connector.scopes() if scope.kind == f"entra.{kind}")


def records(got: dict[Scope, ScopeRead]) -> list[Record]:
    return [record for part in got.values() for record in part.records]


def of(family: type[Any], found: list[Record], **fields: Any) -> list[Any]:
    return [
        record
        for record in found
        if isinstance(record, family) and all(getattr(record, name) == value for name, value in fields.items())
    ]


def scan(connection: Connection) -> dict[Scope, ScopeRead]:
    got = read_all(entra.connect(connection))
    assert {scope.kind: str(part.error) for scope, part in got.items() if part.error} == {}
    return got


def test_every_operation_is_called_as_microsoft_describes_it(contract: Callable[..., Any]) -> None:
    sim = tenant()
    populate_small(sim)
    crowd = [sim.add_user(f"Owner {n}", f"owner{n}@acme.example") for n in range(25)]
    busy = sim.add_application("crowded", owners=crowd, sp_owners=crowd)
    sim.grant_app_role(busy.sp, " ".join(f"Thing{n}.Read.All" for n in range(25)))
    held = contract("graph", "graph-beta", undescribed=[LOGIN])
    connection = dataclasses.replace(sim.connection(), wire=held.wire(sim))
    found = records(scan(connection))
    assert len(of(Owner, found, identity=(found[0].authority, busy.id), source="entra.owners")) == 25
    assert len(of(Grant, found, identity=(found[0].authority, busy.sp))) == 25
    held.expect(*OPERATIONS)


def test_point_reads_and_the_check_are_as_described(contract: Callable[..., Any]) -> None:
    sim = tenant()
    ids = populate_small(sim)
    held = contract("graph", "graph-beta", undescribed=[LOGIN])
    connector = entra.connect(dataclasses.replace(sim.connection(), wire=held.wire(sim)))
    apps, sps = scope_of(connector, "application"), scope_of(connector, "service_principal")
    key = next(r.native_id for r in read_scope(connector, apps).records if isinstance(r, Credential))
    assert connector.confirm(apps, "identity", ids["app"]) is True
    assert connector.confirm(sps, "identity", ids["app"]) is False
    assert connector.confirm(apps, "credential", key) is True
    assert connector.confirm(apps, "credential", key + "0") is False
    assert connector.confirm(scope_of(connector, "user"), "person", ids["maria"]) is True
    assert connector.confirm(apps, "grant", "x") is None
    assert connector.confirm(apps, "identity", "../users") is None
    assert {line.permission: line.allowed for line in connector.check()}["Application.Read.All"] is True
    held.expect("GET /v1.0/applications/{id}", "GET /v1.0/servicePrincipals/{id}", "GET /v1.0/users/{id}")


# ------------------------------------------------------------------ story 1


def test_the_supplier_with_tenant_wide_consent_gives_exactly_these_records() -> None:
    """AcmeIntegrator SaaS: consent for everybody, older than the log; nobody owns it; its secret is a year old."""
    supplier = "0f9d5a7e-3a44-4b52-9e43-5d5b2ad41c77"
    sim = tenant()
    approver = sim.add_user("Elena Torres", "elena.torres@acme-iberica.example", active=False)
    sp = sim.add_service_principal(
        "AcmeIntegrator SaaS", home=supplier, tags=["WindowsAzureActiveDirectoryIntegratedApp"]
    )
    key = sim.add_secret(sp, name="integration", start=NOW - timedelta(days=540), end=NOW + timedelta(days=190))
    sim.consent(sp, "Mail.Read Sites.ReadWrite.All Files.ReadWrite.All", by=approver, at=NOW - timedelta(days=548))
    authority = f"entra:{sim.tenant_id}"
    found = [
        record
        for record in records(scan(sim.connection()))
        if getattr(record, "native_id", None) == sp or getattr(record, "identity", None) == (authority, sp)
    ]
    [identity] = of(Identity, found)
    assert (identity.kind, identity.standing, identity.supplier) == (IdentityKind.OAUTH_APP, Standing.FOREIGN, supplier)
    assert identity.enabled is True
    [secret] = of(Credential, found)
    assert secret.native_id == f"{sp}/{key}"
    assert secret.type is CredentialType.CLIENT_SECRET
    assert (NOW - secret.created_at).days == 540
    grants = of(Grant, found)
    assert {(g.permission, g.tier, g.tenant_wide, g.resource) for g in grants} == {
        ("Mail.Read", Tier.SENSITIVE_READ, True, "Microsoft Graph"),
        ("Sites.ReadWrite.All", Tier.WRITE, True, "Microsoft Graph"),
        ("Files.ReadWrite.All", Tier.WRITE, True, "Microsoft Graph"),
    }
    assert {(g.granted_by, g.granted_at) for g in grants} == {(None, None)}  # the log keeps 30 days: unknown, not never
    assert of(Owner, found) == []
    assert len(found) == 5


def test_a_consent_that_the_log_still_holds_has_its_giver_who_left() -> None:
    sim = tenant(audit_days=600)
    approver = sim.add_user("Elena Torres", "elena.torres@acme-iberica.example", active=False)
    sp = sim.add_service_principal("AcmeIntegrator SaaS", home="0f9d5a7e-3a44-4b52-9e43-5d5b2ad41c77")
    at = NOW - timedelta(days=548)
    sim.consent(sp, "Mail.Read", by=approver, at=at)
    found = records(scan(sim.connection()))
    [grant] = of(Grant, found, permission="Mail.Read")
    assert (grant.granted_by, grant.granted_at) == ("elena.torres@acme-iberica.example", at)
    assert grant.granted_by_id == approver
    assert of(Person, found, native_id=approver)[0].active is False


# ------------------------------------------------------------------ what is understood


def test_the_small_tenant_is_understood() -> None:
    sim = tenant()
    ids = populate_small(sim)
    found = records(scan(sim.connection()))
    authority = f"entra:{sim.tenant_id}"
    [system] = of(System, found)
    assert system.attributes["admin_consent_workflow"] is False
    assert system.attributes["users_may_create_apps"] is True
    by_id = {record.native_id: record for record in of(Identity, found)}
    app, sp = by_id[ids["app"]], by_id[ids["app_sp"]]
    assert (app.rank, sp.rank) == (1, 0)
    assert app.aliases == sp.aliases
    assert (app.environment, app.criticality, app.business_process) == ("production", "high", "invoicing")
    assert by_id[ids["robot"]].kind is IdentityKind.MANAGED_IDENTITY
    assert by_id[ids["robot"]].standing is Standing.OWN
    assert by_id[ids["robot"]].aliases[1][0] == "azure"
    assert by_id[ids["agent"]].kind is IdentityKind.AI_AGENT
    assert by_id[ids["agent"]].attributes["blueprint"]
    assert by_id[sim.first_party()].standing is Standing.PROVIDER_MANAGED
    owners = of(Owner, found, identity=(authority, ids["app"]))
    assert {(o.source, o.claim) for o in owners} == {
        ("entra.owners", "maria.ruiz@acme-iberica.example"),
        ("entra.owners", "jon.aguirre@acme-iberica.example"),
        ("entra.notes", "finance-it@acme-iberica.example"),
        ("entra.serviceManagementReference", "CMDB-4711"),
    }
    assert of(Owner, found, identity=(authority, ids["agent"]))[0].person == (authority, ids["maria"])
    kinds = {c.type for c in of(Credential, found, identity=(authority, ids["app"]))}
    assert kinds == {CredentialType.CLIENT_SECRET, CredentialType.CERTIFICATE, CredentialType.FEDERATION}
    [certificate] = of(Credential, found, type=CredentialType.CERTIFICATE)
    assert certificate.fingerprint == "AB" * 20
    [trust] = of(Credential, found, identity=(authority, ids["robot"]))
    assert trust.attributes["subject"] == "system:serviceaccount:billing:api"
    grants = {(g.permission, g.via): g for g in of(Grant, found)}
    assert grants["Mail.Read", "application permission"].granted_by == "maria.ruiz@acme-iberica.example"
    assert grants["Calendars.Read", "delegated permission"].tenant_wide is False
    assert grants["Directory Readers", "directory role"].tier is Tier.READ
    assert ("Global Administrator", "directory role") not in grants  # a person holds it
    uses = {usage.subject: usage for usage in of(Usage, found)}
    assert uses["identity", authority, ids["app_sp"]].state is UseState.USED
    assert [s[0] for s in uses].count("credential") == 1
    assert {p.native_id: p.active for p in of(Person, found)} == {ids["maria"]: True, ids["left"]: False}


def test_no_first_letter_of_a_secret_leaves_the_reader() -> None:
    sim = tenant()
    populate_small(sim)
    assert "hint" not in repr([part.items for part in scan(sim.connection()).values()])


# ------------------------------------------------------------------ how much it asks


@pytest.mark.parametrize("people", ["all", "referenced"])
def test_a_tenant_of_two_thousand_identities_takes_few_calls(people: str) -> None:
    sim = tenant()
    staff = [sim.add_user(f"P {n}", f"p{n}@acme.example") for n in range(40)]
    made_up(1000, sim, staff)
    connector = entra.connect(sim.connection(people=people))
    got = read_all(connector)
    assert sum(len(of(Identity, part.records)) for part in got.values()) == 2003  # + Wardship's own two and Graph
    # organisation and policies 5, agents 1, five lists of 1,001 to 1,002 rows 2 each (+1 managed identities),
    # audit, consents, roles 2, reports 2, people 1 or 3, one token
    assert connector.stats.api_calls <= 27


def test_only_people_who_are_named_are_asked_for_when_that_is_cheaper() -> None:
    sim = tenant()
    for number in range(4000):
        sim.add_user(f"P {number}", f"p{number}@acme.example")
    one = sim.add_user("Owner", "owner@acme.example")
    sim.add_application("x", owners=[one])
    found = records(scan(sim.connection(people="referenced")))
    assert [p.native_id for p in of(Person, found)] == [one]


def test_an_approver_who_was_deleted_is_told_as_gone_only_after_a_point_read() -> None:
    sim = tenant()
    sp = sim.add_service_principal("S")
    sim.consent(sp, "User.Read", by="99999999-9999-4999-8999-999999999999", at=NOW - timedelta(days=1))
    there = sim.add_user("Here", "here@acme.example")
    sim.add_application("a", owners=[there])
    sim.faults.add(Wrong.EMPTY, "GET /v1.0/users?")  # the list lies: nobody works here
    people = {p.native_id: p.active for p in of(Person, records(scan(sim.connection())))}
    assert people == {"99999999-9999-4999-8999-999999999999": False, there: True}


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("permission", "unread"),
    [
        ("DelegatedPermissionGrant.Read.All", {"delegated_consent"}),
        ("User.Read.All", {"user"}),
        ("RoleManagement.Read.Directory", {"directory_role"}),
        ("AgentIdentity.Read.All", {"agent_identity"}),
        ("AuditLog.Read.All", {"consent_audit", "sign_in_activity", "credential_activity"}),
        (
            "Application.Read.All",
            {
                "application",
                "service_principal",
                "federated_credential",
                "app_role_assignment",
                "sign_in_activity",
                "delegated_consent",
            },
        ),
    ],
)
def test_a_missing_permission_skips_its_scopes_by_name_and_no_other(permission: str, unread: set[str]) -> None:
    sim = tenant()
    populate_small(sim)
    got = read_all(entra.connect(sim.connection(roles=READER_ROLES.replace(permission, ""))))
    assert {scope.kind.removeprefix("entra.") for scope, part in got.items() if part.error} == unread
    for part in got.values():
        if part.error:
            assert isinstance(part.error, MissingScope)
            assert part.error.scope == permission


@pytest.mark.parametrize("permission", ["Organization.Read.All", "Policy.Read.All"])
def test_the_tenant_is_told_without_what_may_not_be_read(permission: str) -> None:
    sim = tenant()
    connector = entra.connect(sim.connection(roles=READER_ROLES.replace(permission, "")))
    part = read_scope(connector, scope_of(connector, "tenant"))
    assert part.error is None
    assert {problem.permission for problem in part.problems} == {permission}
    [system] = of(System, part.records)
    assert ("admin_consent_workflow" in system.attributes) is (permission != "Policy.Read.All")


def test_without_a_licence_use_is_unknown_and_never_never() -> None:
    sim = tenant(premium=False)
    populate_small(sim)
    got = read_all(entra.connect(sim.connection()))
    refused = {scope.kind.removeprefix("entra.") for scope, part in got.items() if isinstance(part.error, NotVisible)}
    assert refused == {"consent_audit", "sign_in_activity", "credential_activity"}
    found = records(got)
    assert of(Usage, found) == []
    assert of(Grant, found, permission="openid")[0].granted_by is None


def test_a_cloud_without_agent_identities_is_read_without_them() -> None:
    sim = tenant()
    populate_small(sim)
    sim.faults.add(Wrong.UNAVAILABLE, "microsoft.graph.agentIdentity", status=400, code="BadRequest", times=99)
    got = read_all(entra.connect(sim.connection()))
    assert {s.kind for s, part in got.items() if part.error} == {"entra.agent_identity"}
    # that it is an agent is still seen by its type
    assert of(Identity, records(got), kind=IdentityKind.AI_AGENT)


def test_an_expired_page_token_restarts_the_scope() -> None:
    sim = tenant()
    made_up(1100, sim)
    connector = entra.connect(sim.connection())
    scope = scope_of(connector, "application")
    first = next(iter(connector.fetch(scope, None)))
    sim.faults.add(Wrong.EXPIRED_PAGE, "skiptoken", code="Directory_ExpiredPageToken")
    with pytest.raises(UnexpectedResponse) as refused:
        list(connector.fetch(scope, first.next_token))
    assert refused.value.operation == "token"


def test_a_resumed_scan_names_permissions_that_an_earlier_process_had_read() -> None:
    sim = tenant()
    ids = populate_small(sim)
    fresh = entra.connect(sim.connection())
    got = read_scope(fresh, scope_of(fresh, "app_role_assignment"))
    assert {"Mail.Read", "User.Read.All"} <= {g.permission for g in of(Grant, got.records)}
    usage = read_scope(fresh, scope_of(fresh, "sign_in_activity"))
    assert ids["app_sp"] in {u.subject[2] for u in of(Usage, usage.records)}


# ------------------------------------------------------------------ signing in and settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tenant_id": "acme.onmicrosoft.com"}, "GUID"),
        ({"cloud": "mars"}, "no cloud"),
        ({"client_id": ""}, "client_id"),
    ],
)
def test_wrong_settings_are_refused_with_the_next_step(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        entra.connect(tenant().connection(**settings))
    assert refused.value.advice


def pem_of(days: int = 30) -> tuple[str, str]:
    """(certificate, private key) in PEM, valid around NOW."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wardship")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=days))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def test_a_certificate_opens_the_tenant_and_a_strangers_does_not() -> None:
    sim = tenant()
    connection = sim.connection()
    certificate, key = pem_of()
    app = next(row for row in sim.apps.visible() if row["displayName"] == "Wardship")
    sim.add_certificate(app["id"], start=NOW, end=NOW + timedelta(days=30), thumbprint="CD" * 20, pem=certificate)
    signed_in = dataclasses.replace(
        connection,
        settings={**connection.settings, "certificate": "file:x"},
        secret=lambda _name: Secret(certificate + key),
    )
    assert records(scan(signed_in))
    stranger = "".join(pem_of())
    refused = entra.connect(dataclasses.replace(signed_in, secret=lambda _name: Secret(stranger)))
    assert isinstance(read_scope(refused, scope_of(refused, "application")).error, AuthenticationFailed)


def test_an_access_token_is_enough_and_an_opaque_one_tells_no_roles() -> None:
    sim = tenant()
    sim.grant("opaque", *READER_ROLES.split())
    settings = {"tenant_id": sim.tenant_id, "access_token": "env:T"}
    connection = dataclasses.replace(sim.connection(), settings=settings, secret=lambda _name: Secret("opaque"))
    connector = entra.connect(connection)
    allowed = {(line.capability.value, line.permission): line.allowed for line in connector.check()}
    assert allowed["discover", "Application.Read.All"] is True
    assert allowed["rotate", "Application.ReadWrite.OwnedBy"] is None


def test_the_check_tells_what_is_missing() -> None:
    sim = tenant(premium=False)
    connector = entra.connect(sim.connection(roles=READER_ROLES.replace("Policy.Read.All", "")))
    lines = {(line.capability.value, line.permission): line for line in connector.check()}
    assert lines["discover", "Policy.Read.All"].allowed is False
    assert lines["discover", "Application.Read.All"].allowed is True
    assert "licence" in lines["usage", "AuditLog.Read.All"].detail
    assert lines["rotate", "Application.ReadWrite.OwnedBy"].allowed is False


# ------------------------------------------------------------------ strange things


def test_a_new_kind_of_service_principal_is_unknown_and_counted() -> None:
    sim = tenant()
    sp = sim.add_service_principal("odd", kind="QuantumIdentity")
    connector = entra.connect(sim.connection())
    found = read_scope(connector, scope_of(connector, "service_principal")).records
    [identity] = of(Identity, found, native_id=sp)
    assert (identity.kind, identity.subtype) == (IdentityKind.UNKNOWN, "servicePrincipal/QuantumIdentity")
    assert connector.drift.counts == {("servicePrincipal.servicePrincipalType", "value 'QuantumIdentity'"): 1}


HOSTILE = [
    "=cmd|'/c calc'!A1",
    "<script>alert(1)</script>",
    "\x1b[2J",
    "a\x00b",
    "\ud800",
    "\u202egnp.exe",
    "x" * 100_000,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text_that_a_database_takes(name: str) -> None:
    parser = Parser("t", DriftLog())
    [identity] = parser.parse("entra.application", {"id": "a", "appId": "b", "displayName": name})
    assert isinstance(identity, Identity)
    assert identity.name is not None
    assert "\x00" not in identity.name
    assert len(identity.name) <= 4096
    identity.name.encode()


@pytest.mark.parametrize("ident", ["..", ".", "../users", "a/b", "", None, 7, "a?b", "a b", "\ud800", "x" * 300])
def test_an_id_that_could_lead_elsewhere_is_quarantined(ident: Any) -> None:
    with pytest.raises(DataError):
        Parser("t", DriftLog()).parse("entra.application", {"id": ident})


def test_ten_thousand_malformed_items_are_ten_thousand_data_errors() -> None:
    parser = Parser("t", DriftLog())
    broken: list[Any] = [
        None,
        "text",
        [],
        {},
        {"id": None},
        {"id": "a", "passwordCredentials": "x"},
        {"id": "a", "keyCredentials": [1]},
        {"id": "a", "passwordCredentials": [{"displayName": "without a key id"}]},
        {"id": "a", "owners": [None]},
        {"id": "a", "owners": [{"@odata.type": "#microsoft.graph.user", "displayName": "x", "id": "../.."}]},
    ]
    refused = 0
    for number in range(10_000):
        try:
            parser.parse("entra.application", broken[number % len(broken)])
        except DataError:
            refused += 1
    assert refused == 10_000


def test_the_password_of_a_signing_certificate_is_no_client_secret() -> None:
    both = {
        "id": "a",
        "passwordCredentials": [{"keyId": "k1"}],
        "keyCredentials": [{"keyId": "k1", "usage": "Sign", "type": "X509CertAndPassword"}],
    }
    found = Parser("t", DriftLog()).parse("entra.application", both)
    assert [c.type for c in of(Credential, found)] == [CredentialType.CERTIFICATE]


@pytest.mark.parametrize(
    ("identifier", "thumbprint"),
    [
        ("ab" * 20, "AB" * 20),
        (
            "lY85bR8r6yWTW6jnciNEONwlVhDyiQjdVLgPDnkI5mA=",
            "958F396D1F2BEB25935BA8E772234438DC255610F28908DD54B80F0E7908E660",
        ),
        ("not a thumbprint", None),
        ("\ud800", None),
    ],
)
def test_a_thumbprint_is_read_in_both_forms(identifier: str, thumbprint: str | None) -> None:
    item = {"id": "a", "keyCredentials": [{"keyId": "k", "customKeyIdentifier": identifier}]}
    [certificate] = of(Credential, Parser("t", DriftLog()).parse("entra.application", item))
    assert certificate.fingerprint == thumbprint
