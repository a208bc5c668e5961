"""Puts rows into the current tables as a published scan would, for tests of what reads them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.engine import Connection

from wardship.model.identity import uid_of
from wardship.store import tables

SEEN = datetime(2026, 11, 20, tzinfo=UTC)
ACCOUNT = "aws:123456789012"
TENANT = "entra:11111111-1111-1111-1111-111111111111"

_BOOKKEEPING = {
    "content_hash": "h",
    "scope_key": "aws|aws:123456789012||iam",
    "scan_seq": 1,
    "presence": "present",
    "misses": 0,
    "first_seen_at": SEEN,
    "last_seen_at": SEEN,
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "system": {"kind": "aws_account", "attributes": "{}"},
    "identity": {
        "kind": "access_key_holder",
        "standing": "own",
        "rank": 0,
        "aliases": "[]",
        "attributes": "{}",
    },
    "credential": {"type": "access_key", "attributes": "{}"},
    "grant": {"permission": "s3:*", "effect": "allow", "tier": "write", "attributes": "{}"},
    "owner": {"role": "technical", "source": "aws.tag:owner", "state": "suggested", "confidence": 0.5},
    "person": {"kind": "person", "aliases": "[]", "attributes": "{}"},
    "supplier": {"matches": "[]", "attributes": "{}"},
    "exposure": {
        "detector": "generic.password",
        "tier": "generic",
        "confidence": 0.9,
        "place": "code",
        "credential_type": "unknown",
        "occurrences": 1,
        "in_head": True,
        "attributes": "{}",
    },
    "dependency": {
        "consumer_kind": "workflow",
        "source": "github.workflow",
        "confidence": "confirmed",
        "attributes": "{}",
    },
}
_NAMED_BY = {"exposure": "location", "dependency": "consumer"}


def put(conn: Connection, family: str, native_id: str, *, authority: str = ACCOUNT, **columns: Any) -> str:
    """Adds one current row and returns its uid."""
    uid = authority if family == "system" else uid_of(family, authority, native_id)
    row = {**_BOOKKEEPING, **_DEFAULTS[family], "uid": uid, "authority": authority, **columns}
    name = _NAMED_BY.get(family, "native_id")
    if name in tables.CURRENT[family].c:
        row[name] = native_id
    conn.execute(tables.CURRENT[family].insert().values(row))
    return uid


def use(conn: Connection, subject_uid: str, state: str, source: str = "aws.credential_report", **columns: Any) -> None:
    """Adds one source's answer about use."""
    row = {
        "subject_uid": subject_uid,
        "subject_family": "identity" if subject_uid.startswith("id_") else "credential",
        "source": source,
        "state": state,
        "scan_seq": 1,
        "read_at": SEEN,
        **columns,
    }
    conn.execute(tables.usage.insert().values(row))


def merge(conn: Connection, representing_uid: str, *others: str) -> None:
    """Says that these identity rows are one thing."""
    rows = [{"uid": representing_uid, "identity_uid": representing_uid, "evidence": None}]
    rows += [{"uid": uid, "identity_uid": representing_uid, "evidence": json.dumps(["x", uid])} for uid in others]
    conn.execute(tables.resolution.insert(), rows)
