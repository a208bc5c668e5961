"""What a connector could not read waits, and is read after an update: without the provider, files without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from wardship.connectors import suppliers
from wardship.connectors.aws import iam
from wardship.model.errors import DataError
from wardship.model.secret import Secret
from wardship.sdk.connector import Connection
from wardship.services import quarantine, scan
from wardship.store import tables
from wardship.store.workspace import Workspace

TENANT = "0b7d4c1e-8f42-4f0e-9c7b-2f6a1d3e5b70"


def no_secret(name: str) -> Secret:
    raise AssertionError(f"a replay of files asked for the secret {name}")


ambient = partial(Connection, secret=no_secret, clock=lambda: NOW)


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "ws", clock=lambda: NOW) as made:
        yield made


@pytest.fixture
def register(tmp_path: Path) -> Path:
    path = tmp_path / "suppliers.csv"
    path.write_text("name,domains\nContoso,contoso.com\nFabrikam,\n", encoding="utf-8")
    return path


def names(ws: Workspace, family: str) -> set[str]:
    with ws.db.read() as conn:
        return set(conn.scalars(sa.select(tables.CURRENT[family].c.name)))


@pytest.mark.parametrize("offline", [True, False])
def test_a_record_that_an_older_version_could_not_read_is_read_after_the_update(
    ws: Workspace, register: Path, monkeypatch: pytest.MonkeyPatch, *, offline: bool
) -> None:
    connection = ambient(name="suppliers", connector="suppliers", settings={"path": str(register)})
    with monkeypatch.context() as older:
        older.setattr(suppliers, "_DOMAIN", re.compile("(?!)"))  # a version that knows no domains
        if offline:
            scan.read_files(ws, connection, [register], "test")
        else:
            scan.read(ws, connection, "test")
        (kept,) = quarantine.rows(ws.db)
        (name,) = quarantine.connections(ws.db)
        assert names(ws, "supplier") == {"Fabrikam"}
        assert "no domain" in kept["problem"]
        told = quarantine.replay(ws, connection, "test", name=name)
        assert (told.replayed, told.still_bad) == (0, 1), "the same version cannot read it either"
    register.unlink()  # neither the file nor the system is needed
    told = quarantine.replay(ws, connection, "test", name=name)
    assert (told.replayed, told.still_bad) == (1, 0)
    assert names(ws, "supplier") == {"Contoso", "Fabrikam"}
    assert list(quarantine.rows(ws.db)) == []
    assert quarantine.connections(ws.db) == []


def test_an_aws_export_is_replayed_without_credentials(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = {"Path": "/", "UserName": "svc", "UserId": "AIDA1", "CreateDate": "2020-01-01T00:00:00+00:00",
            "Arn": "arn:aws:iam::123456789012:user/svc", "GroupList": [], "AttachedManagedPolicies": []}  # fmt: skip
    file = tmp_path / "details.json"
    told = {"UserDetailList": [user], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
    file.write_text(json.dumps(told), encoding="utf-8")
    connection = ambient(name="aws", connector="aws", settings={})

    def cannot(_item: object, _known: object) -> object:
        raise DataError("an older version")

    with monkeypatch.context() as older:
        older.setattr(iam, "user", cannot)
        scan.read_files(ws, connection, [file], "test")
        assert names(ws, "identity") == set()
    for name in quarantine.connections(ws.db):
        assert quarantine.replay(ws, connection, "test", name=name).replayed == 1
    assert names(ws, "identity") == {"svc"}


def test_an_entra_export_is_replayed_into_the_tenant_it_came_from(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wardship.connectors.entra import parse

    organization = tmp_path / "organization.json"
    organization.write_text(
        json.dumps({"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#organization",
                    "value": [{"id": TENANT, "displayName": "Acme"}]}), encoding="utf-8"
    )  # fmt: skip
    users = tmp_path / "users.json"
    person = {"id": "0b7d4c1e-8f42-4f0e-9c7b-2f6a1d3e5b71", "displayName": "Ana", "accountEnabled": True}
    users.write_text(
        json.dumps({"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users", "value": [person]}),
        encoding="utf-8",
    )
    connection = ambient(name="entra", connector="entra", settings={})
    parser = parse.Parser.parse

    def no_people(self: parse.Parser, kind: str, item: object) -> object:
        if kind == "entra.user":
            raise DataError("an older version")
        return parser(self, kind, item)

    with monkeypatch.context() as older:
        older.setattr(parse.Parser, "parse", no_people)
        scan.read_files(ws, connection, [organization, users], "test")
        assert names(ws, "person") == set()
    for name in quarantine.connections(ws.db):
        quarantine.replay(ws, connection, "test", name=name)
    table = tables.CURRENT["person"]
    with ws.db.read() as conn:
        assert conn.execute(sa.select(table.c.name, table.c.authority)).all() == [("Ana", f"entra:{TENANT}")]


def test_what_is_kept_shows_no_secret(ws: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "suppliers.csv"
    file.write_text("name,domains\nContoso,password=hunter2hunter2\n", encoding="utf-8")
    connection = ambient(name="suppliers", connector="suppliers", settings={})
    scan.read_files(ws, connection, [file], "test")
    (kept,) = quarantine.rows(ws.db)
    assert "hunter2" not in json.dumps(kept, default=str)
