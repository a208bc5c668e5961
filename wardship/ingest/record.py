"""Turns the records of connectors into rows of the store, so that no database can refuse one later.

What a row cannot hold is a DataError here, where it costs one quarantined item, and not a failed statement there,
where it would cost a scan. Two things are mended instead of refused, because nothing hangs on them: NUL and lone
surrogates become visible escapes (PostgreSQL stores neither), and over-long display texts are cut. Ids and hashes
are made of the untouched text, so two different things never become one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

import sqlalchemy as sa

from wardship.model.access import Credential, Grant, Usage
from wardship.model.errors import DataError
from wardship.model.exposure import Dependency, Exposure
from wardship.model.identity import Identity, Person, Supplier, System, uid_of
from wardship.model.owner import Owner
from wardship.sdk.connector import Record
from wardship.store import tables
from wardship.store.columns import FAMILIES, Instant

USAGE = "usage"
MAX_INDEXED_BYTES = 1_000  # PostgreSQL refuses index entries over some 2,700 bytes; two columns share one
MAX_JSON_CHARS = 256 * 1024

_FAMILY: Mapping[type, str] = {
    System: "system",
    Identity: "identity",
    Credential: "credential",
    Grant: "grant",
    Owner: "owner",
    Person: "person",
    Supplier: "supplier",
    Exposure: "exposure",
    Dependency: "dependency",
    Usage: USAGE,
}
_DISPLAY = frozenset({"name", "email", "public_id"})  # indexed, yet no part of any key: cut when too long
_KEYS = frozenset({"authority", "native_id"})
_JSON = frozenset({"attributes", "aliases", "matches"})


def row_of(record: Record) -> tuple[str, dict[str, Any]]:
    """(family, row) of one record; the family is a key of `FAMILIES`, or "usage".

    Raises DataError for what no row can hold: a value of the wrong type, an id that is too long.
    """
    family = _FAMILY.get(type(record))
    if family is None:
        raise DataError(f"a connector yielded a {type(record).__name__}, which is no record")
    row = {column: convert(read(record)) for column, read, convert in _PLAN[family]}
    if family == USAGE:
        return family, row
    row["content_hash"] = hashlib.blake2b(
        json.dumps([row[name] for name in _HASHED[family]], default=str, ensure_ascii=True).encode(), digest_size=16
    ).hexdigest()
    row["uid"] = row["authority"] if isinstance(record, System) else record.uid  # type: ignore[union-attr]  # usage has none: it went above
    return family, row


def canonical_json(value: Any) -> str:
    """One JSON text per value, of characters that every database stores. Raises DataError, RecursionError."""
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_json
        )
    except (TypeError, ValueError) as error:
        raise DataError(f"attributes that are no JSON: {type(error).__name__}") from None
    if len(text) > MAX_JSON_CHARS:
        raise DataError(f"attributes of {len(text)} characters (limit {MAX_JSON_CHARS})")
    if "\\u0000" in text or not _storable(text):
        return canonical_json(_mended(value))
    return text


def clean(text: str) -> str:
    """`text` with NUL and lone surrogates as visible escapes."""
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return text if _storable(text) else text.encode("utf-8", "backslashreplace").decode()


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): _mended(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_mended(item) for item in value]
    return value


def _json(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(type(value).__name__)  # a Secret above all


# ------------------------------------------------------------------ one reading and one conversion per column

Read = Callable[[Any], Any]
Convert = Callable[[Any], Any]


def _text(name: str) -> Convert:
    def convert(value: Any) -> str | None:
        if value is None:
            return None
        plain = value.value if isinstance(value, Enum) else value
        if not isinstance(plain, str):
            raise DataError(f"{name} is a {type(value).__name__}, not a text")
        text = clean(plain)
        if name in _KEYS and len(text.encode()) > 2 * MAX_INDEXED_BYTES:
            raise DataError(f"{name} of {len(text)} characters cannot be indexed")
        if name in _DISPLAY and len(text.encode()) > MAX_INDEXED_BYTES:
            return text.encode()[: MAX_INDEXED_BYTES - 3].decode(errors="ignore") + "…"
        return text

    return convert


def _exactly(name: str, *kinds: type) -> Convert:
    def convert(value: Any) -> Any:
        if value is not None and type(value) not in kinds:
            raise DataError(f"{name} is a {type(value).__name__}, not a {kinds[0].__name__}")
        return value

    return convert


def _instant(name: str) -> Convert:
    def convert(value: Any) -> datetime | None:
        if value is None:
            return None
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise DataError(f"{name} is no instant with a time zone")
        try:
            return value.astimezone(UTC)
        except OverflowError:
            raise DataError(f"{name} is beyond the calendar") from None

    return convert


def _small_int(name: str) -> Convert:
    def convert(value: Any) -> int | None:
        if value is None:
            return None
        if type(value) is not int or not -(2**31) <= value < 2**31:
            raise DataError(f"{name} is no small whole number")
        return value

    return convert


def _uid_of(family: str, name: str) -> Read:
    def read(record: Any) -> str | None:
        key = getattr(record, name)
        return None if key is None else uid_of(family, *key)

    return read


_READ: Mapping[str, Read] = {
    "holder_uid": _uid_of("identity", "identity"),
    "person_key": _uid_of("person", "person"),
    "subject_family": lambda usage: usage.subject[0],
    "target_family": lambda dependency: dependency.target[0],
    "target_authority": lambda dependency: dependency.target[1],
    "target_native_id": lambda dependency: dependency.target[2],
    "target_uid": lambda dependency: uid_of(*dependency.target),
}


def _attribute(name: str) -> Read:
    def read(record: Any) -> Any:
        return getattr(record, name)

    return read


def _converter(column: sa.Column[Any]) -> Convert:
    if column.name in _JSON:
        return canonical_json
    kind = column.type
    if isinstance(kind, Instant):
        return _instant(column.name)
    if isinstance(kind, sa.Boolean):
        return _exactly(column.name, bool)
    if isinstance(kind, sa.Date):
        return _exactly(column.name, date)
    if isinstance(kind, sa.Float):
        return _exactly(column.name, float, int)
    if isinstance(kind, sa.Integer):
        return _small_int(column.name)
    return _text(column.name)


def _plan(columns: Sequence[sa.Column[Any]]) -> list[tuple[str, Read, Convert]]:
    return [
        (
            c.name,
            _READ.get(c.name) or _attribute(c.name),
            _converter(c) if c.nullable else _needed(c.name, _converter(c)),
        )
        for c in columns
    ]


def _needed(name: str, convert: Convert) -> Convert:
    def convert_some(value: Any) -> Any:
        if value is None:
            raise DataError(f"{name} is missing")
        return convert(value)

    return convert_some


_HASHED: Mapping[str, list[str]] = {
    family: [c.name for c in columns() if not c.info.get("fades")] for family, columns in FAMILIES.items()
}
_PLAN: Mapping[str, list[tuple[str, Read, Convert]]] = {
    **{family: _plan(columns()) for family, columns in FAMILIES.items()},
    USAGE: _plan([c for c in tables.stage_usage.columns if c.name != "reading"]),
}
