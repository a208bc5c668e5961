"""Connections: kept without secrets, listed with their newest scan, forgotten without losing what they read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import NOW
from wardship.app import App
from wardship.model.errors import ConfigError
from wardship.sdk.connector import Capability
from wardship.services import audit, connect, inventory, scan

REGISTER = "name,domains\nContoso,contoso.com\n"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    (tmp_path / "suppliers.csv").write_text(REGISTER, encoding="utf-8")
    with App.create(tmp_path / "ws", clock=lambda: NOW) as made:
        connect.add(made.db, "test", "register", "suppliers", {"path": str(tmp_path / "suppliers.csv")})
        yield made


def test_a_connection_shows_its_newest_scan_and_outlives_in_the_inventory(app: App) -> None:
    assert [(one.name, one.last_scan_at) for one in connect.stored(app.db)] == [("register", None)]
    scan.read(app.workspace, app.connection(connect.find(app.db, "register")), "test")
    (one,) = connect.stored(app.db)
    assert (one.last_scan_at, one.last_status) == (NOW, "done")
    with app.facts() as facts:
        before = list(facts.rows("SELECT authority FROM system"))
    connect.remove(app.db, "test", "register")
    assert connect.stored(app.db) == []
    with app.facts() as facts:
        assert list(facts.rows("SELECT authority FROM system")) == before != []
        assert inventory.count(facts, inventory.Filter(every=True)) == 0, "a register holds suppliers, not identities"
    with pytest.raises(ConfigError, match="no connection"):
        connect.find(app.db, "register")
    acts = [entry.action for entry in audit.entries(app.workspace)]
    assert "connection.added" in acts
    assert "connection.removed" in acts


def test_check_says_what_the_access_allows_without_changing_anything(app: App, tmp_path: Path) -> None:
    ready = app.connection(connect.find(app.db, "register"))
    assert [one.allowed for one in connect.check(ready)] == [True]
    (tmp_path / "suppliers.csv").unlink()
    assert [one.allowed for one in connect.check(ready)] == [False]
    assert audit.entries(app.workspace, limit=1)[0].action == "connection.added"


def test_a_capability_that_a_connector_lacks_is_refused_with_those_it_has(app: App) -> None:
    ready = app.connection(connect.find(app.db, "register"))
    assert "path=" in connect.setup(ready, Capability.DISCOVER).cli
    with pytest.raises(ConfigError) as told:
        connect.setup(ready, Capability.ROTATE)
    assert "discover" in told.value.advice


def test_a_literal_secret_reaches_neither_database_nor_audit_log(app: App) -> None:
    secret = "Zm9v-literal-secret-value"
    given = {"tenant_id": "0b7d4c1e-8f42-4f0e-9c7b-2f6a1d3e5b70", "client_id": "x", "client_secret": secret}
    with pytest.raises(ConfigError) as told:
        connect.add(app.db, "test", "acme", "entra", given)
    assert secret not in told.value.message + told.value.advice
    assert [one.name for one in connect.stored(app.db)] == ["register"]
    for path in app.workspace.path.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


def test_a_connection_gets_only_its_own_secrets(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRA_SECRET", "of entra")
    monkeypatch.setenv("OTHER_SECRET", "of another")
    given = {
        "tenant_id": "0b7d4c1e-8f42-4f0e-9c7b-2f6a1d3e5b70",
        "client_id": "0b7d4c1e-8f42-4f0e-9c7b-2f6a1d3e5b71",
        "client_secret": "env:ENTRA_SECRET",
    }
    stored = connect.add(app.db, "test", "acme", "entra", given)
    ready = app.connection(stored)
    assert ready.secret("client_secret").reveal() == "of entra"
    with pytest.raises(ConfigError):
        ready.secret("OTHER_SECRET")
    with pytest.raises(ConfigError):
        app.connection(replace(stored, settings={})).secret("client_secret")
