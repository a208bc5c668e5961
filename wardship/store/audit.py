"""The audit log: append-only entries in the same transaction as the change they tell of.

An entry is one canonical JSON body. Three things make a later change visible, each to somebody else:
- `prev`, a hash chain over the entries before: to whoever reads the rows;
- a Merkle tree (`merkle`) whose root is signed together with its size, the *checkpoint*: to whoever holds the
  public keys, also after everything was recomputed;
- copies of checkpoints kept elsewhere: to everybody, also when the signing keys were misused, or an old backup
  was put in place of the newer database.

This file writes entries; `checkpoint` signs them, `audit_verify` says what is wrong with them, and `audit_export`
hands them to an outsider.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wardship.store import tables
from wardship.store.merkle import Frontier, leaf_hash

CHAIN_START = bytes(32)


def chain_hash(prev: bytes, leaf: bytes) -> bytes:
    """What stands in `prev` of the entry after the one with this `prev` and `leaf`."""
    return hashlib.sha256(prev + leaf).digest()


def canonical(body: Mapping[str, Any]) -> str:
    """The one JSON text of `body`: ASCII, sorted, without spaces; hence one line. Raises TypeError, ValueError."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


class Appender:
    """Adds entries to the log within one write transaction; `flush` stores them and the new frontier.

    The caller holds the writer's lock (`Database.write`): sequence numbers have no gaps and no twins.
    """

    __slots__ = ("_chain", "_conn", "_frontier", "_rows")

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._frontier: Frontier | None = None
        self._chain = CHAIN_START
        self._rows: list[dict[str, Any]] = []

    @property
    def pending(self) -> int:
        """Entries appended and not yet flushed."""
        return len(self._rows)

    def append(
        self, *, at: datetime, actor: str, action: str, subject: str, details: Mapping[str, Any] | None = None
    ) -> int:
        """Adds one entry and returns its sequence number."""
        body = canonical(
            {
                "action": action,
                "actor": actor,
                "at": at.isoformat(),
                "details": details or {},
                "subject": subject,
            }
        )
        if self._frontier is None:
            self._frontier, self._chain = load_frontier(self._conn)
        seq = self._frontier.size
        leaf = leaf_hash(body.encode("ascii"))
        self._rows.append({"seq": seq, "body": body, "leaf": leaf, "prev": self._chain})
        self._frontier.append(leaf)
        self._chain = chain_hash(self._chain, leaf)
        return seq

    def flush(self) -> int:
        """Stores what was appended, with the frontier that follows from it. Returns the number of entries."""
        if self._frontier is None:
            return 0
        self._conn.execute(tables.audit.insert(), self._rows)
        row = {
            "size": self._frontier.size,
            "nodes": json.dumps([node.hex() for node in self._frontier.nodes]),
            "chain": self._chain,
        }
        added, first = len(self._rows), self._frontier.size == len(self._rows)
        if first:
            self._conn.execute(tables.audit_frontier.insert().values(id=1, **row))
        else:
            self._conn.execute(tables.audit_frontier.update().values(row).where(tables.audit_frontier.c.id == 1))
        self._rows = []
        return added


def load_frontier(conn: Connection) -> tuple[Frontier, bytes]:
    """The stored right edge of the tree, and the `prev` of the next entry."""
    row = conn.execute(sa.select(tables.audit_frontier)).first()
    if row is None:
        return Frontier(), CHAIN_START
    return Frontier(row.size, [bytes.fromhex(node) for node in json.loads(row.nodes)]), row.chain
