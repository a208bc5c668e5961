"""The marks in chunks: killed in between, no row is missed twice. The rules: tests/ingest/test_scan.py."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from tests.ingest.conftest import Clock
from tests.ingest.provider import Provider, thing
from wardship.ingest.scan import run_scan
from wardship.store import presence, scans, tables
from wardship.store.db import Database


def test_the_marker_keeps_a_row_from_being_missed_twice(database: Database) -> None:
    database.clock = Clock()
    provider = Provider()
    scope = provider.scope("1")
    provider.put(scope, *(thing(f"a{n}", keys=0, grants=()) for n in range(7)))
    run_scan(database, provider.connector(), connection_name="sim", actor="test")
    scan = scans.begin(database, connection="sim", connector="sim", actor="test", resume_within=timedelta(hours=1))
    chunks = []
    for _ in range(6):
        with database.bookkeep() as conn:  # each time as a new process would see it
            reading = scans.open_reading(conn, scan, scope, database.clock())
            assert presence.tally(conn, scan, reading)["identity"].missing == 7
            chunks.append(presence.mark_missing(conn, scan, reading, "identity", at=database.clock(), limit=3))
            scans.save(conn, reading)
    assert chunks == [3, 3, 1, 0, 0, 0]
    with database.read() as conn:
        identity = tables.CURRENT["identity"]
        assert conn.execute(sa.select(identity.c.misses)).scalars().all() == [1] * 7
        assert set(conn.execute(sa.select(identity.c.presence)).scalars()) == {"unconfirmed"}
