"""What the export formats share: items out of rows, and fields of an item that may be anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardship.connectors.file.formats import Format, Row, SourceOptions, open_rows
from wardship.connectors.file.formats.row import is_broken
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sdk.fields import Fields, clean

GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
IAM_ARN = re.compile(r"arn:aws(?:-[a-z-]{1,20})?:iam::(\d{12}):(user|role)/[\w+=,.@/-]{1,512}")
SERVICE_ACCOUNT = re.compile(r"[a-z0-9.-]{1,100}@(?:([a-z0-9:.-]{1,100})\.iam|developer|appspot)\.gserviceaccount\.com")
_MAX_KEY = 1_000
_TAIL_BYTES = 65_536


def items(rows: Iterable[Row], key: str) -> Iterator[dict[str, Any]]:
    """Each row as {"where", key: its cells}, or {"where", "problem"}."""
    for row in rows:
        yield {"where": row.where, "problem": row.problem} if row.problem else {"where": row.where, key: row.cells}


def json_rows(path: Path, *records: str) -> Iterator[Row]:
    """The records of the list at these keys, streamed."""
    return open_rows(path, SourceOptions(format=Format.JSON, records=records))


def opened(item: Any, key: str, what: str) -> Fields:
    """The object under `key` of an item. Raises DataError for a row that could not be read, or is no object."""
    if not isinstance(item, dict):
        raise DataError(f"{what}: no object")
    if item.get("problem") is not None:
        raise DataError(f"{str(item.get('where'))[:200]}: {str(item['problem'])[:300]}")
    found = item.get(key)
    if not isinstance(found, dict):
        raise DataError(f"{what}: no {key}")
    return Fields(found, what, DriftLog())


def key_of(fields: Fields, *names: str) -> str:
    """The first of these fields that is there, as an id: not changed, not cut. Raises DataError."""
    for name in names:
        value = fields.raw.get(name)
        if isinstance(value, str) and value.strip():
            if len(value) > _MAX_KEY or is_broken(value) or any(char < " " for char in value):
                raise DataError(f"{name} is no id")
            return value.strip()
    raise DataError(f"{names[0]} is missing")


def guid(fields: Fields, *names: str) -> str:
    """The first of these fields, which must be a GUID, in lower case. Raises DataError."""
    found = key_of(fields, *names)
    if not GUID.fullmatch(found):
        raise DataError(f"{names[0]} is no GUID")
    return found.lower()


def epoch(fields: Fields, *names: str) -> datetime | None:
    """An instant in seconds or milliseconds since 1970; None for absent, 0 and -1, which tools write for never."""
    for name in names:
        value = fields.raw.get(name)
        if isinstance(value, str) and value.isdecimal() and len(value) < 20:
            value = int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            try:
                return datetime.fromtimestamp(value / 1000 if value > 100_000_000_000 else value, UTC)
            except (OverflowError, OSError, ValueError):
                continue
    return None


def instant(fields: Fields, *names: str, zone: str | None = None) -> datetime | None:
    """ISO 8601 or epoch. A text without a zone is UTC where `zone` says that the tool writes UTC, else unknown."""
    for name in names:
        value = fields.raw.get(name)
        if isinstance(value, str):
            try:
                found = datetime.fromisoformat(value.strip().replace(" UTC", "Z"))
            except ValueError:
                continue
            if found.tzinfo is None and zone == "UTC":
                found = found.replace(tzinfo=UTC)
            if found.tzinfo is not None and 1 < found.year < 9999:  # the ends of the calendar stand for never
                return found.astimezone(UTC)
    return epoch(fields, *names)


def known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known."""
    return {name: value for name, value in attributes.items() if value not in (None, [], {})}


def flag(fields: Fields, name: str) -> bool | None:
    """true or false, also as text or as SQLite's 0 and 1."""
    value = fields.raw.get(name)
    if isinstance(value, str):
        value = {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    return None


def short(value: Any, limit: int = 300) -> str | None:
    """A text, cleaned and cut; None for anything else."""
    return clean(value)[:limit].strip() or None if isinstance(value, str) else None


def tail_of(path: Path) -> bytes:
    """The end of a file, where some collectors write what the file is; b"" when it cannot be read."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            return stream.read(_TAIL_BYTES)
    except OSError:
        return b""
