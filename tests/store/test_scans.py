"""The registers by themselves. What a scan makes of them: tests/ingest/test_scan.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from wardship.ingest.record import row_of
from wardship.model.identity import Identity, IdentityKind
from wardship.model.scan import Problem, Scope, ScopeStatus
from wardship.store import scans, tables
from wardship.store.db import Database

SCOPE = Scope(connector="sim", authority="sim:1", kind="accounts")


def begin(db: Database) -> scans.Scan:
    return scans.begin(db, connection="sim", connector="sim", actor="test", resume_within=timedelta(hours=1))


def test_sequence_numbers_grow_and_an_unfinished_scan_is_resumed(database: Database) -> None:
    first = begin(database)
    again = begin(database)
    assert (again.id, again.seq, again.resumed) == (first.id, 1, True)
    with database.write("test") as write:
        scans.finish(write, first, "done", {})
    second = begin(database)
    assert (second.seq, second.resumed) == (2, False)


def test_a_reading_comes_back_as_it_was_saved(database: Database) -> None:
    scan = begin(database)
    with database.bookkeep() as conn:
        reading = scans.open_reading(conn, scan, SCOPE, database.clock())
        reading.checkpoint, reading.pages, reading.items = "next", 3, 12
        reading.status, reading.phase = ScopeStatus.PARTIAL, "publishing"
        reading.add_problem(Problem(reason="throttled", detail="slow down", permission="p", subject="s"))
        reading.add_problem(Problem(reason="throttled", detail="slow down", permission="p", subject="s"))
        reading.count("identity", "staged", 4)
        reading.settled["identity"] = "id_x"
        scans.save(conn, reading)
        assert scans.open_reading(conn, scan, SCOPE, database.clock()) == reading
    assert len(reading.problems) == 1
    assert reading.coverage.items == 12


def test_an_older_scan_does_not_overwrite_the_newest_word_on_a_scope(database: Database) -> None:
    old = begin(database)
    with database.write("test") as write:
        scans.finish(write, old, "done", {})
    new = begin(database)
    for scan, status in ((new, ScopeStatus.COMPLETE), (old, ScopeStatus.PARTIAL)):
        with database.bookkeep() as conn:
            reading = scans.open_reading(conn, scan, SCOPE, database.clock())
            reading.status, reading.finished_at = status, datetime(2026, 1, 1, tzinfo=UTC)
            scans.conclude(conn, scan, reading)
    with database.read() as conn:
        row = conn.execute(sa.select(tables.scope)).one()
    assert (row.status, row.complete_seq) == ("complete", new.seq)


def test_staging_a_thing_twice_replaces_it_and_sweeping_empties_the_stage(database: Database) -> None:
    scan = begin(database)
    rows = [
        row_of(Identity(authority="sim:1", native_id="a", kind=IdentityKind.ROBOT, name=name))[1]
        for name in ("one", "two", "three")
    ]
    stage = tables.STAGE["identity"]
    with database.bookkeep() as conn:
        reading = scans.open_reading(conn, scan, SCOPE, database.clock())
        scans.stage(conn, reading, {"identity": rows[:2]})
        scans.stage(conn, reading, {"identity": rows[2:], "credential": []})
        assert conn.execute(sa.select(stage.c.name)).scalars().all() == ["three"]
        assert scans.duplicates(conn, reading) == 2
        reading.phase = "discarded"
        scans.save(conn, reading)
    assert scans.sweep(database, limit=1) == 1
    with database.read() as conn:
        assert conn.execute(sa.select(stage.c.uid)).first() is None
