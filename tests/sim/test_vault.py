"""The simulated vault answers as the real server does, as far as a reader asks."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.conftest import NOW
from wardship.model.errors import ConfigError
from wardship.sdk.clock import SimClock
from wardship.sim.vault import RIGHTS, VaultServer

ROOT = "wardship-test-root"


@pytest.fixture
def vault() -> VaultServer:
    made = VaultServer(clock=SimClock(NOW), namespaces=("team", "team/sub"))
    made.grant("hvs.t", *RIGHTS)
    return made


def ask(vault: VaultServer, path: str, *, token: str = "hvs.t", namespace: str = "", **how: Any) -> httpx.Response:
    client = httpx.Client(transport=vault.httpx_transport(), base_url=vault.url)
    headers = {"x-vault-token": token, "x-vault-namespace": namespace}
    return client.request(how.pop("method", "GET"), f"/v1/{path}", headers=headers, **how)


def test_its_refusals_have_the_words_of_the_real_server(vault: VaultServer, openbao_url: str) -> None:
    def real(path: str, token: str, method: str = "GET", **how: Any) -> httpx.Response:
        return httpx.request(method, f"{openbao_url}/v1/{path}", headers={"x-vault-token": token}, **how)

    body, nowhere = {"json": {"accessor": "not-there"}}, uuid.uuid4().hex
    lookup = "auth/token/lookup-accessor"
    pairs = [(ask(vault, "sys/mounts", token="hvs.bad"), real("sys/mounts", "s.bad"))]
    pairs += [(ask(vault, lookup, method="POST", **body), real(lookup, ROOT, "POST", **body))]
    for path in (f"secret/metadata/{nowhere}/?list=true", f"secret/metadata/{nowhere}", f"sys/policies/acl/{nowhere}"):
        pairs += [(ask(vault, path), real(path, ROOT))]
    for simulated, true in pairs:
        assert (simulated.status_code, simulated.json()) == (true.status_code, true.json()), true.request.url


def test_a_missing_right_is_refused_with_other_words_than_a_bad_token(vault: VaultServer) -> None:
    vault.grant("hvs.poor", "kv")
    refused = ask(vault, "sys/mounts", token="hvs.poor")
    assert refused.status_code == 403
    assert refused.json() != ask(vault, "sys/mounts", token="hvs.bad").json()


def test_namespaces_hold_their_own_things_and_name_their_children(vault: VaultServer) -> None:
    vault.add_kv("a", {"k": "v"}, updated=NOW, namespace="team/sub")
    assert ask(vault, "sys/namespaces/?list=true").json()["data"]["keys"] == ["team/"]
    assert ask(vault, "sys/namespaces/?list=true", namespace="team").json()["data"]["keys"] == ["sub/"]
    assert ask(vault, "secret/metadata/?list=true").status_code == 404
    assert ask(vault, "secret/metadata/?list=true", namespace="team/sub").json()["data"]["keys"] == ["a"]
    with pytest.raises(ConfigError):
        vault.add_kv("a", {}, updated=NOW, namespace="nowhere")


def test_values_come_out_of_data_reads_alone_and_only_with_the_right(vault: VaultServer) -> None:
    vault.add_engine("kv1", "kv")
    vault.add_kv("shop/db", {"password": "made up"}, updated=NOW)
    vault.add_kv("shop/db", {"password": "made up"}, updated=NOW, mount="kv1")
    vault.grant("hvs.names", *(right for right in RIGHTS if right != "values"))
    assert "made up" not in ask(vault, "secret/metadata/shop/db").text
    assert ask(vault, "secret/data/shop/db").json()["data"]["data"] == {"password": "made up"}
    for path in ("secret/data/shop/db", "kv1/shop/db"):
        assert ask(vault, path, token="hvs.names").status_code == 403
    assert ask(vault, "kv1/shop/?list=true", token="hvs.names").json()["data"]["keys"] == ["db"]


def test_an_entry_that_is_taken_away_is_gone(vault: VaultServer) -> None:
    vault.add_kv("shop/db", {"password": "made up"}, updated=NOW)
    vault.delete_kv("shop/db")
    assert ask(vault, "secret/metadata/shop/db").status_code == 404
    assert ask(vault, "secret/data/shop/db").status_code == 404
