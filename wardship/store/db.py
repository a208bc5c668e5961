"""The state database: who may read, who may write, and that every change leaves an audit entry.

One writer, many readers, and the same meaning on both databases:
- `read()` is one consistent view. It never takes the write lock and cannot write.
- `write(actor)` is one transaction of the one writer: whatever it reads stays true until it commits. SQLite takes
  its lock at the start (BEGIN IMMEDIATE, so it waits instead of failing half-way) and syncs every commit (WAL with
  synchronous=FULL: a commit that was answered survives a power cut); PostgreSQL takes an advisory lock. A `write()`
  without an audit entry is refused at commit: no row, no action.
- `bookkeep()` is for what is no act of anybody (leases, checkpoints, staged rows): the only way to write without one.
  Its commits survive a kill and wait for no disk: a power cut may undo the newest of them, in order, up to the last
  `write()`. That costs reading a page again; an fsync for each would cost most of a scan's time.

Writers wait for each other, at most `LOCK_WAIT_S`; a thread that would wait for itself is told so at once.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from wardship.model.errors import ConfigError, Error, Unavailable
from wardship.sdk.i18n import _
from wardship.store.audit import Appender

LOCK_WAIT_S = 30.0
_WRITER_LOCK = 0x77617264  # "ward": the key of PostgreSQL's advisory lock, one for each database


class Write:
    """One write transaction. `conn` is the SQLAlchemy connection; `at` the instant to write; `actor` who acts."""

    __slots__ = ("_appender", "actor", "at", "conn")

    def __init__(self, conn: Connection, actor: str, at: datetime) -> None:
        self.conn = conn
        self.actor = actor
        self.at = at
        self._appender = Appender(conn)

    def audit(self, action: str, subject: str, details: Mapping[str, Any] | None = None) -> int:
        """Adds {at, actor, action, subject, details} to the audit log and returns its sequence number.

        `details` holds ids, counts and hashes; never a secret and never a provider's raw text. The entries of one
        transaction are stored together at its end.
        """
        return self._appender.append(at=self.at, actor=self.actor, action=action, subject=subject, details=details)

    def _finish(self) -> int:
        if not self._appender.pending:
            raise AssertionError("a write without an audit entry: use bookkeep() if it is no act")
        return self._appender.flush()


class Database:
    """An open state database. `clock` gives the instants that are written (aware, UTC).

    `audited` counts the entries that this object has committed. `lock_wait_s` is for tests.
    """

    def __init__(self, url: str | URL, *, clock: Callable[[], datetime], lock_wait_s: float = LOCK_WAIT_S) -> None:
        self.url = _parsed(url)
        self.clock = clock
        self.audited = 0
        self._mine = threading.local()
        if self.is_sqlite:
            self._reader = _sqlite_engine(self.url, "BEGIN", lock_wait_s)
            self._writer = _sqlite_engine(self.url, "BEGIN IMMEDIATE", lock_wait_s)
        else:
            self._reader = _postgresql_engine(self.url, lock_wait_s, reader=True)
            self._writer = _postgresql_engine(self.url, lock_wait_s, reader=False)

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)!r})"

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view. Writing through it is refused by the database."""
        with _said_plainly(), self._reader.connect() as conn:
            try:
                yield conn
            finally:
                conn.rollback()

    @contextlib.contextmanager
    def write(self, actor: str) -> Iterator[Write]:
        """One audited transaction: everything or nothing. Refuses to commit without an audit entry."""
        with self._transaction(durable=True) as conn:
            writing = Write(conn=conn, actor=actor, at=self.clock())
            yield writing
            added = writing._finish()
        self.audited += added

    @contextlib.contextmanager
    def bookkeep(self) -> Iterator[Connection]:
        """A transaction for leases, checkpoints and staged rows: what changes nothing that anybody decided."""
        with self._transaction(durable=False) as conn:
            yield conn

    @contextlib.contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[Connection]:
        """The writer's turn. Not `durable`: the commit does not wait for the disk."""
        if getattr(self._mine, "writing", False):
            raise AssertionError("a write transaction inside another of the same thread would wait for itself")
        self._mine.writing = True
        try:
            with _said_plainly(), self._writer.execution_options(durable=durable).begin() as conn:
                if not self.is_sqlite:
                    conn.exec_driver_sql(f"select pg_advisory_xact_lock({_WRITER_LOCK})")
                    conn.exec_driver_sql(f"set local synchronous_commit = {'on' if durable else 'off'}")
                yield conn
        finally:
            self._mine.writing = False

    def close(self) -> None:
        self._reader.dispose()
        self._writer.dispose()


def _parsed(url: str | URL) -> URL:
    """The URL with our driver. Raises ConfigError without repeating the URL, which may hold a password."""
    use = _("use a PostgreSQL URL (postgresql://user@host/name), or none for SQLite in the workspace folder")
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigError(_("the database URL cannot be read"), advice=use) from None
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise ConfigError(_("a SQLite database in memory cannot be shared by readers and the writer"), advice=use)
        return parsed.set(drivername="sqlite")
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigError(_("database %(kind)s is not supported") % {"kind": repr(parsed.get_backend_name())}, advice=use)


@contextlib.contextmanager
def _said_plainly() -> Iterator[None]:
    """Failures of the database become ours: what happened, what next, and neither URL nor row."""
    try:
        yield
    except Error:
        raise
    except sa.exc.TimeoutError:
        raise _unavailable("no free connection") from None
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError) as error:
        raise _unavailable(_first_line(error)) from None
    except sa.exc.DatabaseError as error:
        if type(error) is not sa.exc.DatabaseError:  # constraint and programming errors are the caller's own
            raise
        raise _unavailable(_first_line(error)) from None  # SQLite: "file is not a database", "malformed"


def _first_line(error: sa.exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else "no reason given"


def _unavailable(reason: str) -> Unavailable:
    """What `reason`, the database's own words, means to an operator."""
    low = reason.lower()
    if "locked" in low or "lock timeout" in low or "no free connection" in low:
        advice = _("another Wardship process is writing; wait for it, or stop it, and run this again")
    elif any(word in low for word in ("full", "no space", "disk i/o", "could not extend", "file too large")):
        advice = _("make room on the disk of the database; nothing was changed")
    elif "readonly" in low or "read-only" in low or "permission denied" in low or "unable to open" in low:
        advice = _("make the workspace folder writable for this user")
    elif "malformed" in low or "not a database" in low:
        advice = _("the file is damaged: restore a backup, then `wardship audit verify`")
    else:
        advice = _("check that the database runs and accepts this user; `wardship doctor` tells more")
    return Unavailable(
        _("the state database refused: %(reason)s") % {"reason": reason}, system="database", advice=advice
    )


def _sqlite_engine(url: URL, begin: str, lock_wait_s: float) -> Engine:
    writer = begin == "BEGIN IMMEDIATE"
    # One writing connection: threads of this process queue for it in turn instead of polling the file's lock.
    pool: dict[str, Any] = {"pool_size": 1, "max_overflow": 0} if writer else {"pool_size": 5, "max_overflow": 20}
    engine = sa.create_engine(url, poolclass=sa.pool.QueuePool, pool_timeout=lock_wait_s, hide_parameters=True, **pool)

    @sa.event.listens_for(engine, "connect")
    def _configure(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None  # we begin transactions ourselves, below
        cursor = dbapi.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(lock_wait_s * 1000)}")
        _use_wal(cursor, lock_wait_s)
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA recursive_triggers=ON")  # else INSERT OR REPLACE deletes without asking a trigger
        cursor.execute("PRAGMA temp_store=MEMORY")
        if not writer:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        if writer:
            durable = conn.get_execution_options().get("durable", True)
            conn.exec_driver_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        conn.exec_driver_sql(begin)

    return engine


def _use_wal(cursor: Any, lock_wait_s: float) -> None:
    """Switches a new file to WAL. SQLite does not wait by itself when two processes do that at once: we do."""
    end = time.monotonic() + lock_wait_s
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _postgresql_engine(url: URL, lock_wait_s: float, *, reader: bool) -> Engine:
    settings = f"-c timezone=UTC -c lock_timeout={int(lock_wait_s * 1000)}"
    if reader:
        settings += " -c default_transaction_read_only=on -c default_transaction_isolation=repeatable\\ read"
    return sa.create_engine(
        url,
        connect_args={"options": settings, "connect_timeout": 10},
        pool_pre_ping=True,
        pool_timeout=lock_wait_s,
        hide_parameters=True,
    )
