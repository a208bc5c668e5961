"""Records that could not be read: listing them, and trying them again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from wardship.ingest.quarantine import ReplayReport, replay_quarantine
from wardship.sdk import registry
from wardship.sdk.connector import Connection
from wardship.sdk.i18n import N_
from wardship.services import evaluate
from wardship.services.formats import Column, Row
from wardship.store import scans, tables
from wardship.store.db import Database
from wardship.store.workspace import Workspace

COLUMNS = (
    Column(name="scope", label=N_("Scope")),
    Column(name="problem", label=N_("Why")),
    Column(name="times", label=N_("Times"), type="integer"),
    Column(name="last_at", label=N_("Last seen"), type="instant"),
    Column(name="connection", label=N_("Connection")),
    Column(name="id", label=N_("No."), type="integer"),
    Column(name="first_at", label=N_("First seen"), type="instant", screen=False),
    Column(name="item", label=N_("Record, redacted"), screen=False),
)


def rows(db: Database) -> Iterator[Row]:
    """What is still in quarantine, the newest first."""
    table = tables.quarantine
    query = (
        sa.select(table, tables.scan.c.connection)
        .outerjoin(tables.scan, tables.scan.c.id == table.c.scan_id)
        .where(table.c.replayed_at.is_(None))
        .order_by(table.c.last_at.desc(), table.c.id)
    )
    with db.read() as conn:
        for row in conn.execution_options(yield_per=1_000).execute(query):
            yield {
                "id": row.id,
                "scope": row.scope_key,
                "problem": row.reason,
                "times": row.times,
                "first_at": row.first_at,
                "last_at": row.last_at,
                "connection": row.connection,
                "item": row.item,
            }


def connections(db: Database) -> list[str]:
    """Names of the connections from which something is in quarantine."""
    table = tables.quarantine
    query = (
        sa.select(tables.scan.c.connection)
        .join(table, tables.scan.c.id == table.c.scan_id)
        .where(table.c.replayed_at.is_(None))
        .distinct()
        .order_by(tables.scan.c.connection)
    )
    with db.read() as conn:
        return list(conn.scalars(query))


def replay(
    ws: Workspace, connection: Connection, actor: str, plugins: Sequence[str] = (), *, name: str | None = None
) -> ReplayReport:
    """Parses what is in quarantine of one connection again, publishes what is now understood, and judges it.

    `name`: under which its scan is kept, one of `connections`; None: that of the connection. What came from files
    needs no credentials.
    """
    name = name or connection.name
    module = registry.connector_module(connection.connector, plugins)
    reader = module.import_files([], connection) if scans.is_import(name) else module.connect(connection)
    report = replay_quarantine(ws.db, reader, connection_name=name, actor=actor)
    if report.replayed:
        evaluate.again(ws, actor=actor)
    return report
