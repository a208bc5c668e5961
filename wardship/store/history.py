"""What was true on a day, what we knew of it, and what has changed: questions to the versions (ADR 0002)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from wardship.store import tables
from wardship.store.columns import FAMILIES
from wardship.store.db import Database

_JSON_OBJECTS = ("attributes",)
_STREAM_ROWS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One version against the one before. `fields` has (before, after) of each column that differs.

    A small fact of the vendor's is named `attributes.NAME`. `fields` is empty for what appeared; `row` is the version.
    """

    family: str
    uid: str
    change: str  # appeared, changed, unconfirmed, gone, returned
    valid_from: datetime
    recorded_at: datetime
    scan_id: str | None
    fields: Mapping[str, tuple[Any, Any]]
    row: Mapping[str, Any]


def as_of(
    db: Database, family: str, uid: str, *, valid_at: datetime, known_at: datetime | None = None
) -> Mapping[str, Any] | None:
    """The row `uid` as it was at `valid_at`, by what had been written down until `known_at` (None: until now).

    None when nothing was known of it then. A row that was gone is returned, with `presence` saying so.
    """
    with db.read() as conn:
        return _as_of(conn, family, uid, valid_at, known_at)


def held_as_of(
    db: Database, family: str, holder_uid: str, *, valid_at: datetime, known_at: datetime | None = None
) -> list[Mapping[str, Any]]:
    """Owners, credentials or grants of an identity at `valid_at`, as known at `known_at`; gone ones are left out."""
    current = tables.CURRENT[family]
    with db.read() as conn:
        uids = conn.execute(
            sa.select(current.c.uid).where(current.c.holder_uid == holder_uid).order_by(current.c.uid)
        ).scalars()
        rows = [_as_of(conn, family, uid, valid_at, known_at) for uid in uids]
    return [row for row in rows if row is not None and row["presence"] != "gone" and row["holder_uid"] == holder_uid]


def changes(
    db: Database, *, since: datetime, until: datetime | None = None, families: tuple[str, ...] = tuple(FAMILIES)
) -> Iterator[Change]:
    """What was written down after `since` and until `until` (None: now), family by family, oldest first."""
    with db.read() as conn:
        for family in families:
            yield from _changes(conn, family, since, until)


def _as_of(
    conn: Connection, family: str, uid: str, valid_at: datetime, known_at: datetime | None
) -> Mapping[str, Any] | None:
    version = tables.VERSION[family]
    query = sa.select(version).where(version.c.uid == uid, version.c.valid_from <= valid_at)
    if known_at is not None:
        query = query.where(version.c.recorded_at <= known_at)
    newest = query.order_by(version.c.valid_from.desc(), version.c.recorded_at.desc(), version.c.id.desc()).limit(1)
    row = conn.execute(newest).mappings().first()
    return None if row is None else dict(row)


def _changes(conn: Connection, family: str, since: datetime, until: datetime | None) -> Iterator[Change]:
    version = tables.VERSION[family]
    earlier = version.alias()
    before = version.alias("before")
    previous = (
        sa.select(sa.func.max(earlier.c.id)).where(earlier.c.uid == version.c.uid, earlier.c.id < version.c.id)
    ).scalar_subquery()
    names = [column.name for column in FAMILIES[family]()]
    compared = [*names, "presence"]
    query = (
        sa.select(version, *(before.c[name].label(f"before_{name}") for name in ("id", *compared)))
        .select_from(version.outerjoin(before, before.c.id == previous))
        .where(version.c.recorded_at > since)
        .order_by(version.c.recorded_at, version.c.id)
    )
    if until is not None:
        query = query.where(version.c.recorded_at <= until)
    streamed = conn.execute(query.execution_options(yield_per=_STREAM_ROWS))
    for row in streamed.mappings():
        yield Change(
            family=family,
            uid=row["uid"],
            change=row["change"],
            valid_from=row["valid_from"],
            recorded_at=row["recorded_at"],
            scan_id=row["scan_id"],
            fields=_differences(row, compared) if row["before_id"] is not None else {},
            row={column.name: row[column.name] for column in version.columns if column.name != "id"},
        )


def _differences(row: RowMapping, names: list[str]) -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    for name in names:
        old, new = row[f"before_{name}"], row[name]
        if old == new:
            continue
        if name in _JSON_OBJECTS:
            olds, news = json.loads(old), json.loads(new)
            for key in sorted(olds.keys() | news.keys()):
                if olds.get(key) != news.get(key):
                    found[f"{name}.{key}"] = (olds.get(key), news.get(key))
        else:
            found[name] = (old, new)
    return found
