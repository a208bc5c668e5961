"""Connections: adding, listing, checking, setting up and removing the access that scans use.

A connection's secrets are references (`env:NAME`, `file:/path`); a literal value is refused before it reaches the
database, the audit log or a message.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from wardship.model.errors import ConfigError
from wardship.sdk import registry
from wardship.sdk.connector import Capability, CheckResult, Connection, Manifest, SetupGuide
from wardship.sdk.i18n import _
from wardship.sdk.source import SourceManifest
from wardship.store import tables
from wardship.store.db import Database

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_REFERENCE = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|[a-z][a-z0-9-]*:.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConnection:
    """A connection as it is kept: settings with secrets as references."""

    name: str
    connector: str
    settings: Mapping[str, str]
    created_at: datetime
    created_by: str
    last_scan_at: datetime | None = None
    last_status: str | None = None


def add(
    db: Database, actor: str, name: str, connector: str, settings: Mapping[str, str], *, plugins: Sequence[str] = ()
) -> StoredConnection:
    """Keeps a new connection. Raises ConfigError for a taken name, an unknown setting or a literal secret."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            _("%(name)r is no name for a connection") % {"name": name[:64]},
            advice=_("use small letters, digits, dots and hyphens, at most 63"),
        )
    check_settings(registry.connectable(connector, plugins), settings)
    with db.write(actor) as writing:
        if writing.conn.scalar(sa.select(tables.connection.c.name).where(tables.connection.c.name == name)):
            raise ConfigError(
                _("there is already a connection called %(name)s") % {"name": name},
                advice=_("choose another name, or remove the old one with `wardship connect remove %(name)s`")
                % {"name": name},
            )
        writing.conn.execute(
            tables.connection.insert().values(
                name=name,
                connector=connector,
                settings=json.dumps(dict(settings), sort_keys=True),
                created_at=writing.at,
                created_by=actor,
            )
        )
        writing.audit("connection.added", f"connection:{name}", {"connector": connector, "settings": sorted(settings)})
        return StoredConnection(
            name=name, connector=connector, settings=dict(settings), created_at=writing.at, created_by=actor
        )


def check_settings(manifest: Manifest | SourceManifest, settings: Mapping[str, str]) -> None:
    """Raises ConfigError for a setting that the connector does not know, lacks, or that holds a literal secret."""
    known = {setting.name: setting for setting in manifest.settings}
    for name, value in settings.items():
        setting = known.get(name)
        if setting is None:
            raise ConfigError(
                _("connector %(connector)s has no setting %(name)r") % {"connector": manifest.name, "name": name[:64]},
                advice=_("its settings: %(names)s") % {"names": ", ".join(known) or "-"},
            )
        if setting.secret and not _REFERENCE.fullmatch(value):
            raise ConfigError(
                _("setting %(name)s holds a secret itself; Wardship keeps references only") % {"name": name},
                advice=_(
                    "put the value into a file or the environment and give %(name)s=file:/path or %(name)s=env:NAME"
                )
                % {"name": name},
            )
    for setting in manifest.settings:
        if setting.required and setting.name not in settings:
            raise ConfigError(
                _("connector %(connector)s needs the setting %(name)s: %(help)s")
                % {"connector": manifest.name, "name": setting.name, "help": _(setting.help)},
                advice=_("add %(name)s=VALUE to the command") % {"name": setting.name},
            )


def stored(db: Database) -> list[StoredConnection]:
    """All connections by name, each with its newest scan."""
    newest = (
        sa.select(tables.scan.c.connection, sa.func.max(tables.scan.c.seq).label("seq"))
        .group_by(tables.scan.c.connection)
        .subquery()
    )
    query = (
        sa.select(tables.connection, tables.scan.c.started_at, tables.scan.c.status)
        .outerjoin(newest, newest.c.connection == tables.connection.c.name)
        .outerjoin(tables.scan, tables.scan.c.seq == newest.c.seq)
        .order_by(tables.connection.c.name)
    )
    with db.read() as conn:
        return [
            StoredConnection(
                name=row.name,
                connector=row.connector,
                settings=json.loads(row.settings),
                created_at=row.created_at,
                created_by=row.created_by,
                last_scan_at=row.started_at,
                last_status=row.status,
            )
            for row in conn.execute(query)
        ]


def find(db: Database, name: str) -> StoredConnection:
    """The connection called `name`. Raises ConfigError where there is none."""
    for connection in stored(db):
        if connection.name == name:
            return connection
    raise ConfigError(
        _("no connection is called %(name)r") % {"name": name[:64]},
        advice=_("see them with `wardship connect list`, or add one with `wardship connect add`"),
    )


def remove(db: Database, actor: str, name: str, *, cache: Path | None = None) -> None:
    """Forgets a connection, and deletes its `cache`, where a mirror holds what a repository holds.

    What it read stays in the inventory, with the date of its last reading.
    """
    find(db, name)
    with db.write(actor) as writing:
        writing.conn.execute(tables.connection.delete().where(tables.connection.c.name == name))
        writing.audit("connection.removed", f"connection:{name}", {})
    if cache is not None:
        shutil.rmtree(cache, ignore_errors=True)


def check(connection: Connection, plugins: Sequence[str] = ()) -> Sequence[CheckResult]:
    """What the connection's credential allows; reads only. Raises AuthenticationFailed."""
    if registry.is_log(connection.connector):
        return _check_log(connection)
    results: Sequence[CheckResult] = (
        registry.connector_module(connection.connector, plugins).connect(connection).check()
    )
    return results


def _check_log(connection: Connection) -> Sequence[CheckResult]:
    """A log is opened, which proves the credential; what its permissions allow shows only when it is read."""
    log: Any = registry.source(connection.connector)
    streams = ", ".join(stream.name for stream in log.live(connection).streams())
    return [
        CheckResult(permission=one.name, capability=Capability.USAGE, allowed=None, detail=streams)
        for one in log.MANIFEST.permissions
    ]


def setup(connection: Connection, capability: Capability, plugins: Sequence[str] = ()) -> SetupGuide:
    """How to grant the least privilege for a capability. Raises ConfigError where the connector has none."""
    manifest = registry.manifest(connection.connector, plugins)
    if capability not in manifest.permissions:
        raise ConfigError(
            _("connector %(connector)s cannot %(capability)s")
            % {"connector": manifest.name, "capability": capability.value},
            advice=_("it can: %(names)s") % {"names": ", ".join(c.value for c in manifest.permissions)},
        )
    guide: SetupGuide = registry.connector_module(connection.connector, plugins).connect(connection).setup(capability)
    return guide
