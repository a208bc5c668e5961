"""The few words in which the SQL of SQLite and PostgreSQL differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Table

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT; `dialect` is the connection's `dialect.name`.

    With `from_select`, the SELECT needs a WHERE: SQLite cannot tell ON CONFLICT from a join's ON without one.
    """
    if dialect == "postgresql":  # each is slow to import, and only one is used
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)
