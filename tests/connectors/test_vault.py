"""The Vault connector on its simulated server: held to both descriptions, few calls, checkpoints, hostile answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import NOW
from wardship.connectors import vault as module
from wardship.connectors.vault.kv import Engine, Problems, walk
from wardship.connectors.vault.reader import VaultConnector
from wardship.connectors.vault.session import Session
from wardship.model.access import Credential
from wardship.model.errors import AuthenticationFailed, ConfigError, MissingScope, Unavailable, UnexpectedResponse
from wardship.model.identity import Identity
from wardship.model.secret import Secret
from wardship.sdk.clock import SimClock
from wardship.sdk.connector import CallStats, Capability, Connection
from wardship.sdk.testing import read_all, read_scope
from wardship.sim.kit import Answer, Call
from wardship.sim.vault import SecretId, VaultServer, simulated

# Calls that the descriptions leave out; the real server has them (test_vault_openbao.py).
UNDESCRIBED = re.compile(
    r"/v1/(?:sys/(?:seal-status|namespaces/|capabilities-self)|identity/group/.*|auth/[^/]+/config"
    r"|auth/(?!approle/)[^/]+/role/[^/]+"  # of another type: the same path as an AppRole's, and no answer described
    r"|auth/[^/]+/(?:users|certs|roles)/[^/]+|database/(?:config/.*|roles/[^/]+)|pki/cert/[^/]+|kv1/.*)"
)


class Described:
    """A vault as its descriptions see it: without /v1, paths of one part, what stands in `data`, lengths as text."""

    def __init__(self, contract: Any, vault: VaultServer) -> None:
        self._contract, self._vault = contract, vault

    def httpx_transport(self) -> httpx.BaseTransport:
        plain = self._vault.httpx_transport()
        checked = self._contract.transport(httpx.MockTransport(lambda request: self._inner(plain, request)))

        def send(request: httpx.Request) -> httpx.Response:
            request.read()
            path = request.url.path
            if UNDESCRIBED.fullmatch(path):
                return plain.handle_request(request)
            short = path.removeprefix("/v1")
            if found := re.fullmatch(r"(/[^/]+/(?:metadata|data)/)(.*?)(/?)", short):
                short = found[1] + (found[2].replace("/", "~") or "~") + (found[3] or ("/" if not found[2] else ""))
            asked = httpx.Request(
                request.method,
                request.url.copy_with(path=short),
                headers=request.headers,
                content=request.content,
                extensions={"whole": request},
            )
            return _Enveloped.around(checked.handle_request(asked))

        return httpx.MockTransport(send)

    @staticmethod
    def _inner(plain: httpx.BaseTransport, request: httpx.Request) -> httpx.Response:
        response = plain.handle_request(request.extensions["whole"])
        if not response.is_success:
            return response
        data = response.json()["data"]
        return httpx.Response(response.status_code, json={name: _described(name, data[name]) for name in data})

    def prepare_botocore(self, session: Any) -> None:
        self._vault.prepare_botocore(session)


class _Enveloped(httpx.Response):
    """A checked answer back in the envelope that the server sends it in; who reads what is still watched."""

    inner: httpx.Response

    @classmethod
    def around(cls, inner: httpx.Response) -> httpx.Response:
        if not inner.is_success:
            return inner
        made = cls(inner.status_code, headers={"content-type": "application/json"}, content=inner.content)
        made.inner = inner
        return made

    def json(self, **how: Any) -> Any:
        return {"data": self.inner.json(**how)}


def _described(name: str, value: Any) -> Any:
    if isinstance(value, int) and name in (
        "secret_id_ttl", "token_ttl", "token_max_ttl", "token_period", "token_explicit_max_ttl",
    ):  # fmt: skip
        return f"{value}s"
    return {} if value is None and name == "custom_metadata" else value


def small() -> tuple[VaultServer, Connection]:
    connection = simulated(SimClock(NOW))
    assert isinstance(connection.wire, VaultServer)
    return connection.wire, connection


@pytest.mark.parametrize("name", ["vault", "openbao"])
def test_everything_asked_and_read_is_in_the_description(contract: Callable[..., Any], name: str) -> None:
    vault, connection = small()
    held = contract(name)
    held.expect(
        "GET /sys/mounts",
        "GET /sys/auth",
        "GET /sys/policies/acl/{name}",
        "POST /auth/token/lookup-accessor",
        "GET /auth/{approle_mount_path}/role/{role_name}/secret-id/",
        "GET /identity/entity/id/{id}",
        "GET /{kv_v2_mount_path}/metadata/{path}",
        "GET /{kv_v2_mount_path}/metadata/{path}/",
        "GET /{kv_v2_mount_path}/data/{path}",
        "GET /{pki_mount_path}/certs/",
    )
    read = read_all(module.connect(replace(connection, wire=Described(held, vault))))
    assert all(part.complete for part in read.values())
    assert sum(len(part.records) for part in read.values()) > 30


# ---------------------------------------------------------------- calls and checkpoints


def many(entries: int, folders: int) -> VaultServer:
    vault = VaultServer(clock=SimClock(NOW))
    for number in range(entries):
        vault.add_kv(f"team-{number % folders:03d}/app/{number:05d}", {"k": "v"}, updated=NOW)
    return vault


def kv_scope(connector: Any) -> Any:
    return next(scope for scope in connector.scopes() if scope.kind == "vault.kv")


@pytest.mark.parametrize(("metadata", "per_entry"), [("true", 1), ("false", 0)])
def test_key_value_costs_one_call_a_folder_and_one_an_entry(metadata: str, per_entry: int) -> None:
    vault = many(300, 10)
    connector = module.connect(vault.connection(settings={"kv_metadata": metadata}))
    scope = kv_scope(connector)
    vault.calls.clear()
    got = read_scope(connector, scope)
    assert len(got.records) == 300
    assert len(vault.calls) == 1 + 1 + 2 * 10 + per_entry * 300  # mounts, the root, two levels of folders


def test_an_approle_costs_three_calls_and_one_a_secret_id() -> None:
    vault = VaultServer(clock=SimClock(NOW))
    for number in range(20):
        vault.add_approle(f"role-{number}", secret_ids=[SecretId(created=NOW)] * 2)
    connector = module.connect(vault.connection())
    scope = next(scope for scope in connector.scopes() if scope.kind == "vault.approle")
    before = connector.stats.api_calls
    read_scope(connector, scope)
    mounts_methods_and_policies = 4
    assert connector.stats.api_calls - before == mounts_methods_and_policies + 1 + 20 * (3 + 2)


def test_a_walk_taken_up_anywhere_gives_the_rest_and_lists_no_folder_before() -> None:
    vault = VaultServer(clock=SimClock(NOW))
    paths = ["a", "a/a", "a/b/c", "a-b", "b", "b/a", "b/a/a", "z"]
    for path in paths:
        vault.add_kv(path, {}, updated=NOW)
    session = Session(vault.connection(), CallStats())
    engine = Engine("secret/", 2, "")
    whole = list(walk(session, engine, "", Problems()))
    assert sorted(whole) == sorted(paths)
    for number, path in enumerate(whole):
        assert list(walk(session, engine, path, Problems())) == whole[number + 1 :]
    vault.calls.clear()
    list(walk(session, engine, "z", Problems()))
    assert [call.path for call in vault.calls] == ["/v1/secret/metadata/"]


@pytest.mark.parametrize("kind", ["vault.kv", "vault.token", "vault.auth_role", "vault.database"])
def test_small_pages_and_every_checkpoint_give_the_same(kind: str) -> None:
    _vault, connection = small()
    whole_reader, small_reader = module.connect(connection), VaultConnector(connection, page=1)
    scope = next(scope for scope in whole_reader.scopes() if scope.kind == kind)
    whole = read_scope(whole_reader, scope)
    pieces = read_scope(small_reader, scope)
    assert pieces.said() == whole.said()
    assert len(pieces.tokens) == len(pieces.items) > 1
    for number, token in enumerate(pieces.tokens[:-1]):
        rest = read_scope(VaultConnector(connection, page=1), scope, token)
        assert rest.error is None
        assert len(rest.items) == len(pieces.items) - number - 1


@pytest.mark.parametrize("token", ["x", "[1]", "[]", '["a"]', "{}"])
def test_an_unreadable_checkpoint_restarts_the_scope(token: str) -> None:
    _vault, connection = small()
    connector = module.connect(connection)
    with pytest.raises(UnexpectedResponse) as raised:
        list(connector.fetch(kv_scope(connector), token))
    assert raised.value.operation == "token"


# ---------------------------------------------------------------- what may go wrong


def test_a_token_that_ended_between_list_and_look_up_is_no_problem() -> None:
    vault, connection = small()
    connector = module.connect(connection)
    scope = next(scope for scope in connector.scopes() if scope.kind == "vault.token")

    @vault.on("GET", "/v1/auth/token/accessors/", scope="tokens")
    def accessors(call: Call) -> Any:
        return {"data": {"keys": ["gone", *vault.spaces[""].tokens]}}

    vault._routes.insert(0, vault._routes.pop([r.handler for r in vault._routes].index(accessors)))
    got = read_scope(connector, scope)
    assert got.complete
    assert len(got.items) == len(vault.spaces[""].tokens)


def test_names_that_lead_elsewhere_are_not_followed() -> None:
    vault, connection = small()
    connector = module.connect(connection)
    scope = kv_scope(connector)
    vault.spaces[""].objects["secret/metadata/../../sys/raw"] = {}
    vault.spaces[""].objects["secret/metadata/a?list=true#x y"] = {"current_version": 1, "versions": {}}
    got = read_scope(connector, scope)
    assert got.error is None
    assert got.problems, "it is told"
    assert not [call.path for call in vault.calls if "raw" in call.path]
    assert "secret/a?list=true#x y" in {record.native_id for record in got.records}


def test_namespaces_beyond_the_limit_are_not_read_and_that_is_said() -> None:
    vault = VaultServer(clock=SimClock(NOW), namespaces=("a", "a/below", "b", "c"))
    connector = VaultConnector(vault.connection(), most_namespaces=4)
    scopes = list(connector.scopes())
    assert not [scope for scope in scopes if scope.authority.endswith("/below")]
    [problem] = read_scope(connector, scopes[0]).problems
    assert (problem.reason, "4 namespaces" in problem.detail) == ("budget", True)


def test_what_is_asked_of_one_thing_goes_by_its_kind_and_not_by_its_name() -> None:
    vault = VaultServer(clock=SimClock(NOW))
    vault.add_kv("approle/secret-id/x", {}, updated=NOW)
    vault.add_kv("auth/token/accessor/x", {}, updated=NOW)
    vault.add_kv("app#one", {"a#b": "v"}, updated=NOW)
    vault.add_method("userpass", "userpass")
    vault.add_role("userpass", "password", kind="userpass")
    connector = module.connect(vault.connection())
    scopes = {scope.kind: scope for scope in connector.scopes()}

    def there(kind: str, family: str, native_id: str) -> bool | None:
        return connector.confirm(scopes[kind], family, native_id)

    assert there("vault.kv", "credential", "secret/approle/secret-id/x") is True
    assert there("vault.kv", "credential", "secret/auth/token/accessor/x") is True
    assert there("vault.kv", "credential", "secret/app#one#a#b") is None, "only its value would tell"
    assert there("vault.kv", "credential", "secret/app#two#a") is False
    assert there("vault.auth_role", "identity", "auth/userpass/users/password") is True
    assert there("vault.auth_role", "credential", "auth/userpass/users/password/password") is True
    assert there("vault.auth_role", "credential", "auth/userpass/users/gone/password") is False
    assert {call.method for call in vault.calls} == {"GET"}, "a POST could write"


@pytest.mark.parametrize(
    ("written", "no_expiry"),
    [("0001-01-01T00:00:00Z", True), (None, True), ("soon", None), (7.5, None), ("2030-01-01T00:00:00Z", False)],
)
def test_a_secret_id_is_without_an_end_only_where_vault_says_so(written: Any, no_expiry: bool | None) -> None:
    vault = VaultServer(clock=SimClock(NOW))
    vault.add_approle("shop", secret_ids=[SecretId(created=NOW)])
    [facts] = vault.spaces[""].secret_ids["auth/approle/role/shop"].values()
    facts["expiration_time"] = written
    connector = module.connect(vault.connection())
    scope = next(scope for scope in connector.scopes() if scope.kind == "vault.approle")
    [found] = [record for record in read_scope(connector, scope).records if isinstance(record, Credential)]
    assert (found.no_expiry, found.expires_at is not None) == (no_expiry, no_expiry is False)


def test_a_missing_right_costs_its_own_part_only() -> None:
    vault, _connection = small()
    connection = vault.connection("poor", rights=("sys", "auth", "policies", "kv"))
    read = {
        scope.kind: part
        for scope, part in read_all(module.connect(connection)).items()
        if "team" not in scope.authority
    }
    assert isinstance(read["vault.token"].error, MissingScope)
    assert isinstance(read["vault.entity"].error, MissingScope)
    assert {problem.permission for problem in read["vault.approle"].problems} == {
        "list on auth/approle/role/shop/secret-id/"
    }
    assert read["vault.kv"].records
    assert {p.permission for p in read["vault.kv"].problems} == {"list on kv1/"}
    assert [problem.subject for problem in read["vault.namespace"].problems] == ["/"]
    lines = {line.permission: line.allowed for line in module.connect(connection).check()}
    assert lines["list, sudo on auth/token/accessors"] is False
    assert lines["list, read on auth/+/role/*"] is True
    assert lines["read on +/data/*"] is False


def test_a_sealed_vault_is_unavailable_and_not_empty() -> None:
    vault, connection = small()
    vault._routes.clear()

    @vault.on("GET", "/v1/sys/seal-status", public=True)
    def sealed(_call: Call) -> Any:
        return {"sealed": True, "initialized": True}

    with pytest.raises(Unavailable) as told:
        list(module.connect(connection).scopes())
    assert "unseal" in told.value.advice


def test_no_value_and_no_answer_gets_into_records_errors_or_the_connector() -> None:
    vault = VaultServer(clock=SimClock(NOW))
    value = "do-not-keep-" + "q7" * 9
    vault.add_kv("app", {"password": value, "nested": [{"deep": value}]}, updated=NOW)
    seen: list[str] = []

    def keyed(secret: Secret) -> str:
        seen.append(secret.reveal())
        return "f" * 32

    connector = module.connect(vault.connection(fingerprints=True, fingerprint=keyed))
    got = read_scope(connector, kv_scope(connector))
    assert seen == [value, value]
    assert {r.native_id for r in got.records} == {"secret/app#password", "secret/app#nested.0.deep"}
    vault.faults.add("forbidden", "data/app")
    refused = read_scope(connector, kv_scope(connector))
    assert refused.problems
    everything = (got.items, got.records, refused.items, refused.problems, vars(connector), vars(connector._parser))
    assert value not in repr(everything)


def test_without_the_setting_no_value_is_ever_asked_for() -> None:
    vault, _connection = small()
    read_all(module.connect(vault.connection("plain")))
    assert not [call.path for call in vault.calls if "/data/" in call.path or call.path == "/v1/kv1/old/entry"]


def test_a_login_gets_a_new_token_when_the_old_one_is_refused() -> None:
    vault, connection = small()
    logins: list[dict[str, Any]] = []

    @vault.on("POST", "/v1/auth/approle/login", public=True)
    def login(call: Call) -> Any:
        logins.append(call.body)
        token = f"hvs.{len(logins)}"
        vault.grant(token, "sys", "kv", life_s=60 if len(logins) == 1 else None)
        return {"auth": {"client_token": token, "lease_duration": 3600}}

    settings = {"url": vault.url, "role_id": "r", "secret_id": "env:S"}
    connector = module.connect(replace(connection, settings=settings, secret=lambda _name: Secret("made up")))
    list(connector.scopes())
    assert isinstance(connection.clock, SimClock)
    connection.clock.sleep(120)
    assert read_scope(connector, kv_scope(connector)).records
    assert logins == [{"role_id": "r", "secret_id": "made up"}] * 2


def test_a_login_that_is_refused_is_an_authentication_failure() -> None:
    vault, connection = small()

    @vault.on("POST", "/v1/auth/approle/login", public=True)
    def login(_call: Call) -> Any:
        return Answer(400, {"errors": ["invalid role or secret ID"]})

    settings = {"url": vault.url, "role_id": "r", "secret_id": "env:S"}
    with pytest.raises(AuthenticationFailed):
        list(module.connect(replace(connection, settings=settings, secret=lambda _n: Secret("x"))).scopes())


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "https://u:p@vault.example"},
        {"url": "ftp://vault.example"},
        {"url": "https://vault.example:port"},
        {"url": "https://vault.example/v1"},
        {"url": ""},
        {"url": "https://vault.acme.example", "fingerprints": "perhaps"},
        {"url": "https://vault.acme.example"},
        {"url": "https://vault.acme.example", "token": "env:T", "pki_limit": "-1"},
    ],
)
def test_wrong_settings_are_said_to_be_wrong(settings: dict[str, str]) -> None:
    _vault, connection = small()
    with pytest.raises(ConfigError):
        read_all(module.connect(replace(connection, settings=settings)))


def test_a_token_is_active_only_if_this_server_says_so() -> None:
    vault, connection = small()
    vault.grant("hvs.good", client="x")

    def ask(value: str) -> bool | None:
        return module.still_active(connection, "vault.token", Secret(value), None)

    vault.calls.clear()
    assert (ask("hvs.good"), ask("hvs.bad"), ask("AKIA" + "X" * 16)) == (True, False, None)
    assert [call.path for call in vault.calls] == ["/v1/auth/token/lookup-self"] * 2
    vault.faults.add("unavailable", times=99)
    assert ask("hvs.good") is None, "no answer is not no"


def test_the_setup_guide_opens_no_value_without_being_told() -> None:
    guide = module.connect(small()[1]).setup(Capability.DISCOVER)
    main, _word, later = guide.cli.partition("Only if secrets in code")
    assert "+/data/" not in main + guide.terraform
    assert "+/data/" in later
    with pytest.raises(ConfigError):
        module.connect(small()[1]).setup(Capability.ROTATE)


# ---------------------------------------------------------------- facts for rules


def test_trusts_speak_the_words_that_the_rules_of_federation_read() -> None:
    _vault, connection = small()
    trusts = {
        record.native_id: record
        for part in read_all(module.connect(connection)).values()
        for record in part.records
        if isinstance(record, Credential) and record.native_id.endswith("/trust")
    }
    open_to_all = trusts["auth/github-actions/role/anybody/trust"].attributes
    assert open_to_all["protocol"] == "oidc"
    assert ':sub"' not in open_to_all["condition"]
    narrowed = json.loads(trusts["auth/github-actions/role/deploy/trust"].attributes["condition"])
    assert narrowed["StringLike"] == {"token.actions.githubusercontent.com:sub": "repo:acme/shop:*"}


def test_an_entity_and_its_approle_share_the_alias_that_joins_them() -> None:
    _vault, connection = small()
    found = [
        record
        for part in read_all(module.connect(connection)).values()
        for record in part.records
        if isinstance(record, Identity) and record.name == "shop"
    ]
    role, entity = sorted(found, key=lambda one: one.rank)
    assert (role.subtype, entity.subtype) == ("approle", "entity")
    assert set(role.aliases) == set(entity.aliases)
    assert entity.environment == "production"


def test_a_version_that_will_be_deleted_later_is_still_there() -> None:
    vault = VaultServer(clock=SimClock(NOW))
    vault.add_kv("soon", {}, updated=NOW, deleted=NOW + timedelta(days=3))
    vault.add_kv("gone", {}, updated=NOW, deleted=NOW - timedelta(days=3))
    connector = module.connect(vault.connection())
    enabled = {r.native_id: r.enabled for r in read_scope(connector, kv_scope(connector)).records}
    assert enabled == {"secret/soon": True, "secret/gone": False}
