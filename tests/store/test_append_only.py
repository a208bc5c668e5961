"""The triggers on every append-only table, however it was made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from wardship.store import tables
from wardship.store.append_only import unguarded
from wardship.store.db import Database


def test_the_audit_log_and_every_version_table_are_append_only() -> None:
    versions = {name for name in tables.metadata.tables if name.endswith("_version")}
    assert len(versions) >= 8
    assert set(tables.APPEND_ONLY) == versions | {"audit", "audit_checkpoint"}


def test_a_written_row_can_be_neither_changed_nor_deleted(database: Database) -> None:
    row = {"size": 1, "note": "n", "ed25519": b"", "ecdsa": b"", "key_id": "k", "created_at": NOW}
    with database.bookkeep() as conn:
        conn.execute(tables.audit_checkpoint.insert().values(row))
    attempts = [
        tables.audit_checkpoint.update().values(note="other"),
        tables.audit_checkpoint.delete(),
        tables.audit_checkpoint.delete().where(tables.audit_checkpoint.c.size == 1),
        sa.text("delete from audit_checkpoint" if database.is_sqlite else "truncate audit_checkpoint"),
    ]
    for statement in attempts:
        with pytest.raises(sa.exc.IntegrityError, match="append-only"), database.bookkeep() as conn:
            conn.execute(statement)
    with database.read() as conn:
        assert conn.execute(sa.select(tables.audit_checkpoint.c.note)).scalars().all() == ["n"]


def test_replacing_a_row_in_sqlite_is_refused_too(tmp_path: Path, clock: Callable[[], datetime]) -> None:
    database = Database(f"sqlite:///{tmp_path}/state.db", clock=clock)
    with database.bookkeep() as conn:
        tables.metadata.create_all(conn)
    sql = "insert or replace into audit (seq, body, leaf, prev) values (0, ?, x'00', x'00')"
    with database.bookkeep() as conn:
        conn.exec_driver_sql(sql, ("first",))
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), database.bookkeep() as conn:
        conn.exec_driver_sql(sql, ("second",))


def test_a_missing_or_disabled_trigger_is_noticed(database: Database) -> None:
    with database.bookkeep() as conn:
        assert unguarded(conn, tables.APPEND_ONLY) == []
        if database.is_sqlite:
            conn.exec_driver_sql("drop trigger audit_append_only_delete")
        else:
            conn.exec_driver_sql("alter table audit disable trigger audit_append_only")
        assert unguarded(conn, tables.APPEND_ONLY) == ["audit"]
