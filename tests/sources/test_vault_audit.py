"""The audit log of a real OpenBao server: who used which secret, who was refused, and nothing twice."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sdk.registry import source
from wardship.sdk.told import told
from wardship.sources.vault_audit import claims, parse

ROOT = {"X-Vault-Token": "wardship-test-root"}


def audit_file() -> Path:
    servers = os.environ.get("WARDSHIP_SERVERS") or Path(__file__).parents[2] / ".servers"
    return Path(servers) / "openbao" / "audit.log"


class Server:
    """The server, and what its audit file says from here on."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/v1/", headers=ROOT)
        self.begin()

    def begin(self) -> None:
        self._seen = audit_file().stat().st_size

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        headers = {"X-Vault-Token": token} if token is not None else {}
        answer = self._client.request(method, path, json=body, headers=headers)
        return answer.json() if answer.content else {}

    def told(self) -> list[Activity]:
        with audit_file().open("rb") as log:
            log.seek(self._seen)
            entries = [json.loads(line) for line in log]
        drift = DriftLog()
        found = [activity for entry in entries for activity in parse(entry, drift)]
        assert drift.counts == {}
        return found


@pytest.fixture
def server(openbao_url: str) -> Server:
    return Server(openbao_url)


@pytest.fixture
def mount(server: Server) -> Iterator[str]:
    """An AppRole login method of its own, with a role that may read one secret."""
    name = f"audit{secrets.token_hex(4)}"
    server.call("POST", f"sys/auth/{name}", {"type": "approle"})
    server.call(
        "PUT", f"sys/policies/acl/{name}", {"policy": f'path "secret/data/{name}" {{ capabilities = ["read"] }}'}
    )
    server.call("POST", f"auth/{name}/role/deploy", {"token_policies": [name]})
    server.call("POST", f"secret/data/{name}", {"data": {"colour": "blue"}})
    server.begin()
    yield name
    server.call("DELETE", f"sys/auth/{name}")
    server.call("DELETE", f"sys/policies/acl/{name}")


def of(found: list[Activity], path: str) -> list[Activity]:
    return [one for one in found if one.resource_id == path]


def test_a_login_and_what_it_reads_are_one_actors(server: Server, mount: str) -> None:
    role_id = server.call("GET", f"auth/{mount}/role/deploy/role-id")["data"]["role_id"]
    secret_id = server.call("POST", f"auth/{mount}/role/deploy/secret-id")["data"]["secret_id"]
    login = server.call("POST", f"auth/{mount}/login", {"role_id": role_id, "secret_id": secret_id})["auth"]
    server.call("GET", f"secret/data/{mount}", token=login["client_token"])
    found = server.told()

    (entered,) = of(found, f"auth/{mount}/login")
    assert entered.class_uid is ActivityClass.AUTHENTICATION
    assert entered.outcome is Outcome.SUCCESS
    assert entered.actor_id == f"identity/entity/id/{login['entity_id']}"  # as the connector names it
    assert entered.actor_kind is ActorKind.APPLICATION
    assert entered.detail["action"] == "login"
    assert entered.detail["role"] == "deploy"
    assert entered.mutating is False

    (read,) = of(found, f"secret/data/{mount}")
    assert (read.operation, read.outcome, read.mutating) == ("read", Outcome.SUCCESS, False)
    assert (read.actor_authority, read.actor_id) == (entered.actor_authority, entered.actor_id)
    assert read.credential_id == entered.session  # the token that the login gave, by its pseudonym
    assert mount in read.detail["policies"]
    assert read.service == "vault/kv"
    assert read.src_ip == "127.0.0.1"

    whole = " ".join(str(one) for one in found)
    for hidden in (login["client_token"], secret_id, role_id, "blue"):
        assert hidden not in whole


def test_what_was_refused_is_told_once_with_the_reason(server: Server, mount: str) -> None:
    made = server.call("POST", "auth/token/create", {"policies": [mount], "no_parent": True})["auth"]
    server.call("GET", f"secret/data/{mount}-other", token=made["client_token"])
    server.call("GET", f"secret/data/{mount}-third", token="hvs." + "x" * 20)
    server.call("POST", f"auth/{mount}/login", {"role_id": "none", "secret_id": "none"})
    found = server.told()
    for path in (f"secret/data/{mount}-other", f"secret/data/{mount}-third"):
        refused = of(found, path)
        assert len({one.uid for one in refused}) == 1  # request and response: ingest keeps one
        assert {(one.outcome, one.outcome_code) for one in refused} == {(Outcome.FAILURE, "permission denied")}
    failed = of(found, f"auth/{mount}/login")
    assert {one.outcome for one in failed} == {Outcome.FAILURE}
    assert {one.actor_id for one in failed} == {None}  # nobody was authenticated


def test_changes_of_policies_and_roles_have_their_class(server: Server, mount: str) -> None:
    server.call("POST", f"auth/{mount}/role/second", {"token_policies": ["default"]})
    server.call("PUT", f"sys/policies/acl/{mount}", {"policy": 'path "secret/*" { capabilities = ["read"] }'})
    found = server.told()
    (role,) = of(found, f"auth/{mount}/role/second")
    (policy,) = of(found, f"sys/policies/acl/{mount}")
    assert role.class_uid is ActivityClass.ACCOUNT_CHANGE
    assert policy.class_uid is ActivityClass.USER_ACCESS_MANAGEMENT
    assert role.mutating is True
    assert policy.mutating is True
    assert policy.actor_kind is ActorKind.ROOT


def test_the_whole_file_of_the_server_is_readable(openbao_url: str) -> None:
    """Whatever other tests did to the server: no entry is unreadable, none gives two events."""
    with audit_file().open(encoding="utf-8") as log:
        for line in log:
            if line.endswith("\n"):  # the last may be half written
                entry = json.loads(line)
                assert claims(entry)
                assert len(list(parse(entry, DriftLog()))) <= 1


def test_the_cluster_is_what_the_importer_says() -> None:
    entry = {
        "type": "response",
        "time": "2026-03-01T10:00:00.123456789Z",
        "auth": {"entity_id": "e1.ns7", "accessor": "hmac-sha256:aa"},
        "request": {
            "id": "r1",
            "operation": "read",
            "path": "secret/data/x",
            "namespace": {"id": "ns7", "path": "team/"},
        },
    }
    (alone,) = parse(entry, DriftLog())
    assert alone.actor_authority == "vault:?/team"
    (said,) = told(source("vault.audit"), authority="vault:cluster-1").parse(entry, DriftLog())
    assert said.actor_authority == "vault:cluster-1/team"
    assert said.resource_id == "team/secret/data/x"


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"type": "request"},
        {"type": "response", "request": {"path": "x"}},
        {"type": "response", "request": {"path": "x", "operation": "read"}},
        {"type": "response", "request": {"path": "x", "operation": "read"}, "time": "yesterday"},
    ],
)
def test_what_is_no_entry_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        list(parse(entry, DriftLog()))


def test_an_operation_that_is_new_is_kept_and_counted() -> None:
    drift = DriftLog()
    entry = {"type": "response", "time": "2026-03-01T10:00:00Z", "request": {"path": "x/y", "operation": "recover"}}
    (found,) = parse(entry, drift)
    assert found.operation == "recover"
    assert drift.counts == {("vault.operation", "value 'recover'"): 1}
