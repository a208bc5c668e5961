"""An import of old files never writes over what was read live later, unless a person says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from wardship.model.errors import ConfigError
from wardship.sdk.connector import Connection
from wardship.services import scan
from wardship.store import tables
from wardship.store.workspace import Workspace

HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def no_secret(name: str) -> None:
    raise AssertionError(f"nobody needs {name}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ws(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Workspace]:
    monkeypatch.setenv("TEST_STATE", database_url)
    reference = "env:TEST_STATE" if database_url.startswith("postgresql") else None
    with Workspace.create(tmp_path / "ws", reference, clock=clock) as made:
        yield made


@pytest.fixture
def register(tmp_path: Path) -> Path:
    path = tmp_path / "suppliers.csv"
    path.write_text("supplier id,name\n1,Contoso\n", encoding="utf-8")
    return path


def connection(clock: Clock, name: str = "register", **settings: str) -> Connection:
    return Connection(name=name, connector="suppliers", settings=settings, secret=no_secret, clock=clock)  # type: ignore[arg-type]  # never called


def suppliers(ws: Workspace) -> list[str]:
    with ws.db.read() as conn:
        return sorted(conn.scalars(sa.select(tables.CURRENT["supplier"].c.name)))


def test_what_was_never_read_live_is_imported_again_and_again(ws: Workspace, clock: Clock, register: Path) -> None:
    for _ in range(2):
        assert scan.read_files(ws, connection(clock, "suppliers"), [register], "test").error is None
        clock.now += HOUR
    assert suppliers(ws) == ["Contoso"]
    with ws.db.read() as conn:
        assert set(conn.scalars(sa.select(tables.scan.c.connection))) == {"import:suppliers"}


def test_files_older_than_a_live_reading_are_refused(ws: Workspace, clock: Clock, register: Path) -> None:
    old = register.with_name("old.csv")
    old.write_text("supplier id,name\n1,Contoso before\n", encoding="utf-8")
    scan.read(ws, connection(clock, path=str(register)), "test")
    clock.now += 2 * HOUR
    ours = connection(clock, "suppliers")
    with pytest.raises(ConfigError, match="do not tell their date") as told:
        scan.read_files(ws, ours, [old], "test")
    assert "--as-of" in told.value.advice
    with pytest.raises(ConfigError, match="after the files were exported"):
        scan.read_files(ws, ours, [old], "test", as_of=NOW - HOUR)
    with pytest.raises(ConfigError, match="time to come"):
        scan.read_files(ws, ours, [old], "test", as_of=datetime(2030, 1, 1, tzinfo=UTC))
    assert suppliers(ws) == ["Contoso"]


@pytest.mark.parametrize("said", [{"as_of": NOW + HOUR}, {"force": True}])
def test_newer_files_and_a_person_s_word_are_taken(
    ws: Workspace, clock: Clock, register: Path, said: dict[str, object]
) -> None:
    scan.read(ws, connection(clock, path=str(register)), "test")
    clock.now += 2 * HOUR
    register.write_text("supplier id,name\n1,Contoso Ltd\n", encoding="utf-8")
    scan.read_files(ws, connection(clock, "suppliers"), [register], "test", **said)  # type: ignore[arg-type]  # one of two
    assert suppliers(ws) == ["Contoso Ltd"]
