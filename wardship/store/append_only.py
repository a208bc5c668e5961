"""Triggers that refuse to change or delete a row, on SQLite and on PostgreSQL.

One definition for both ways a table is born: `metadata.create_all` and the migrations. They stop mistakes and casual
edits; whoever owns the database can drop them, and then the signed Merkle tree of `wardship.store.audit` tells.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

_POSTGRESQL_FUNCTION = """
create or replace function wardship_refuse_change() returns trigger language plpgsql as $$
begin
  raise exception using message = tg_table_name || ' is append-only', errcode = 'integrity_constraint_violation';
end $$
"""


def append_only_ddl(table: str, dialect: str) -> list[str]:
    """The statements that make `table` append-only in `dialect` ("sqlite" or "postgresql")."""
    if dialect == "postgresql":
        # By statement, not by row: it also covers TRUNCATE, and costs nothing on insert.
        event = f"before update or delete or truncate on {table}"
        run = "for each statement execute function wardship_refuse_change()"
        return [_POSTGRESQL_FUNCTION, f"create trigger {table}_append_only {event} {run}"]
    return [
        f"create trigger {table}_append_only_{verb} before {verb} on {table} "
        f"begin select raise(abort, '{table} is append-only'); end"
        for verb in ("update", "delete")
    ]


def make_append_only(table: sa.Table) -> None:
    """From now on, creating `table` through its metadata also creates its triggers."""

    def create_triggers(target: sa.Table, connection: Connection, **_: Any) -> None:
        for statement in append_only_ddl(target.name, connection.dialect.name):
            connection.exec_driver_sql(statement)

    sa.event.listen(table, "after_create", create_triggers)


def unguarded(conn: Connection, tables: tuple[str, ...]) -> list[str]:
    """Those of `tables` whose triggers are missing or, on PostgreSQL, switched off."""
    if conn.dialect.name == "postgresql":
        rows = conn.exec_driver_sql(
            "select c.relname, t.tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid "
            "where not t.tgisinternal and t.tgenabled in ('O', 'A') and pg_table_is_visible(c.oid)"
        )
        present = {(str(table), str(name)) for table, name in rows}
        return [name for name in tables if (name, f"{name}_append_only") not in present]
    rows = conn.exec_driver_sql("select tbl_name, name from sqlite_master where type = 'trigger'")
    present = {(str(table), str(name)) for table, name in rows}
    return [
        name
        for name in tables
        if not {(name, f"{name}_append_only_update"), (name, f"{name}_append_only_delete")} <= present
    ]
