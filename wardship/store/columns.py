"""What the rows of each family are made of: the columns that a connector's records fill, and their types.

`tables` makes three tables of each family from them; `ingest.record` makes rows. What a column means is said in
`wardship.model`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Float, Integer, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

FADES = {"fades": True}
"""Marks columns that a source forgets (a log that keeps 30 days): what was known stays, and is no part of the hash."""

BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only in an INTEGER primary key


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant. SQLite keeps no zone: the text there is UTC by construction."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant without a time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _identity() -> list[Column[Any]]:
    return [
        Column("authority", Text, nullable=False),
        Column("native_id", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("subtype", Text),
        Column("name", Text),
        Column("standing", Text, nullable=False),
        Column("enabled", Boolean),
        Column("created_at", Instant),
        Column("environment", Text),
        Column("purpose", Text),
        Column("business_process", Text),
        Column("criticality", Text),
        Column("supplier", Text),
        Column("rank", Integer, nullable=False),
        Column("aliases", Text, nullable=False),  # JSON [[authority, native_id], ...]
        Column("attributes", Text, nullable=False),
    ]


def _credential() -> list[Column[Any]]:
    return [
        Column("authority", Text, nullable=False),
        Column("native_id", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("holder_uid", Text),  # uid of the identity row that holds it; NULL = nobody by itself
        Column("name", Text),
        Column("public_id", Text),
        Column("fingerprint", Text),
        Column("enabled", Boolean),
        Column("created_at", Instant),
        Column("expires_at", Instant),
        Column("no_expiry", Boolean),
        Column("last_rotated_at", Instant),
        Column("next_rotation_at", Instant),
        Column("stored_in", Text),
        Column("revocation", Text),
        Column("attributes", Text, nullable=False),
    ]


def _grant() -> list[Column[Any]]:
    return [
        Column("authority", Text, nullable=False),
        Column("holder_uid", Text, nullable=False),
        Column("permission", Text, nullable=False),
        Column("resource", Text),
        Column("effect", Text, nullable=False),
        Column("condition", Text),
        Column("via", Text),
        Column("tier", Text, nullable=False),
        Column("tenant_wide", Boolean),
        Column("granted_by", Text, info=FADES),
        Column("granted_by_id", Text, info=FADES),
        Column("granted_at", Instant, info=FADES),
        Column("attributes", Text, nullable=False),
    ]


def _owner() -> list[Column[Any]]:
    return [
        Column("authority", Text, nullable=False),
        Column("holder_uid", Text, nullable=False),
        Column("claim", Text, nullable=False),
        Column("role", Text, nullable=False),
        Column("source", Text, nullable=False),
        Column("person_key", Text),  # uid of the person the system names by exact id
        Column("state", Text, nullable=False),
        Column("confidence", Float, nullable=False),
        Column("evidence", Text),
        Column("attested_at", Instant),
        Column("expires_on", Date),
    ]


def _person() -> list[Column[Any]]:
    return [
        Column("authority", Text, nullable=False),
        Column("native_id", Text, nullable=False),
        Column("name", Text),
        Column("email", Text),  # lower case
        Column("kind", Text, nullable=False),
        Column("active", Boolean),
        Column("aliases", Text, nullable=False),
        Column("attributes", Text, nullable=False),
    ]


def _supplier() -> list[Column[Any]]:
    return [
        Column("authority", Text, nullable=False),
        Column("native_id", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("matches", Text, nullable=False),  # JSON list, lower case
        Column("sponsor", Text),
        Column("contract_end_on", Date),
        Column("attributes", Text, nullable=False),
    ]


def _system() -> list[Column[Any]]:
    return [
        Column("authority", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("name", Text),
        Column("environment", Text),
        Column("parent", Text),
        Column("attributes", Text, nullable=False),
    ]


def _exposure() -> list[Column[Any]]:
    return [
        Column("authority", Text, nullable=False),
        Column("location", Text, nullable=False),
        Column("detector", Text, nullable=False),
        Column("tier", Text, nullable=False),
        Column("confidence", Float, nullable=False),
        Column("place", Text, nullable=False),
        Column("fingerprint", Text),
        Column("credential_type", Text, nullable=False),
        Column("public_id", Text),
        Column("line", Integer),
        Column("revision", Text),
        Column("occurrences", Integer, nullable=False),
        Column("in_head", Boolean),
        Column("public", Boolean),
        Column("environment", Text),
        Column("name", Text),
        Column("introduced_by", Text),
        Column("introduced_at", Instant),
        Column("removed_at", Instant),
        Column("attributes", Text, nullable=False),
    ]


def _dependency() -> list[Column[Any]]:
    return [
        Column("authority", Text, nullable=False),
        Column("consumer", Text, nullable=False),
        Column("consumer_kind", Text, nullable=False),
        Column("target_family", Text, nullable=False),
        Column("target_authority", Text, nullable=False),
        Column("target_native_id", Text, nullable=False),
        Column("target_uid", Text, nullable=False),  # of that row; an alias of an identity has no row of its own
        Column("source", Text, nullable=False),
        Column("confidence", Text, nullable=False),
        Column("environment", Text),
        Column("evidence", Text),
        Column("attributes", Text, nullable=False),
    ]


# family -> its columns. `uid` is the key of every family (a system's uid is its authority).
FAMILIES: Mapping[str, Callable[[], list[Column[Any]]]] = {
    "system": _system,
    "identity": _identity,
    "credential": _credential,
    "grant": _grant,
    "owner": _owner,
    "person": _person,
    "supplier": _supplier,
    "exposure": _exposure,
    "dependency": _dependency,
}
