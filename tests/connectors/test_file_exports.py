"""Exports of other tools: recognised by what they hold, and told under the ids that the systems themselves use."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from wardship.connectors import file
from wardship.connectors.file.export import exports, recognised
from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage
from wardship.model.errors import ConfigError, DataError
from wardship.model.exposure import Exposure, Place
from wardship.model.identity import Identity, IdentityKind, Person, Standing, System
from wardship.model.owner import Owner
from wardship.sdk.connector import Connection, Record

TENANT = "11111111-2222-3333-4444-555555555555"
SP, APP, ANA, ROLE = (f"{n}0000000-0000-0000-0000-000000000001" for n in "abcd")
APP_ID = "E0000000-0000-0000-0000-00000000000E"
DOMAIN = "S-1-5-21-1-22-333"
SVC, HOST, PERSON = (f"{DOMAIN}-{rid}" for rid in (1105, 1200, 1300))
PHRASE = "Xk29!" + "fjQ2pz7"
Clock = Callable[[], datetime]
Kind = TypeVar("Kind")


def connection(clock: Clock) -> Connection:
    return Connection(name="import", connector="file", clock=clock)


def read(path: Path, clock: Clock) -> tuple[list[Record], list[str]]:
    """(records, reasons of what was quarantined) of a file that is recognised."""
    reader = file.import_files([path], connection(clock))
    records: list[Record] = []
    reasons: list[str] = []
    for scope in reader.scopes():
        assert scope.connector == "file"
        pages = list(reader.fetch(scope, None))
        assert pages[-1].problems, "an export of another tool is never the whole"
        for item in (item for page in pages for item in page.items):
            try:
                records.extend(reader.parse(scope, item))
            except DataError as refused:
                reasons.append(refused.message)
    return records, reasons


def only(records: Sequence[Record], kind: type[Kind]) -> list[Kind]:
    return [record for record in records if isinstance(record, kind)]


def by_id(records: Sequence[Record]) -> Mapping[str, Identity]:
    return {one.native_id: one for one in only(records, Identity)}


def written(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


# ------------------------------------------------------------------ BloodHound


def users() -> dict[str, Any]:
    def properties(name: str, **more: Any) -> dict[str, Any]:
        return {
            "name": f"{name}@ACME.LOCAL",
            "samaccountname": name,
            "enabled": True,
            "whencreated": 1600000000,
            **more,
        }

    ace = {"PrincipalSID": HOST, "PrincipalType": "Computer", "RightName": "GenericAll", "IsInherited": False}
    owns = {"PrincipalSID": PERSON, "PrincipalType": "User", "RightName": "Owns", "IsInherited": False}
    group = {"PrincipalSID": f"{DOMAIN}-512", "PrincipalType": "Group", "RightName": "GenericAll"}
    service = properties(
        "svc-sql", hasspn=True, serviceprincipalnames=["MSSQLSvc/db1"], pwdlastset=1600000001, pwdneverexpires=True,
        lastlogontimestamp=1700000000, description="password: " + PHRASE, unixpassword=PHRASE,
    )  # fmt: skip
    data = [
        {"ObjectIdentifier": SVC, "Properties": service, "Aces": [ace, owns, group]},
        {"ObjectIdentifier": PERSON, "Properties": properties("ana", email="ana@acme.example"), "Aces": []},
        {"ObjectIdentifier": f"{DOMAIN}-1400", "Properties": properties("web$", gmsa=True, lastlogon=-1), "Aces": []},
        {"ObjectIdentifier": "ACME.LOCAL-S-1-5-20", "Properties": {}, "Aces": []},
        {"ObjectIdentifier": 7},
    ]
    return {"data": data, "meta": {"methods": 0, "type": "users", "count": 5, "version": 6}}


def test_bloodhound_collector(tmp_path: Path, clock: Clock) -> None:
    records, reasons = read(written(tmp_path / "users.json", users()), clock)
    found = by_id(records)
    assert set(found) == {SVC, f"{DOMAIN}-1400"}
    service = found[SVC]
    assert (service.authority, service.kind) == (f"ad:{DOMAIN}", IdentityKind.DIRECTORY_ACCOUNT)
    assert service.aliases == (("ad:sid", SVC),)
    assert (service.standing, service.enabled) == (Standing.UNKNOWN, True)
    assert found[f"{DOMAIN}-1400"].kind is IdentityKind.MANAGED_SERVICE_ACCOUNT
    (person,) = only(records, Person)
    assert (person.native_id, person.email) == (PERSON, "ana@acme.example")
    password = only(records, Credential)[0]
    assert (password.type, password.no_expiry) == (CredentialType.PASSWORD, True)
    assert password.last_rotated_at == datetime.fromtimestamp(1600000001, UTC)
    assert {(one.identity[1], one.permission, one.tier) for one in only(records, Grant)} == {
        (HOST, "GenericAll", Tier.CONTROL_PLANE),
        (PERSON, "Owns", Tier.CONTROL_PLANE),
    }
    assert [(one.identity[1], one.claim) for one in only(records, Owner)] == [(SVC, PERSON)]
    assert len(reasons) == 1


def test_local_administrators_of_a_computer(tmp_path: Path, clock: Clock) -> None:
    told = {SVC: "User", f"{DOMAIN}-512": "Group"}
    members = [{"ObjectIdentifier": sid, "ObjectType": kind} for sid, kind in told.items()]
    group = {"ObjectIdentifier": f"{HOST}-544", "Name": "ADMINISTRATORS@DB1", "Results": members}
    data = [{"ObjectIdentifier": HOST, "Properties": {"name": "DB1.ACME.LOCAL"}, "LocalGroups": [group]}]
    content = {"meta": {"type": "computers", "count": 1, "version": 6}, "data": data}
    records, reasons = read(written(tmp_path / "computers.json", content), clock)
    assert not reasons
    assert by_id(records)[HOST].kind is IdentityKind.DEVICE
    (grant,) = only(records, Grant)
    assert (grant.identity[1], grant.permission, grant.resource) == (SVC, "AdminTo", "DB1.ACME.LOCAL")


def test_passwords_in_remarks_and_attributes_of_a_directory_do_not_leave_the_file(tmp_path: Path, clock: Clock) -> None:
    reader = file.import_files([written(tmp_path / "users.json", users())], connection(clock))
    (scope,) = reader.scopes()
    text = repr(list(reader.fetch(scope, None)))
    assert "svc-sql" in text
    assert PHRASE not in text


def azure() -> dict[str, Any]:
    secret = {"keyId": ROLE, "endDateTime": "2027-01-01T00:00:00Z", "hint": "Xk2", "secretText": None}
    sp = {"id": SP, "appId": APP_ID, "tenantId": TENANT, "displayName": "Deploy", "servicePrincipalType": "Application"}
    app = {"id": APP, "appId": APP_ID, "tenantId": TENANT, "displayName": "Deploy", "passwordCredentials": [secret]}
    role = {"principalId": SP, "principalType": "ServicePrincipal", "appRoleId": ROLE, "tenantId": TENANT}
    owners = {"appId": APP_ID, "tenantId": TENANT, "owners": [{"owner": {"id": ANA, "mail": "ana@acme.example"}}]}
    person = {"id": ANA, "tenantId": TENANT, "displayName": "Ana", "accountEnabled": False}
    kinds = {
        "AZTenant": {"tenantId": TENANT, "displayName": "Acme"}, "AZServicePrincipal": sp, "AZApp": app,
        "AZAppRoleAssignment": role, "AZAppOwner": owners, "AZUser": person, "AZVM": {"id": "/subscriptions/1"},
    }  # fmt: skip
    data = [{"kind": kind, "data": told} for kind, told in kinds.items()]
    return {"data": data, "meta": {"type": "azure", "count": len(data), "version": 5}}


def test_azurehound_has_the_keys_of_entra(tmp_path: Path, clock: Clock) -> None:
    records, reasons = read(written(tmp_path / "azure.json", azure()), clock)
    assert not reasons
    found = by_id(records)
    assert set(found) == {SP, APP}
    assert {one.aliases for one in found.values()} == {((f"entra:{TENANT}:appid", APP_ID.lower()),)}
    assert (found[SP].rank, found[APP].rank) == (0, 1)
    (secret,) = only(records, Credential)
    assert (secret.native_id, secret.type) == (f"{APP}/{ROLE}", CredentialType.CLIENT_SECRET)
    assert "Xk2" not in repr(records)
    assert only(records, Owner)[0].identity == (f"entra:{TENANT}:appid", APP_ID.lower())
    assert only(records, Person)[0].active is False


def opengraph() -> dict[str, Any]:
    nodes = [
        {"id": SVC, "kinds": ["User", "Base"], "properties": {"name": "SVC", "hasspn": True}},
        {
            "id": SP.upper(),
            "kinds": ["AZBase", "AZServicePrincipal"],
            "properties": {"tenantid": TENANT, "appid": APP_ID},
        },
        {"id": "repo-1", "kinds": ["GHRepository"], "properties": {}},
    ]
    edges = [
        {"kind": "AdminTo", "start": {"value": SVC}, "end": {"value": HOST}},
        {"kind": "AZMGGrantRole", "start": {"value": SP, "match_by": "id"}, "end": {"value": TENANT}},
        {"kind": "GH_CanPush", "start": {"value": "someone"}, "end": {"value": "repo-1"}},
        {"kind": "AdminTo", "start": {"value": SVC, "match_by": "name"}, "end": {"value": HOST}},
    ]
    return {"metadata": {"source_kind": "Base"}, "graph": {"nodes": nodes, "edges": edges}}


def test_opengraph_nodes_and_the_edges_that_begin_at_them(tmp_path: Path, clock: Clock) -> None:
    records, reasons = read(written(tmp_path / "graph.json", opengraph()), clock)
    assert not reasons
    assert set(by_id(records)) == {SVC, SP}
    assert [(one.identity, one.permission, one.tier) for one in only(records, Grant)] == [
        ((f"ad:{DOMAIN}", SVC), "AdminTo", Tier.CONTROL_PLANE),
        ((f"entra:{TENANT}", SP), "AZMGGrantRole", Tier.CONTROL_PLANE),
    ]


# ------------------------------------------------------------------ ROADrecon


def roadrecon(path: Path, tenants: int = 1) -> Path:
    database = sqlite3.connect(path)
    database.executescript(
        "CREATE TABLE TenantDetails (objectId TEXT, displayName TEXT);"
        "CREATE TABLE ServicePrincipals (objectId TEXT, appId TEXT, displayName TEXT, accountEnabled BOOLEAN,"
        " servicePrincipalType TEXT, appOwnerTenantId TEXT, passwordCredentials TEXT, keyCredentials TEXT,"
        " appRoles TEXT);"
        "CREATE TABLE Applications (objectId TEXT, appId TEXT, displayName TEXT, passwordCredentials TEXT);"
        "CREATE TABLE AppRoleAssignments (objectId TEXT, id TEXT, principalId TEXT, principalType TEXT,"
        " resourceId TEXT, resourceDisplayName TEXT, creationTimestamp DATETIME);"
        "CREATE TABLE OAuth2PermissionGrants (objectId TEXT, clientId TEXT, consentType TEXT, principalId TEXT,"
        " resourceId TEXT, scope TEXT);"
        "CREATE TABLE Users (objectId TEXT, displayName TEXT, mail TEXT, accountEnabled BOOLEAN);"
        "CREATE TABLE lnk_application_owner_user (Application TEXT, User TEXT);"
        "CREATE TABLE DirectoryRoles (objectId TEXT, displayName TEXT);"
        "CREATE TABLE lnk_role_member_serviceprincipal (DirectoryRole TEXT, ServicePrincipal TEXT);"
    )
    for number in range(tenants):
        database.execute("INSERT INTO TenantDetails VALUES (?, 'Acme')", [TENANT[:-1] + str(5 + number)])
    dates = {"startDate": "2026-01-01T00:00:00Z", "endDate": "2027-01-01T00:00:00"}
    secret = json.dumps([{"keyId": ROLE, **dates, "value": "V"}])
    roles = json.dumps([{"id": ROLE, "value": "Mail.Send"}, {"id": ANA}, 7])
    rows: list[tuple[str, list[Any]]] = [
        ("ServicePrincipals", [SP, APP_ID, "Deploy", 1, "Application", TENANT, secret, "[]", roles]),
        ("ServicePrincipals", ["nobody", APP_ID, b"\xff", 1, None, None, "[]", "[", "[7"]),
        ("Applications", [APP, APP_ID, "Deploy", None]),
        ("AppRoleAssignments", ["x", ROLE, SP, "ServicePrincipal", APP, "Graph", "2026-03-04 09:14:00"]),
        ("OAuth2PermissionGrants", ["y", SP, "AllPrincipals", None, APP, "Mail.Read openid"]),
        ("Users", [ANA, "Ana", "ana@acme.example", 0]),
        ("lnk_application_owner_user", [APP, ANA]),
        ("DirectoryRoles", [ROLE, "Global Administrator"]),
        ("lnk_role_member_serviceprincipal", [ROLE, SP]),
    ]
    for table, values in rows:
        database.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(values))})", values)
    database.commit()
    database.close()
    return path


def test_roadrecon(tmp_path: Path, clock: Clock) -> None:
    path = roadrecon(tmp_path / "roadrecon.db")
    before = path.read_bytes()
    records, reasons = read(path, clock)
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["roadrecon.db"], "nothing is written beside it"
    found = by_id(records)
    assert set(found) == {SP, APP}
    assert found[SP].standing is Standing.OWN
    assert {one.authority for one in found.values()} == {f"entra:{TENANT}"}
    (secret,) = only(records, Credential)
    assert secret.native_id == f"{SP}/{ROLE}"
    assert secret.expires_at == datetime(2027, 1, 1, tzinfo=UTC)
    grants = {(one.permission, one.resource, one.tenant_wide) for one in only(records, Grant)}
    assert grants == {
        ("Mail.Send", "Graph", None),
        ("Mail.Read", APP, True),
        ("openid", APP, True),
        ("Global Administrator", "directory", True),
    }
    assert [one.person for one in only(records, Owner)] == [(f"entra:{TENANT}", ANA)]
    assert len(reasons) == 1
    assert '"V"' not in repr(records)


def test_a_database_of_two_tenants_or_with_a_view_in_place_of_a_table_is_refused(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(ConfigError, match="one tenant"):
        file.import_files([roadrecon(tmp_path / "two.db", tenants=2)], connection(clock))
    path = roadrecon(tmp_path / "view.db")
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE TenantDetails")
        database.execute(
            "CREATE VIEW TenantDetails AS WITH RECURSIVE c(objectId) AS (SELECT 'x' UNION ALL SELECT objectId FROM c)"
            " SELECT objectId FROM c"
        )
    database.close()
    assert recognised(path) is None


# ------------------------------------------------------------------ GAM, cartography


def test_gam_tokens_service_accounts_and_administrators(tmp_path: Path, clock: Clock) -> None:
    tokens = (
        "user,clientId,displayText,anonymous,nativeApp,userKey,scopes\n"
        "Ana@acme.example,77.apps.googleusercontent.com,Calendar tool,False,True,1,https://a/x.readonly https://a/y\n"
        "eva@acme.example,,no id,False,False,2,https://a/x\n"
    )
    records, reasons = read(written(tmp_path / "tokens.csv", tokens), clock)
    assert {one.authority for one in only(records, Identity)} == {"google:acme.example"}
    assert [(one.permission, one.tier, one.granted_by) for one in only(records, Grant)] == [
        ("https://a/x.readonly", Tier.SENSITIVE_READ, "ana@acme.example"),
        ("https://a/y", Tier.UNKNOWN, "ana@acme.example"),
    ]
    assert len(reasons) == 1
    email = "robot@shop-1.iam.gserviceaccount.com"
    header = "User,projectId,name,email,uniqueId,displayName,oauth2ClientId\n"
    accounts = f"{header}ana@acme.example,shop-1,n,{email},12,Robot,12\n"
    records, reasons = read(written(tmp_path / "accounts.csv", accounts), clock)
    assert (by_id(records)[email].authority, not reasons) == ("gcp:shop-1", True)
    admins = (
        "roleAssignmentId,roleId,role,assignedTo,assignedToUser,assignedToGroup,assignedToServiceAccount,scopeType,orgUnit\n"
        f"1,2,_SEED_ADMIN_ROLE,3,,,{email},CUSTOMER,\n1,2,_SEED_ADMIN_ROLE,4,ana@acme.example,,,CUSTOMER,\n"
    )
    records, reasons = read(written(tmp_path / "admins.csv", admins), clock)
    (grant,) = only(records, Grant)
    assert (grant.identity, grant.tier, grant.tenant_wide) == (("gcp:shop-1", email), Tier.CONTROL_PLANE, True)


ARN = "arn:aws:iam::123456789012:user/ci/deployer"
NODES: list[tuple[str, dict[str, Any]]] = [
    ("EntraServicePrincipal", {"id": SP, "app_id": APP_ID, "display_name": "Deploy", "account_enabled": True}),
    ("EntraTenant", {"id": TENANT}),
    ("AWSUser", {"arn": ARN, "userid": "AIDAEXAMPLE", "name": "deployer", "inline": "dropped"}),
    ("AccountAccessKey", {"accesskeyid": "AKIAEXAMPLE", "status": "Active", "createdate": "2025-03-04 09:14:00+00:00"}),
    ("GCPServiceAccount", {"id": "12", "email": "robot@shop-1.iam.gserviceaccount.com", "disabled": False}),
    ("KubernetesServiceAccount", {"name": "api", "namespace": "billing", "cluster_name": "prod"}),
    ("S3Bucket", {"id": "x"}),
]


def apoc_lines() -> str:
    lines: list[dict[str, Any]] = [
        {"type": "node", "id": str(n), "labels": [label, "Base"], "properties": properties}
        for n, (label, properties) in enumerate(NODES)
    ]
    ends = {"start": {"id": "2", "labels": ["AWSUser"]}, "end": {"id": "3", "labels": ["AccountAccessKey"]}}
    lines.append({"type": "relationship", "id": "0", "label": "AWS_ACCESS_KEY", **ends})
    return "\n".join(map(json.dumps, lines)) + "\n"


def apoc_csv() -> str:
    columns = [
        "_id",
        "_labels",
        *dict.fromkeys(name for _label, told in NODES for name in told),
        "_start",
        "_end",
        "_type",
    ]
    rows = [{"_id": n, "_labels": f":Base:{label}", **told} for n, (label, told) in enumerate(NODES)]
    rows.append({"_start": 2, "_end": 3, "_type": "AWS_ACCESS_KEY"})
    return (
        "\n".join([",".join(columns), *(",".join(str(row.get(name, "")) for name in columns) for row in rows)]) + "\n"
    )


def query_json() -> str:
    return json.dumps(
        [{"n": {"identity": n, "labels": [label], "properties": told}} for n, (label, told) in enumerate(NODES)]
    )


@pytest.mark.parametrize(("name", "text"), [("g.json", apoc_lines), ("g.csv", apoc_csv), ("q.json", query_json)])
def test_cartography(tmp_path: Path, clock: Clock, name: str, text: Callable[[], str]) -> None:
    records, reasons = read(written(tmp_path / name, text()), clock)
    found = by_id(records)
    assert {(one.authority, one.native_id) for one in found.values()} == {
        (f"entra:{TENANT}", SP),
        ("aws:123456789012", ARN),
        ("gcp:shop-1", "robot@shop-1.iam.gserviceaccount.com"),
        ("kubernetes:prod", "system:serviceaccount:billing:api"),
    }
    assert found[ARN].aliases == (("aws:123456789012", "AIDAEXAMPLE"),)
    if name == "q.json":
        assert reasons == ["an access key whose user the file does not tell"], "a query of nodes has no relations"
    else:
        (key,) = only(records, Credential)
        assert (key.identity, key.public_id, key.enabled) == (("aws:123456789012", ARN), "AKIAEXAMPLE", True)
        assert only(records, Usage)[0].subject[2] == key.native_id
        assert not reasons


# ------------------------------------------------------------------ prowler, trivy


def finding(uid: str, check: str, status: str, provider: str = "aws") -> dict[str, Any]:
    return {
        "metadata": {"event_code": check, "product": {"name": "Prowler"}},
        "status_code": status,
        "cloud": {"provider": provider, "region": "eu-west-1", "account": {"uid": "123456789012", "name": "shop"}},
        "resources": [{"uid": uid, "name": uid.rpartition("/")[2], "type": "AwsIamUser", "region": "eu-west-1"}],
    }


def test_prowler_tells_principals_and_keeps_its_verdicts_to_itself(tmp_path: Path, clock: Clock) -> None:
    findings = [
        finding(ARN, "iam_user_two_active_access_key", "FAIL"),
        finding("arn:aws:s3:::bucket", "s3_bucket_public", "FAIL"),
        finding(ARN, "iam_user_accesskey_unused", "PASS"),
        finding("arn:aws:iam::123456789012:role/deploy", "iam_role_x", "FAIL"),
    ]
    ocsf = read(written(tmp_path / "p.ocsf.json", findings), clock)
    columns = "FINDING_UID PROVIDER ACCOUNT_UID ACCOUNT_NAME CHECK_ID STATUS RESOURCE_UID RESOURCE_NAME REGION".split()
    lines = [
        ";".join(("f", "aws", "123456789012", "shop", one["metadata"]["event_code"], one["status_code"],
                  one["resources"][0]["uid"], one["resources"][0]["name"], "eu-west-1"))
        for one in findings
    ]  # fmt: skip
    table = read(written(tmp_path / "p.csv", "\n".join([";".join(columns), *lines]) + "\n"), clock)
    assert ocsf == table
    records, reasons = ocsf
    assert not reasons
    assert {type(one) for one in records} == {System, Identity}
    found = by_id(records)
    assert set(found) == {ARN, "arn:aws:iam::123456789012:role/deploy"}
    assert found[ARN].attributes["prowler"] == {
        "iam_user_two_active_access_key": "FAIL",
        "iam_user_accesskey_unused": "PASS",
    }
    assert found[ARN].kind is IdentityKind.UNKNOWN


def report(clear: str) -> dict[str, Any]:
    line = {"Number": 5, "Content": f"export GITHUB_PAT={clear}", "IsCause": False, "Highlighted": clear}
    secret = {
        "RuleID": "aws-access-key-id", "Category": "AWS", "Severity": "CRITICAL", "Title": "AWS Access Key ID",
        "StartLine": 3, "EndLine": 3, "Match": f"AWS_ACCESS_KEY_ID=**** {clear}", "Code": {"Lines": [line]},
    }  # fmt: skip
    vulnerable = [{"VulnerabilityID": f"CVE-{n}", "Description": "x" * 500} for n in range(5_000)]
    return {
        "SchemaVersion": 2, "CreatedAt": "2026-03-04T09:14:00Z", "ArtifactName": "registry.example/app:1.2",
        "ArtifactType": "container_image", "Metadata": {"OS": {"Family": "alpine"}},
        "Results": [
            {"Target": "app (alpine)", "Class": "os-pkgs", "Vulnerabilities": vulnerable},
            {"Target": "/app/.env.production", "Class": "secret", "Secrets": [secret, {"RuleID": 7}]},
            {"Target": "main.tf", "Class": "config", "Misconfigurations": [{"ID": "DS002"}]},
        ],
    }  # fmt: skip


def test_trivy_tells_places_and_no_text(tmp_path: Path, clock: Clock) -> None:
    clear = "ghp_" + "a1B2" * 9
    path = written(tmp_path / "trivy.json", report(clear))
    records, reasons = read(path, clock)
    (found,) = only(records, Exposure)
    assert (found.authority, found.location, found.line) == (
        "image:registry.example/app:1.2",
        "/app/.env.production",
        3,
    )
    assert (found.place, found.environment, found.fingerprint) == (Place.DOTENV, "production", None)
    assert found.credential_type is CredentialType.ACCESS_KEY
    assert len(reasons) == 1, "results of over a megabyte that are about something else are passed over"
    reader = file.import_files([path], connection(clock))
    assert clear not in repr([list(reader.fetch(scope, None)) for scope in reader.scopes()]) + repr(records)


def test_every_format_is_recognised_by_one_module_only(tmp_path: Path) -> None:
    samples: dict[str, list[Any]] = {
        "bloodhound": [users(), azure(), opengraph()],
        "cartography": [apoc_lines(), apoc_csv(), query_json()],
        "prowler": [[finding(ARN, "c", "FAIL")]],
        "trivy": [report("x")],
    }
    for name, contents in samples.items():
        for content in contents:
            path = written(tmp_path / "sample", content)
            head = path.read_bytes()[:65_536]
            assert [one.NAME for one in exports() if one.recognise(path, head)] == [name]
    path = roadrecon(tmp_path / "r.db")
    assert [one.NAME for one in exports() if one.recognise(path, path.read_bytes()[:65_536])] == ["roadrecon"]
