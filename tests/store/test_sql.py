from __future__ import annotations

import sqlalchemy as sa

from tests.conftest import NOW
from wardship.store import sql, tables
from wardship.store.db import Database


def test_upsert_works_in_the_dialect_of_the_connection(database: Database) -> None:
    table = tables.lease
    with database.bookkeep() as conn:
        for holder in ("a", "b"):
            values = {"name": "x", "holder": holder, "token": 1, "expires_at": NOW}
            insert = sql.insert(conn.dialect.name, table).values(values)
            conn.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"holder": insert.excluded.holder}))
        assert conn.execute(sa.select(table.c.holder)).scalars().all() == ["b"]
