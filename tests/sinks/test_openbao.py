"""The OpenBao store against the real server."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator

import httpx
import pytest

from wardship.model.errors import AuthenticationFailed, MissingScope, StateError, Unavailable, UnexpectedResponse
from wardship.model.secret import Secret
from wardship.sinks.openbao import OpenBaoStore

ROOT_TOKEN = "wardship-test-root"


@pytest.fixture
def client(openbao_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=openbao_url) as client:
        yield client


@pytest.fixture
def path() -> str:
    return f"t/{secrets.token_hex(6)}"


@pytest.fixture
def store(client: httpx.Client, path: str) -> OpenBaoStore:
    """An entry as a customer has it: current value, a field of their own, nothing of ours."""
    write(client, path, {"credential_id": "old", "value": "v-old", "note": "theirs"})
    return OpenBaoStore(client, Secret(ROOT_TOKEN), mount="secret", path=path)


def write(client: httpx.Client, path: str, data: dict) -> None:
    answer = client.post(f"/v1/secret/data/{path}", json={"data": data}, headers={"X-Vault-Token": ROOT_TOKEN})
    answer.raise_for_status()


def entry(client: httpx.Client, path: str) -> tuple[dict, int]:
    data = client.get(f"/v1/secret/data/{path}", headers={"X-Vault-Token": ROOT_TOKEN}).json()["data"]
    return data["data"], data["metadata"]["version"]


def test_a_rotation_moves_the_labels_there_and_back(store: OpenBaoStore, client: httpx.Client, path: str) -> None:
    store.put_pending("op", Secret("v-new"), "new")
    assert store.current().credential_id == "old"
    assert store.pending("op").value == Secret("v-new")
    store.promote("op")
    current = store.current()
    assert (current.credential_id, current.value, current.op_id) == ("new", Secret("v-new"), "op")
    assert store.pending("op") is None
    assert entry(client, path)[0]["value"] == "v-new"  # where consumers read
    store.revert("op")
    assert store.current().credential_id == "old"
    assert store.current().op_id is None
    assert store.pending("op").credential_id == "new"  # a live key keeps its value
    store.drop_pending("op")
    assert store.pending("op") is None
    assert entry(client, path)[0]["note"] == "theirs"


def test_each_move_is_one_write_and_its_repetition_none(store: OpenBaoStore, client: httpx.Client, path: str) -> None:
    store.put_pending("op", Secret("v-new"), "new")
    for move in (store.promote, store.revert, store.drop_pending):
        before = entry(client, path)[1]
        move("op")
        assert entry(client, path)[1] == before + 1
        move("op")
        assert entry(client, path)[1] == before + 1


def test_promoting_what_is_not_there_changes_nothing(store: OpenBaoStore, client: httpx.Client, path: str) -> None:
    before = entry(client, path)
    with pytest.raises(StateError):
        store.promote("op")
    assert entry(client, path) == before


def test_an_empty_place_has_no_current_value_and_takes_a_pending_one(client: httpx.Client, path: str) -> None:
    store = OpenBaoStore(client, Secret(ROOT_TOKEN), mount="secret", path=path)
    assert store.current() is None
    store.put_pending("op", Secret("v"), "new")
    assert store.pending("op").credential_id == "new"
    assert store.current() is None


def test_writers_that_race_lose_nothing(store: OpenBaoStore, client: httpx.Client, path: str) -> None:
    def put(n: int) -> None:
        store.put_pending(f"op{n}", Secret(f"v{n}"), f"id{n}")

    threads = [threading.Thread(target=put, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {store.pending(f"op{n}").credential_id for n in range(6)} == {f"id{n}" for n in range(6)}
    assert entry(client, path)[1] == 7


def test_what_is_no_entry_of_kv_2_is_said_so(client: httpx.Client) -> None:
    with pytest.raises(UnexpectedResponse):
        OpenBaoStore(client, Secret(ROOT_TOKEN), mount="nowhere", path="x").promote("op")


def test_a_wrong_token_and_a_dead_server_are_told_apart(client: httpx.Client, path: str) -> None:
    with pytest.raises((AuthenticationFailed, MissingScope)):
        OpenBaoStore(client, Secret("wrong"), mount="secret", path=path).current()
    with httpx.Client(base_url="http://127.0.0.1:1") as dead, pytest.raises(Unavailable):
        OpenBaoStore(dead, Secret(ROOT_TOKEN), mount="secret", path=path).current()
