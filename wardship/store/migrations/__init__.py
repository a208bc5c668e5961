"""The schema of the state database: how it is made, brought up to date, and recognised.

One migration run is one transaction on both databases: killed at any statement, it leaves the schema as it was, and
runs again. Each is a file of `versions/`, frozen once released. `tables.py` says what the newest schema is; a test
compares it with what the migrations make.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _
from wardship.store.db import Database

REVISIONS = ("0001", "0002", "0003", "0004")  # oldest first; a test holds them against `versions/`
HEAD = REVISIONS[-1]
_FOLDER = Path(__file__).resolve().parent


class SchemaState(Enum):
    """What was found: nothing, an older schema, ours, a newer one, or tables that are not Wardship's."""

    EMPTY = "empty"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"
    FOREIGN = "foreign"


def schema_state(db: Database) -> SchemaState:
    """What the database holds; cheap enough for every command."""
    with db.read() as conn:
        return _state(conn)


def bring_up_to_date(db: Database) -> None:
    """Migrates an older database. Raises ConfigError where that is not possible: newer, foreign, or empty."""
    state = schema_state(db)
    if state is SchemaState.EMPTY:
        raise ConfigError(
            _("the database of this workspace is empty"),
            advice=_("restore a backup; `wardship init` in a new folder makes a new workspace"),
        )
    if state is not SchemaState.CURRENT:
        migrate(db)


def migrate(db: Database) -> str | None:
    """Makes the schema current. Returns the revision it had (None: it was empty).

    Raises ConfigError for a newer or foreign database. Two processes may call it at once: the second waits, and finds
    nothing to do.
    """
    before = _revision_to_migrate(db)
    if before == HEAD:
        return before
    with db.write("system") as writing:
        before = _revision(writing.conn)
        if before != HEAD:
            _upgrade(writing.conn)
        writing.audit("schema.migrated", "database", {"from": before, "to": HEAD})
    return before


def _revision_to_migrate(db: Database) -> str | None:
    with db.read() as conn:
        state = _state(conn)
        if state is SchemaState.NEWER:
            raise ConfigError(
                _("the database was made by a newer Wardship (schema %(revision)s)") % {"revision": _revision(conn)},
                advice=_("update Wardship; a newer schema is never changed back"),
            )
        if state is SchemaState.FOREIGN:
            raise ConfigError(
                _("the database holds tables that are not Wardship's"),
                advice=_("give Wardship a database of its own"),
            )
        return _revision(conn)


def _state(conn: Connection) -> SchemaState:
    revision = _revision(conn)
    if revision is None:
        return SchemaState.FOREIGN if sa.inspect(conn).get_table_names() else SchemaState.EMPTY
    if revision == HEAD:
        return SchemaState.CURRENT
    return SchemaState.OLDER if revision in REVISIONS else SchemaState.NEWER


def _revision(conn: Connection) -> str | None:
    if not sa.inspect(conn).has_table("alembic_version"):
        return None
    found = conn.exec_driver_sql("select version_num from alembic_version").scalar()
    return None if found is None else str(found)


def _upgrade(conn: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": conn})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    command.upgrade(config, "head")
