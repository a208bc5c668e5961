"""A database with a clock that moves, and short questions to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.ingest.provider import Provider
from wardship.ingest.scan import ScanPolicy, ScanReport, run_scan
from wardship.store import tables
from wardship.store.columns import FAMILIES
from wardship.store.db import Database

Scan = Callable[..., ScanReport]


class Clock:
    """Every look at it is a second later."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def db(database: Database) -> Database:
    database.clock = Clock()
    return database


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def scan(db: Database, provider: Provider) -> Scan:
    def run(policy: ScanPolicy | None = None) -> ScanReport:
        return run_scan(db, provider.connector(), connection_name="sim", actor="test", policy=policy)

    return run


def presence(db: Database, family: str = "identity") -> dict[str, str]:
    """native id (else uid) -> presence of the current rows."""
    table = tables.CURRENT[family]
    key = table.c.native_id if "native_id" in table.c else table.c.uid
    with db.read() as conn:
        return {row[0]: row[1] for row in conn.execute(sa.select(key, table.c.presence))}


def versions(db: Database, family: str = "identity") -> list[tuple[str, str]]:
    """(native id, change) of every version, in the order of writing."""
    table = tables.VERSION[family]
    key = table.c.native_id if "native_id" in table.c else table.c.uid
    with db.read() as conn:
        return [(row[0], row[1]) for row in conn.execute(sa.select(key, table.c.change).order_by(table.c.id))]


def all_versions(db: Database) -> int:
    with db.read() as conn:
        return sum(
            conn.execute(sa.select(sa.func.count()).select_from(t)).scalar_one() for t in tables.VERSION.values()
        )


def assert_current_is_newest_version(db: Database) -> None:
    """The bitemporal law: each current row says what the newest version of it says, and each has versions."""
    with db.read() as conn:
        for family, current in tables.CURRENT.items():
            version = tables.VERSION[family]
            names = ["uid", *(column.name for column in FAMILIES[family]()), "content_hash", "presence"]
            newest = sa.select(sa.func.max(version.c.id)).group_by(version.c.uid)
            latest = _rows(conn, sa.select(*(version.c[n] for n in names)).where(version.c.id.in_(newest)))
            assert _rows(conn, sa.select(*(current.c[n] for n in names))) == latest


def _rows(conn: sa.Connection, query: sa.Select[Any]) -> set[tuple[Any, ...]]:
    return {tuple(row) for row in conn.execute(query)}
