"""The state database: who may read, who may write, and that every change leaves an audit entry.

Two engines over one database. `read()` never takes the write lock. `write()` is one transaction of the one
writer: SQLite takes its lock at the start (BEGIN IMMEDIATE, so it waits instead of failing half-way) and syncs
every commit (WAL with synchronous=FULL: a commit that was answered survives a power cut). A `write()` that adds no
audit entry is refused at commit: no row, no action. `bookkeep()` is for what is no act of anybody
(leases, checkpoints, staged rows) and is the only way to write without an entry.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from wardship.model.errors import ConfigError, Unavailable
from wardship.store import audit

_BUSY_TIMEOUT_MS = 30_000


@dataclass(slots=True)
class Write:
    """One write transaction. `conn` is the SQLAlchemy connection; `audit` adds an entry to the same transaction."""

    conn: Connection
    actor: str
    at: datetime
    entries: int = field(default=0)

    def audit(self, action: str, subject: str, details: Mapping[str, Any] | None = None) -> int:
        """Adds {at, actor, action, subject, details} to the audit log and returns its sequence number.

        `details` holds ids, counts and hashes; never a secret and never a provider's raw text.
        """
        self.entries += 1
        return audit.append(self.conn, at=self.at, actor=self.actor, action=action, subject=subject, details=details)


class Database:
    """An open state database. `clock` gives the instants that are written (aware, UTC)."""

    def __init__(self, url: str | URL, *, clock: Callable[[], datetime]) -> None:
        self.url = make_url(url)
        self.clock = clock
        if self.url.get_backend_name() == "sqlite":
            self.url = self.url.set(drivername="sqlite")
            self._reader = _sqlite_engine(self.url, "BEGIN")
            self._writer = _sqlite_engine(self.url, "BEGIN IMMEDIATE")
        elif self.url.get_backend_name() == "postgresql":
            self.url = self.url.set(drivername="postgresql+psycopg")
            self._reader = self._writer = _postgresql_engine(self.url)
        else:
            raise ConfigError(
                f"database {self.url.get_backend_name()!r} is not supported",
                advice="use a PostgreSQL URL, or none for SQLite in the workspace folder",
            )

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view; whatever is written through it is rolled back."""
        with _said_plainly(), self._reader.connect() as conn:
            try:
                yield conn
            finally:
                conn.rollback()

    @contextlib.contextmanager
    def write(self, actor: str) -> Iterator[Write]:
        """One audited transaction: everything or nothing. Refuses to commit without an audit entry."""
        with _said_plainly(), self._writer.begin() as conn:
            writing = Write(conn=conn, actor=actor, at=self.clock())
            yield writing
            if not writing.entries:
                raise AssertionError("a write without an audit entry: use bookkeep() if it is no act")

    @contextlib.contextmanager
    def bookkeep(self) -> Iterator[Connection]:
        """A transaction for leases, checkpoints and staged rows: what changes nothing that anybody decided."""
        with _said_plainly(), self._writer.begin() as conn:
            yield conn

    def close(self) -> None:
        self._reader.dispose()
        self._writer.dispose()


@contextlib.contextmanager
def _said_plainly() -> Iterator[None]:
    """Connection failures become ours, without the URL (it may hold a password)."""
    try:
        yield
    except sa.exc.OperationalError as error:
        reason = str(error.orig).splitlines()[0] if error.orig else "no reason given"
        raise Unavailable(
            f"the state database did not answer: {reason}",
            system="database",
            advice="check that the disk has room, that no other process holds it, and `wardship doctor`",
        ) from None


def _sqlite_engine(url: URL, begin: str) -> Engine:
    engine = sa.create_engine(url, poolclass=sa.pool.QueuePool if url.database else None)

    @sa.event.listens_for(engine, "connect")
    def _configure(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None  # we begin transactions ourselves, below
        cursor = dbapi.cursor()
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        conn.exec_driver_sql(begin)

    return engine


def _postgresql_engine(url: URL) -> Engine:
    return sa.create_engine(url, connect_args={"options": "-c timezone=UTC"}, pool_pre_ping=True)
