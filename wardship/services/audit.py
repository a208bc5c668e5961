"""What people do with the audit log: read it, verify it, hand it to an outsider, sign it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from wardship.sdk.i18n import _
from wardship.store import audit_export, audit_verify, tables
from wardship.store.audit_verify import AuditReport, Problem
from wardship.store.checkpoint import Checkpoint
from wardship.store.keys import PublicKeys
from wardship.store.workspace import Workspace

__all__ = ["AuditEntry", "AuditReport", "Checkpoint", "Problem", "checkpoint", "entries", "export", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry as it was written. `details` holds ids, counts and hashes."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]


def entries(ws: Workspace, limit: int = 100, after: int | None = None) -> list[AuditEntry]:
    """The newest `limit` entries, newest first; with `after`, the oldest `limit` after that number, oldest first."""
    query = sa.select(tables.audit.c.seq, tables.audit.c.body).limit(limit)
    if after is None:
        query = query.order_by(tables.audit.c.seq.desc())
    else:
        query = query.where(tables.audit.c.seq > after).order_by(tables.audit.c.seq)
    with ws.db.read() as conn:
        return [_entry(row.seq, json.loads(row.body)) for row in conn.execute(query)]


def verify(ws: Workspace) -> AuditReport:
    """Recomputes the whole log, and holds it against its checkpoints and their copy (`store.audit_verify`)."""
    report = audit_verify.verify(ws.db, [PublicKeys.load(ws.keys)], ws.checkpoint_copies)
    if ws.settings.audit.checkpoint_copy is None:
        report.remarks.append(
            _(
                "no checkpoint is kept on another machine (audit.checkpoint_copy): "
                "an older copy put in place of the whole workspace would go unnoticed"
            )
        )
    return report


def export(ws: Workspace, folder: Path, actor: str, only: Sequence[int] = ()) -> int:
    """Writes the log, up to this very export, to the new `folder`; returns the number of entries.

    `only` are entries to be given a proof of their own. The export is itself an audited act, and signed.
    """
    with ws.db.write(actor) as writing:
        writing.audit("audit.exported", "audit", {"folder": folder.name, "proofs": list(only)})
    ws.checkpoint()
    return audit_export.export(ws.db, PublicKeys.load(ws.keys), folder, only)


def checkpoint(ws: Workspace) -> Checkpoint | None:
    """Signs the log as it is now; None when nothing was added since the last checkpoint."""
    return ws.checkpoint()


def _entry(seq: int, body: Mapping[str, Any]) -> AuditEntry:
    return AuditEntry(
        seq=seq,
        at=datetime.fromisoformat(body["at"]),
        actor=body["actor"],
        action=body["action"],
        subject=body["subject"],
        details=body["details"],
    )
