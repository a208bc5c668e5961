"""The few words in which the SQL of SQLite and PostgreSQL differs."""

from __future__ import annotations

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite


def insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT; `dialect` is the connection's `dialect.name`.

    With `from_select`, the SELECT needs a WHERE: SQLite cannot tell ON CONFLICT from a join's ON without one.
    """
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
