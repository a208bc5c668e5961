"""Signed checkpoints of the audit log, and the copies of them that are kept outside the database.

A checkpoint says "the log named ORIGIN had SIZE entries and this ROOT", signed with Ed25519 and with ECDSA P-256 (any
openssl can check the second). Whoever rewrites the log cannot sign its new root; whoever puts an old database back
in place cannot also shorten a copy that lies elsewhere. `take` refuses to sign over a contradiction.
"""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wardship.model.errors import ConfigError, Unavailable, VerificationFailed
from wardship.sdk.i18n import _
from wardship.store import tables
from wardship.store.audit import load_frontier
from wardship.store.db import Database
from wardship.store.keys import SigningKeys

_ORIGIN_KEY = "audit.origin"  # in table meta


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a checkpoint says: the log named `origin` had `size` entries, and this root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The signed text: origin, size in decimal, root in base64, each on a line (C2SP tlog-checkpoint)."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @staticmethod
    def parse(text: str) -> Note:
        """Raises VerificationFailed for any text that `text` would not have made."""
        try:
            origin, size, root, end = text.split("\n")
            note = Note(origin=origin, size=int(size), root=base64.b64decode(root, validate=True))
        except ValueError:
            raise VerificationFailed(_("a checkpoint that is not origin, size and root")) from None
        if end or note.size < 0 or len(note.root) != 32 or note.text() != text:
            raise VerificationFailed(_("a checkpoint that is not origin, size and root"))
        return note


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A note with its two signatures. `key_id` names the pair of keys (`PublicKeys.key_id`)."""

    note: str
    ed25519: bytes
    ecdsa: bytes
    key_id: str
    created_at: datetime

    @property
    def size(self) -> int:
        """Entries covered. Raises VerificationFailed for a damaged note."""
        return Note.parse(self.note).size


def checkpoints(conn: Connection) -> list[Checkpoint]:
    """All stored checkpoints, oldest first."""
    rows = conn.execute(sa.select(tables.audit_checkpoint).order_by(tables.audit_checkpoint.c.size))
    return [
        Checkpoint(note=row.note, ed25519=row.ed25519, ecdsa=row.ecdsa, key_id=row.key_id, created_at=row.created_at)
        for row in rows
    ]


def take(db: Database, keys: SigningKeys, copies: Sequence[Path] = ()) -> Checkpoint | None:
    """Signs the log as it is now, stores the checkpoint and appends what is new to each of `copies`.

    Returns None when nothing was added since the last one. Raises VerificationFailed when a copy knows more entries,
    or other ones, than the database: it is older than its own history or was rewritten. Raises Unavailable when a copy
    cannot be written (after the others were).
    """
    known = {path: read_copy(path) for path in copies}  # before the database: another process may be adding one now
    with db.read() as conn:
        stored = checkpoints(conn)
    for copied in known.values():
        if copied:
            _check_against_copy(copied[-1], stored)
    made = None
    with db.bookkeep() as conn:
        frontier, _chain = load_frontier(conn)
        if frontier.size > (stored[-1].size if stored else 0):
            note = Note(origin=_origin(conn), size=frontier.size, root=frontier.root()).text()
            ed25519, ecdsa = keys.sign(note.encode())
            made = Checkpoint(note=note, ed25519=ed25519, ecdsa=ecdsa, key_id=keys.public.key_id, created_at=db.clock())
            # Another process may have signed this very size meanwhile: both say the same, one is kept.
            same = sa.select(tables.audit_checkpoint.c.size).where(tables.audit_checkpoint.c.size == frontier.size)
            if conn.execute(same).first() is None:
                conn.execute(tables.audit_checkpoint.insert().values(size=frontier.size, **_row(made)))
                stored.append(made)
    failed: Unavailable | None = None
    for path, copied in known.items():
        last = copied[-1].size if copied else 0
        try:
            _append_copy(path, [checkpoint for checkpoint in stored if checkpoint.size > last])
        except Unavailable as error:
            failed = failed or error
    if failed:
        raise failed
    return made


def _row(checkpoint: Checkpoint) -> dict[str, object]:
    return {
        "note": checkpoint.note,
        "ed25519": checkpoint.ed25519,
        "ecdsa": checkpoint.ecdsa,
        "key_id": checkpoint.key_id,
        "created_at": checkpoint.created_at,
    }


def _origin(conn: Connection) -> str:
    """The name of this log, made up at its first checkpoint: two logs never share one."""
    found = conn.execute(sa.select(tables.meta.c.value).where(tables.meta.c.key == _ORIGIN_KEY)).scalar()
    if found:
        return str(found)
    name = f"wardship.audit/{uuid.uuid4()}"
    conn.execute(tables.meta.insert().values(key=_ORIGIN_KEY, value=name))
    return name


# ------------------------------------------------------------------ copies outside the database


def read_copy(path: Path) -> list[Checkpoint]:
    """The copied checkpoints, oldest first; none when the file does not exist yet.

    Raises VerificationFailed for a line that is not a checkpoint. A last line that a crash cut short is passed over.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            _("the copy of the checkpoints cannot be read: %(path)s") % {"path": path},
            advice=_("mount it or mend `audit.checkpoint_copy` in the settings"),
        ) from error
    found = []
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last line end is unfinished
        try:
            row = json.loads(line)
            found.append(
                Checkpoint(
                    note=Note.parse(row["note"]).text(),
                    ed25519=base64.b64decode(row["ed25519"], validate=True),
                    ecdsa=base64.b64decode(row["ecdsa"], validate=True),
                    key_id=str(row["key_id"]),
                    created_at=datetime.fromisoformat(row["created_at"]),
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError, VerificationFailed):
            raise VerificationFailed(
                _("line %(number)d of the copy of the checkpoints is not a checkpoint") % {"number": number},
                advice=_("somebody changed it: keep it as evidence and ask who may write there"),
            ) from None
    return found


def _append_copy(path: Path, new: list[Checkpoint]) -> None:
    if not new:
        return
    text = "".join(
        json.dumps(
            {
                "note": checkpoint.note,
                "ed25519": base64.b64encode(checkpoint.ed25519).decode(),
                "ecdsa": base64.b64encode(checkpoint.ecdsa).decode(),
                "key_id": checkpoint.key_id,
                "created_at": checkpoint.created_at.isoformat(),
            }
        )
        + "\n"
        for checkpoint in new
    )
    try:
        with path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Unavailable(
            _("the checkpoint could not be copied to %(path)s: %(reason)s") % {"path": path, "reason": error.strerror},
            system="audit",
            advice=_("make `audit.checkpoint_copy` writable: until then nobody can prove that the log was not cut"),
        ) from None


def _check_against_copy(newest: Checkpoint, stored: list[Checkpoint]) -> None:
    if any(checkpoint.note == newest.note for checkpoint in stored):
        return
    raise VerificationFailed(
        _("the database does not continue the copied checkpoint of %(size)d entries") % {"size": newest.size},
        advice=_(
            "an older backup was restored, or the log was rewritten: run `wardship audit verify`. If you restored a "
            "backup on purpose, move the copy away and keep it: a new one begins"
        ),
    )
