"""The audit log: append-only entries in the same transaction as the change they tell of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wardship.store import tables


def append(
    conn: Connection,
    *,
    at: datetime,
    actor: str,
    action: str,
    subject: str,
    details: Mapping[str, Any] | None = None,
) -> int:
    """Adds one entry and returns its sequence number."""
    body = json.dumps(
        {
            "action": action,
            "actor": actor,
            "at": at.isoformat(),
            "details": details or {},
            "subject": subject,
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    last = conn.execute(
        sa.select(tables.audit.c.seq, tables.audit.c.prev, tables.audit.c.leaf)
        .order_by(tables.audit.c.seq.desc())
        .limit(1)
    ).first()
    leaf = hashlib.sha256(b"\0" + body.encode()).digest()
    prev = hashlib.sha256(last.prev + last.leaf).digest() if last else bytes(32)
    seq = last.seq + 1 if last else 0
    conn.execute(tables.audit.insert().values(seq=seq, body=body, leaf=leaf, prev=prev))
    return seq
