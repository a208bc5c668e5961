"""An import of old files never writes over what was read live later, unless a person says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from wardship.model.errors import ConfigError, DataError, TransitionRefused
from wardship.sdk.connector import Connection
from wardship.services import audit, listings, scan
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
        (name,) = set(conn.scalars(sa.select(tables.scan.c.connection)))
    assert name.startswith("import:suppliers:")


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


def scans_of(ws: Workspace) -> list[tuple[str, str]]:
    table = tables.scan
    with ws.db.read() as conn:
        return [(row.id, row.status) for row in conn.execute(sa.select(table).order_by(table.c.seq))]


def killed(ws: Workspace) -> None:
    """As if the newest scan had been killed: it never ended."""
    with ws.db.bookkeep() as conn:
        conn.execute(sa.update(tables.scan).values(status="running", finished_at=None))


def test_a_killed_import_goes_on_with_the_same_files_only(ws: Workspace, clock: Clock, register: Path) -> None:
    scan.read_files(ws, connection(clock, "suppliers"), [register], "test")
    killed(ws)
    clock.now += HOUR
    renamed = register.rename(register.with_name("renamed.csv"))
    assert scan.read_files(ws, connection(clock, "suppliers"), [renamed], "test").resumed
    killed(ws)
    register.write_text("supplier id,name\n1,Fabrikam\n", encoding="utf-8")
    assert not scan.read_files(ws, connection(clock, "suppliers"), [register], "test").resumed
    assert suppliers(ws) == ["Fabrikam"]
    assert [status for _id, status in scans_of(ws)] == ["running", "done"]


def test_an_import_that_nobody_went_on_with_is_given_up_after_a_day(
    ws: Workspace, clock: Clock, register: Path
) -> None:
    scan.read_files(ws, connection(clock, "suppliers"), [register], "test")
    killed(ws)
    clock.now += 25 * HOUR
    register.write_text("supplier id,name\n1,Fabrikam\n", encoding="utf-8")
    scan.read_files(ws, connection(clock, "suppliers"), [register], "test")
    assert [status for _id, status in scans_of(ws)] == ["failed", "done"]


def many(register: Path, number: int) -> None:
    lines = [f"{n},Supplier {n}" for n in range(number)]
    register.write_text("\n".join(["supplier id,name", *lines]) + "\n", encoding="utf-8")


def missing(ws: Workspace) -> dict[str, int]:
    table = tables.CURRENT["supplier"]
    with ws.db.read() as conn:
        counted = conn.execute(sa.select(table.c.presence, sa.func.count()).group_by(table.c.presence)).all()
    return {row[0]: row[1] for row in counted}


def test_a_large_drop_waits_for_a_person_and_is_marked_after_their_word(
    ws: Workspace, clock: Clock, register: Path
) -> None:
    many(register, 20)
    live = connection(clock, path=str(register))
    scan.read(ws, live, "test")
    many(register, 5)
    clock.now += HOUR
    scan.read(ws, live, "test")
    assert missing(ws) == {"present": 20}, "held: nobody has confirmed that fifteen are gone"
    (held,) = [row for row in listings.coverage(ws.db, unread_only=True) if row["held"]]
    with pytest.raises(DataError, match="reason"):
        scan.accept(ws, "cli:ana", held["scope"], "  ")
    scan.accept(ws, "cli:ana", held["scope"], "contracts ended in July")
    assert missing(ws)["present"] == 5
    assert list(listings.coverage(ws.db, unread_only=True)) == []
    (entry,) = [one for one in audit.entries(ws) if one.action == "scan.held_accepted"]
    assert (entry.actor, entry.details["reason"]) == ("cli:ana", "contracts ended in July")
    with pytest.raises(TransitionRefused):
        scan.accept(ws, "cli:ana", held["scope"], "once more")
    clock.now += HOUR
    scan.read(ws, live, "test")
    assert missing(ws) == {"present": 5, "gone": 15}, "the next scan does not ask again"
