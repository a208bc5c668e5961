"""The Vault connector against a real OpenBao: what is made over its API is read, and read again with fewer rights."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from psycopg import sql
from sqlalchemy import make_url

from wardship.connectors.vault import MANIFEST, connect, still_active
from wardship.connectors.vault.setup import DATA_POLICY, POLICY
from wardship.model.access import Credential, CredentialType, Grant, Tier, UseState
from wardship.model.errors import AuthenticationFailed
from wardship.model.identity import Identity, IdentityKind, System
from wardship.model.owner import Owner
from wardship.model.scan import Scope
from wardship.model.secret import Secret
from wardship.sdk.connector import Connection, Evidence
from wardship.sdk.testing import ScopeRead, read_all, read_scope
from wardship.secrets.fingerprint import fingerprint

ROOT = "wardship-test-root"
PEPPER = Secret("5a" * 32)
GITHUB = "https://token.actions.githubusercontent.com"
VALUE = "made up " + uuid.uuid4().hex  # of this run: nowhere else


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Bao:
    """One namespace of the shared server, with the calls that make things in it."""

    url: str
    name: str

    def call(self, method: str, path: str, body: Any = None, *, token: str = ROOT, namespace: str | None = None) -> Any:
        headers = {"X-Vault-Token": token, "X-Vault-Namespace": self.name if namespace is None else namespace}
        answer = httpx.request(method, f"{self.url}/v1/{path}", json=body, headers=headers, timeout=30)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json().get("data") or answer.json() if answer.content else None

    def write(self, path: str, **body: Any) -> Any:
        return self.call("POST", path, body)

    def mount(self, path: str, kind: str, **more: Any) -> None:
        self.write(f"sys/mounts/{path}", type=kind, **more)

    def connection(self, token: str = ROOT, **settings: str) -> Connection:
        return Connection(
            name="bao",
            connector="vault",
            settings={"url": self.url, "namespace": self.name, "private_network": "true", "token": "env:T", **settings},
            secret=lambda _name: Secret(token),
            clock=now,
            fingerprint=lambda value: fingerprint(PEPPER, value),
        )

    def token(self, **body: Any) -> tuple[str, str]:
        auth = self.write("auth/token/create", **body)["auth"]
        return auth["client_token"], auth["accessor"]


@pytest.fixture
def bao(openbao_url: str) -> Iterator[Bao]:
    made = Bao(openbao_url, f"t{uuid.uuid4().hex[:10]}")
    made.call("POST", f"sys/namespaces/{made.name}", {}, namespace="")
    yield made
    for _try in range(50):  # a child that is being removed is in the way for a moment
        answer = httpx.delete(f"{openbao_url}/v1/sys/namespaces/{made.name}", headers={"X-Vault-Token": ROOT})
        if answer.is_success:
            return
        time.sleep(0.1)
    pytest.fail(f"the namespace could not be removed: {answer.text}")


@pytest.fixture
def database(postgres_url: str) -> Iterator[tuple[str, str]]:
    """(URL as OpenBao wants it, name of a login role of the real PostgreSQL that it is to rotate)."""
    role = f"bao_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login password 'first'").format(sql.Identifier(role)))
        yield postgres_url, role
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def read(connection: Connection) -> dict[Scope, ScopeRead]:
    """What every scope gave."""
    found = read_all(connect(connection))
    assert all(part.error is None for part in found.values()), [part.error for part in found.values() if part.error]
    return found


def records(connection: Connection) -> list[Any]:
    return [record for part in read(connection).values() for record in part.records]


def whole(connection: Connection) -> dict[str, ScopeRead]:
    """What every scope gave, by its kind, where there is one namespace."""
    return {scope.kind: part for scope, part in read(connection).items()}


def of_root(url: str, kind: str) -> ScopeRead:
    """One kind of the root namespace, without those below it: other tests make and remove them meanwhile."""
    connector = connect(Bao(url, "").connection())
    scope = next(scope for scope in connector.scopes() if scope.kind == kind)
    return read_scope(connector, scope)


def of(found: list[Any], family: type, native_id: str) -> Any:
    (one,) = [record for record in found if isinstance(record, family) and record.native_id == native_id]
    return one


def held(found: list[Any], family: type, native_id: str) -> list[Any]:
    return [r for r in found if isinstance(r, family) and getattr(r, "identity", None) and r.identity[1] == native_id]


# ---------------------------------------------------------------- the server


def test_a_namespace_is_a_system_of_its_cluster(bao: Bao) -> None:
    bao.mount("kv", "kv", options={"version": "2"})
    bao.write("sys/namespaces/niño")
    found = [record for record in records(bao.connection()) if isinstance(record, System)]
    cluster = httpx.get(f"{bao.url}/v1/sys/seal-status").json()["cluster_id"]
    own, child = found
    assert own.authority == f"vault:{cluster}/{bao.name}"
    assert (child.authority, child.parent) == (f"{own.authority}/niño", own.authority)
    bao.call("DELETE", "sys/namespaces/niño")
    assert (own.kind, own.attributes["product"], own.attributes["sealed"]) == ("vault", "openbao", False)
    assert own.attributes["engines"]["kv/"] == "kv2"


def test_the_root_system_tells_whether_anything_is_audited(openbao_url: str) -> None:
    part = of_root(openbao_url, "vault.server")
    (system,) = part.records
    assert isinstance(system, System)
    assert system.attributes["audit_devices"] == ["file"]
    assert part.complete


# ---------------------------------------------------------------- who may open it


def test_an_approle_has_its_secret_ids_its_rights_and_its_entity(bao: Bao) -> None:
    bao.write("sys/auth/approle", type="approle")
    bao.mount("kv", "kv", options={"version": "2"})
    bao.write("sys/policies/acl/reader", policy='path "kv/data/shop/*" { capabilities = ["read"] }')
    bao.write("sys/policies/acl/admin", policy='path "sys/policies/acl/*" { capabilities = ["update", "sudo"] }')
    bao.write("auth/approle/role/shop", token_policies=["reader"], token_ttl="20m")
    role_id = bao.call("GET", "auth/approle/role/shop/role-id")["role_id"]
    lasting = bao.write("auth/approle/role/shop/secret-id", metadata='{"owner": "dana@example.org"}')
    ending = bao.write("auth/approle/role/shop/secret-id", ttl="1h", num_uses=3, cidr_list=["127.0.0.0/8"])
    login = bao.write("auth/approle/login", role_id=role_id, secret_id=lasting["secret_id"])["auth"]
    entity = login["entity_id"]
    group = bao.write("identity/group", name="ops", policies=["admin"], member_entity_ids=[entity])
    bao.write(f"identity/entity/id/{entity}", name="shop", metadata={"owner": "lee@example.org"}, policies=["reader"])
    found = records(bao.connection())

    role = of(found, Identity, "auth/approle/role/shop")
    assert (role.kind, role.subtype, role.name) == (IdentityKind.SECRETS_MANAGER_CLIENT, "approle", "shop")
    assert (role.attributes["secret_ids"], role.attributes["secret_required"]) == (2, True)
    first, second = (
        of(found, Credential, f"auth/approle/role/shop/secret-id/{made['secret_id_accessor']}")
        for made in (lasting, ending)
    )
    assert (first.type, first.no_expiry, first.expires_at) == (CredentialType.CLIENT_SECRET, True, None)
    assert (second.no_expiry, second.attributes["uses_left"]) == (False, 3)
    assert second.attributes["bound_cidrs"] == ["127.0.0.0/8"]
    assert timedelta(minutes=59) < second.expires_at - second.created_at <= timedelta(hours=1)
    (grant,) = held(found, Grant, "auth/approle/role/shop")
    assert (grant.permission, grant.resource, grant.via) == ("read", "kv/data/shop/*", "policy reader")
    assert (grant.tier, grant.tenant_wide) == (Tier.SENSITIVE_READ, False)
    assert [owner.claim for owner in held(found, Owner, role.native_id)] == ["dana@example.org"]

    person = of(found, Identity, f"identity/entity/id/{entity}")
    assert set(person.aliases) & set(role.aliases), "an entity and the AppRole that it logs in as are one identity"
    by_way = {(g.via, g.tier) for g in held(found, Grant, person.native_id)}
    assert by_way == {("policy reader", Tier.SENSITIVE_READ), ("group ops > policy admin", Tier.CONTROL_PLANE)}
    assert [owner.claim for owner in held(found, Owner, person.native_id)] == ["lee@example.org"]
    token = of(found, Credential, f"auth/token/accessor/{login['accessor']}")
    assert token.identity == (person.authority, person.native_id)
    assert group["id"]


def test_a_token_that_nobody_holds_is_an_identity_itself(bao: Bao) -> None:
    bao.write("sys/policies/acl/all", policy='path "*" { capabilities = ["read", "sudo", "update"] }')
    value, accessor = bao.token(
        policies=["all"], period="24h", no_parent=True, display_name="ci", meta={"owner": "x@y.zz"}
    )
    _, short = bao.token(policies=["default"], ttl="30m")
    bao.call("POST", "auth/token/renew-self", {}, token=value)
    found = records(bao.connection())
    name = f"auth/token/accessor/{accessor}"
    assert (of(found, Identity, name).subtype, of(found, Identity, name).name) == ("token", "token-ci")
    token = of(found, Credential, name)
    assert (token.type, token.attributes["period_s"], token.attributes["orphan"]) == (
        CredentialType.TOKEN,
        86_400,
        True,
    )
    (grant,) = held(found, Grant, name)
    assert (grant.tier, grant.tenant_wide, grant.resource) == (Tier.CONTROL_PLANE, True, "*")
    (use,) = [r for r in found if getattr(r, "subject", ("", "", ""))[2] == name]
    assert use.state is UseState.USED
    assert [owner.claim for owner in held(found, Owner, name)] == ["x@y.zz"]
    other = of(found, Credential, f"auth/token/accessor/{short}")
    assert (other.no_expiry, other.expires_at is not None) == (False, True)
    assert value not in repr(found)


def test_the_root_token_is_control_plane_without_an_end(openbao_url: str) -> None:
    found: list[Any] = of_root(openbao_url, "vault.token").records
    roots = [r for r in found if isinstance(r, Identity) and r.subtype == "root_token"]
    assert roots
    token = of(found, Credential, roots[0].native_id)
    assert token.no_expiry is True
    (grant,) = held(found, Grant, roots[0].native_id)
    assert (grant.permission, grant.tier, grant.tenant_wide) == ("root", Tier.CONTROL_PLANE, True)


def test_other_logins_are_read_with_what_they_demand(bao: Bao) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    for kind in ("jwt", "userpass", "kubernetes", "cert"):
        bao.write(f"sys/auth/{kind}", type=kind)
    bao.write("auth/jwt/config", jwt_validation_pubkeys=[pem], bound_issuer=GITHUB)
    shared = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"]}
    bao.write("auth/jwt/role/one", **shared, bound_subject="repo:acme/shop:ref:refs/heads/main")
    bao.write("auth/jwt/role/repository", **shared, bound_claims={"repository": "acme/shop"})
    bao.write("auth/jwt/role/anybody", **shared)
    bao.write("auth/jwt/role/wide", **shared, bound_claims_type="glob", bound_claims={"sub": "repo:acme/*"})
    bao.write("auth/userpass/users/backup", password=VALUE, token_policies=["default"])
    bao.write("auth/kubernetes/role/api", bound_service_account_names=["api"], bound_service_account_namespaces=["pay"])
    bao.mount("pki", "pki")
    root = bao.write("pki/root/generate/internal", common_name="acme root")["certificate"]
    bao.write("auth/cert/certs/host", certificate=root, allowed_common_names=["host.example.org"])
    found = records(bao.connection())

    issuer = GITHUB.removeprefix("https://")
    trusts = {r.identity[1]: r for r in found if isinstance(r, Credential) and r.type is CredentialType.FEDERATION}
    condition = {name: trust.attributes["condition"] for name, trust in trusts.items()}
    audience = f'"{issuer}:aud":"vault"'
    assert condition["auth/jwt/role/one"] == (
        f'{{"StringEquals":{{{audience},"{issuer}:sub":"repo:acme/shop:ref:refs/heads/main"}}}}'
    )
    assert condition["auth/jwt/role/anybody"] == f'{{"StringEquals":{{{audience}}}}}'
    assert condition["auth/jwt/role/wide"] == (
        f'{{"StringEquals":{{{audience}}},"StringLike":{{"{issuer}:sub":"repo:acme/*"}}}}'
    )
    assert f'"{issuer}:sub":"repo:acme/shop:*"' in condition["auth/jwt/role/repository"]
    assert trusts["auth/jwt/role/repository"].attributes["subject_from"] == "repository"
    assert '"kubernetes:sub":"system:serviceaccount:pay:api"' in condition["auth/kubernetes/role/api"]
    assert "host.example.org" in condition["auth/cert/certs/host"]
    assert {trusts[n].attributes["protocol"] for n in trusts if n.startswith("auth/jwt")} == {"oidc"}
    assert {trusts[n].name for n in trusts if n.startswith("auth/jwt")} == {issuer}
    assert of(found, Credential, "auth/jwt/config").type is CredentialType.IDENTITY_PROVIDER
    assert of(found, Credential, "auth/userpass/users/backup/password").type is CredentialType.PASSWORD
    assert VALUE not in repr(found)


# ---------------------------------------------------------------- what lies in it


def test_database_accounts_are_read_with_their_rotation(bao: Bao, database: tuple[str, str]) -> None:
    url, role = database
    parts = make_url(url)
    bao.mount("db", "database")
    bao.write(
        "db/config/main",
        plugin_name="postgresql-database-plugin",
        connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@{parts.host}:{parts.port}/postgres?sslmode=disable",
        username=parts.username,
        password=parts.password,
        allowed_roles=["*"],
    )
    bao.write("db/static-roles/report", db_name="main", username=role, rotation_period=3600)
    bao.write("db/roles/each", db_name="main", creation_statements=['create role "{{name}}"'], default_ttl="1h")
    found = records(bao.connection())
    account = of(found, Identity, "db/static-roles/report")
    assert (account.kind, account.subtype, account.name) == (IdentityKind.DATABASE_ACCOUNT, "static_role", role)
    password = of(found, Credential, "db/static-roles/report/password")
    assert now() - password.last_rotated_at < timedelta(minutes=5), "OpenBao sets a new password when it takes over"
    assert password.next_rotation_at - password.last_rotated_at == timedelta(hours=1)
    dynamic = of(found, Identity, "db/roles/each")
    assert (dynamic.subtype, dynamic.attributes["default_ttl_s"]) == ("dynamic_role", 3600)
    assert not held(found, Credential, "db/roles/each")
    own = of(found, Identity, "db/config/main")
    assert (own.name, own.attributes["host"]) == (parts.username, f"{parts.host}:{parts.port}")
    assert str(parts.password) not in repr([r for r in found if "db/" in getattr(r, "native_id", "")])


def test_issued_certificates_have_their_end_and_their_thumbprint(bao: Bao) -> None:
    bao.mount("pki", "pki")
    bao.write("pki/root/generate/internal", common_name="acme root", ttl="24h")
    bao.write("pki/roles/web", allow_any_name=True, key_type="ec", key_bits=256)
    kept, revoked = (bao.write("pki/issue/web", common_name=f"{n}.example.org", ttl="1h") for n in ("a", "b"))
    bao.write("pki/revoke", serial_number=revoked["serial_number"])
    found = records(bao.connection())
    good, bad = (of(found, Credential, f"pki/cert/{made['serial_number']}") for made in (kept, revoked))
    assert (good.type, good.name, good.enabled) == (CredentialType.CERTIFICATE, "a.example.org", True)
    assert int(good.expires_at.timestamp()) == kept["expiration"]
    thumbprint = x509.load_pem_x509_certificate(kept["certificate"].encode()).fingerprint(hashes.SHA256())
    assert good.public_id == thumbprint.hex().upper()
    assert bad.enabled is False
    assert bad.attributes["revoked_at"]
    limited = whole(bao.connection(pki_limit="1"))["vault.pki"]
    assert [problem.reason for problem in limited.problems] == ["budget"]
    assert len(limited.items) == 1


def test_entries_are_read_as_metadata_and_joined_only_when_asked(bao: Bao) -> None:
    bao.mount("kv", "kv", options={"version": "2"})
    bao.mount("old", "kv")
    time.sleep(1)  # a new version 2 engine upgrades itself first
    bao.write("kv/data/prod/shop/db", data={"password": VALUE, "nested": {"token": VALUE + "2"}, "pin": "123"})
    bao.write("kv/data/prod/shop/db", data={"password": VALUE, "nested": {"token": VALUE + "3"}, "pin": "123"})
    bao.write("kv/metadata/prod/shop/db", custom_metadata={"owner": "dana@example.org"})
    bao.write("kv/data/gone", data={"k": VALUE})
    bao.call("DELETE", "kv/data/gone")
    bao.write("old/plain/one", password=VALUE)
    found = records(bao.connection())
    entry = of(found, Credential, "kv/prod/shop/db")
    assert (entry.type, entry.stored_in, entry.enabled) == (CredentialType.STORED_SECRET, "vault", True)
    assert (entry.attributes["versions"], entry.attributes["environment"]) == (2, "production")
    assert entry.attributes["tags"] == {"owner": "dana@example.org"}
    assert entry.created_at < entry.last_rotated_at, "the newest version's date, not that of the metadata"
    assert of(found, Credential, "kv/gone").enabled is False
    assert of(found, Credential, "old/plain/one").created_at is None
    assert entry.fingerprint is None
    assert VALUE not in repr(found)

    joined = records(bao.connection(fingerprints="true"))
    keys = {r.native_id: r.fingerprint for r in joined if isinstance(r, Credential) and r.stored_in == "vault"}
    assert keys["kv/prod/shop/db#password"] == fingerprint(PEPPER, Secret(VALUE)) == keys["old/plain/one#password"]
    assert keys["kv/prod/shop/db#nested.token"] == fingerprint(PEPPER, Secret(VALUE + "3"))
    assert keys["kv/prod/shop/db#pin"] is None, "too short to say that two of them are one"
    assert keys["kv/gone"] is None
    assert VALUE not in repr(joined)


# ---------------------------------------------------------------- rights


def test_the_policy_of_the_setup_guide_is_enough_and_grants_no_value(bao: Bao) -> None:
    bao.write("sys/auth/approle", type="approle")
    bao.write("sys/auth/userpass", type="userpass")
    for mount, kind, options in (("kv", "kv", {"version": "2"}), ("pki", "pki", {}), ("db", "database", {})):
        bao.mount(mount, kind, options=options)
    time.sleep(1)
    bao.write("kv/data/a/b", data={"password": VALUE})
    bao.write("auth/userpass/users/u", password=VALUE)
    bao.write("pki/root/generate/internal", common_name="root")
    bao.write("sys/policies/acl/wardship-read", policy=POLICY)
    bao.write("auth/approle/role/wardship", token_policies=["wardship-read"], token_ttl="20m")
    role_id = bao.call("GET", "auth/approle/role/wardship/role-id")["role_id"]
    secret_id = bao.write("auth/approle/role/wardship/secret-id")["secret_id"]
    as_role = bao.connection(role_id=role_id, secret_id="env:S")
    settings = {name: value for name, value in as_role.settings.items() if name != "token"}
    connection = replace(as_role, settings=settings, secret=lambda _name: Secret(secret_id))
    parts = whole(connection)
    assert {kind: part.problems for kind, part in parts.items() if part.problems} == {}
    assert {"kv/a/b", "auth/approle/role/wardship"} <= {
        getattr(r, "native_id", "") for part in parts.values() for r in part.records
    }
    lines = {line.permission: line for line in connect(connection).check()}
    refused = {name for name, line in lines.items() if line.allowed is False}
    assert refused == {"read on +/data/*"}
    values = whole(replace(connection, settings={**settings, "fingerprints": "true"}))["vault.kv"]
    assert [problem.permission for problem in values.problems] == ["read on kv/data/a/b"]
    bao.write("sys/policies/acl/wardship-read", policy=POLICY + DATA_POLICY)
    values = whole(replace(connection, settings={**settings, "fingerprints": "true"}))["vault.kv"]
    assert not values.problems
    assert [r.native_id for r in values.records] == ["kv/a/b#password"]


def test_a_workload_s_own_token_is_a_way_in(bao: Bao) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    bao.write("sys/auth/jwt", type="jwt")
    issuer = {"bound_issuer": "https://ci.example", "jwt_supported_algs": ["ES256"]}
    bao.write("auth/jwt/config", jwt_validation_pubkeys=[pem.decode()], **issuer)
    bao.write("sys/policies/acl/wardship-read", policy=POLICY)
    bound = {"bound_audiences": ["vault"], "bound_subject": "job-1", "token_policies": ["wardship-read"]}
    bao.write("auth/jwt/role/scan", role_type="jwt", user_claim="sub", **bound)
    as_job = bao.connection(role="scan", jwt="file:/x", auth_mount="jwt")
    settings = {name: value for name, value in as_job.settings.items() if name != "token"}
    at = int(time.time())
    claims = {"iss": "https://ci.example", "aud": "vault", "iat": at, "nbf": at - 10, "exp": at + 300}
    signed = _signed(key, {**claims, "sub": "job-1"})
    found = records(replace(as_job, settings=settings, secret=lambda _name: Secret(signed)))
    assert of(found, Identity, "auth/jwt/role/scan").subtype == "jwt"
    other = _signed(key, {**claims, "sub": "job-2"})
    with pytest.raises(AuthenticationFailed):
        records(replace(as_job, settings=settings, secret=lambda _name: Secret(other)))


def _signed(key: ec.EllipticCurvePrivateKey, claims: dict[str, Any]) -> str:
    def text(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    head = f"{text(json.dumps({'alg': 'ES256', 'typ': 'JWT'}).encode())}.{text(json.dumps(claims).encode())}"
    r, s = decode_dss_signature(key.sign(head.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{head}.{text(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def test_what_the_policy_refuses_is_named_and_the_rest_is_read(bao: Bao) -> None:
    bao.mount("kv", "kv", options={"version": "2"})
    time.sleep(1)
    for path in ("open/a", "closed/b", "open/deeper/c"):
        bao.write(f"kv/data/{path}", data={"password": VALUE})
    less = POLICY.replace('path "auth/token/accessors/*"', 'path "nowhere"')
    bao.write("sys/policies/acl/less", policy=less + 'path "kv/metadata/closed/*" { capabilities = ["deny"] }')
    token, _accessor = bao.token(policies=["less"])
    connection = bao.connection(token)
    parts = {scope.kind: part for scope, part in read_all(connect(connection)).items()}
    assert getattr(parts["vault.token"].error, "scope", "") == "list, sudo on auth/token/accessors"
    kv = parts["vault.kv"]
    assert {r.native_id for r in kv.records if isinstance(r, Credential)} == {"kv/open/a", "kv/open/deeper/c"}
    assert [(p.reason, p.subject) for p in kv.problems] == [("missing_permission", "kv/closed/")]
    assert kv.problems[0].permission == "list on kv/metadata/closed/"


def test_a_bad_token_is_a_refused_credential_and_no_missing_right(bao: Bao) -> None:
    with pytest.raises(AuthenticationFailed):
        list(connect(bao.connection("s." + "x" * 24)).scopes())


def test_only_a_living_token_of_this_server_is_active(bao: Bao) -> None:
    value, _ = bao.token(policies=["default"], ttl="10m")
    silent, _ = bao.token(policies=["nothing"], no_default_policy=True, ttl="10m")
    connection = bao.connection()
    assert still_active(connection, "vault.service_token", Secret(value), None) is True
    assert still_active(connection, "vault.service_token", Secret(silent), None) is True, "a policy refused: it is good"
    bao.call("POST", "auth/token/revoke", {"token": value})
    assert still_active(connection, "vault.service_token", Secret(value), None) is False
    assert still_active(connection, "github.pat", Secret(value), None) is None
    assert still_active(connection, "vault.service_token", Secret("no token at all"), None) is None


def test_reading_twice_gives_the_same(bao: Bao) -> None:
    bao.mount("kv", "kv", options={"version": "2"})
    first, second = (sorted(map(repr, records(bao.connection()))) for _time in range(2))
    assert first == second


def test_the_evidence_says_what_was_proved_on_what() -> None:
    assert MANIFEST.evidence is Evidence.REAL_PRODUCT
    assert any(spot.id == "vault.proved_on_openbao" for spot in MANIFEST.blind_spots)
