"""Reads the whole audit log again and says exactly what is wrong with it.

One pass in batches: memory does not grow with the log. Nothing here believes a stored hash; every one is made again
from the bodies. Each finding is a `Problem` with the sequence number (or size) it concerns; no problem means: this is
the log that the checkpoints were signed for, complete up to its last entry.

What it cannot see: entries cut off *after* the newest checkpoint, together with a recomputed frontier. Checkpoints
are therefore taken after every command that wrote, and copied elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wardship.model.errors import VerificationFailed
from wardship.sdk.i18n import _
from wardship.store import tables
from wardship.store.append_only import unguarded
from wardship.store.audit import CHAIN_START, chain_hash, load_frontier
from wardship.store.checkpoint import Checkpoint, Note, checkpoints, read_copy
from wardship.store.db import Database
from wardship.store.keys import PublicKeys
from wardship.store.merkle import Frontier, leaf_hash

_BATCH = 1000
_MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong. `kind` is one of the words used below; `at` the entry or checkpoint size, if any."""

    kind: str
    text: str
    at: int | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True, kw_only=True)
class AuditReport:
    """What was read and what is wrong with it. `problems` holds the first 100; `count` counts them all.

    `signed_size` is the size of the newest checkpoint: entries from there on are chained but not signed yet.
    `remarks` say what is not wrong but weakens the proof.
    """

    entries: int = 0
    root: bytes = b""
    checkpoints: int = 0
    signed_size: int = 0
    copied_size: int = 0
    problems: list[Problem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    count: int = 0

    @property
    def ok(self) -> bool:
        return not self.count

    def add(self, kind: str, text: str, at: int | None = None) -> None:
        self.count += 1
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(Problem(kind=kind, text=text, at=at))


def verify(db: Database, public_keys: Sequence[PublicKeys], copies: Sequence[Path] = ()) -> AuditReport:
    """Reads every entry and every checkpoint, also those in `copies`. Never raises for what it finds in the log.

    `public_keys` are the trusted pairs: the present one and those retired.
    """
    report = AuditReport()
    copied = _copied(copies, public_keys, report)  # before the database: another process may be adding one now
    with db.read() as conn:
        for table in unguarded(conn, tables.APPEND_ONLY):
            report.add(
                "trigger", _("table %(table)s is no longer append-only: its trigger is missing") % {"table": table}
            )
        signed = _signed(checkpoints(conn), public_keys, "checkpoint", report)
        report.checkpoints = len(signed)
        report.signed_size = max(signed, default=0)
        report.copied_size = max(copied, default=0)
        _read_log(conn, signed, copied, report)
    if report.entries > report.signed_size:
        report.remarks.append(_("%(n)d entries are not signed yet") % {"n": report.entries - report.signed_size})
    return report


def _read_log(conn: Connection, signed: dict[int, Note], copied: dict[int, Note], report: AuditReport) -> None:
    """Recomputes leaves, chain and tree, and compares the roots at every signed size."""
    tree, chain = Frontier(), CHAIN_START
    for seq, body, leaf, prev in _entries(conn):
        if seq != tree.size:
            report.add(
                "sequence",
                _("entry %(seq)d is missing: entry %(next)d follows") % {"seq": tree.size, "next": seq},
                tree.size,
            )
            break  # whatever follows has moved: one problem, not thousands
        computed = leaf_hash(body.encode("utf-8", "surrogatepass"))
        if leaf != computed:
            report.add("body", _("entry %(seq)d was changed: its hash is another") % {"seq": seq}, seq)
        if prev != chain:
            report.add("chain", _("entry %(seq)d does not continue the entry before it") % {"seq": seq}, seq)
        chain = chain_hash(chain, computed)
        tree.append(computed)
        for where, notes in (("checkpoint", signed), ("copy", copied)):
            note = notes.get(tree.size)
            if note and note.root != tree.root():
                report.add(
                    where,
                    _("the first %(size)d entries are not those that were signed") % {"size": note.size},
                    note.size,
                )
    report.entries, report.root = tree.size, tree.root()
    if report.signed_size > tree.size:
        lost = report.signed_size - tree.size
        report.add("truncated", _("%(n)d signed entries are missing at the end") % {"n": lost}, tree.size)
    if report.copied_size > tree.size:
        lost = report.copied_size - tree.size
        report.add(
            "rollback",
            _("the copied checkpoint knows %(n)d more entries: the database is older") % {"n": lost},
            tree.size,
        )
    try:
        frontier, last = load_frontier(conn)
    except ValueError:
        report.add("frontier", _("the stored right edge of the tree cannot be read"))
        return
    if frontier.size != tree.size or frontier.nodes != tree.nodes or last != chain:
        report.add("frontier", _("the stored right edge of the tree is not that of the entries"))


def _entries(conn: Connection) -> Iterator[tuple[int, str, bytes, bytes]]:
    columns = (tables.audit.c.seq, tables.audit.c.body, tables.audit.c.leaf, tables.audit.c.prev)
    query = sa.select(*columns).order_by(tables.audit.c.seq)
    for row in conn.execution_options(yield_per=_BATCH).execute(query):
        yield row.seq, str(row.body), bytes(row.leaf), bytes(row.prev)


def _signed(found: list[Checkpoint], trusted: Sequence[PublicKeys], where: str, report: AuditReport) -> dict[int, Note]:
    """size -> note of the checkpoints whose signatures hold; the others become problems."""
    keys = {public.key_id: public for public in trusted}
    good: dict[int, Note] = {}
    origin: str | None = None
    for checkpoint in found:
        try:
            note = Note.parse(checkpoint.note)
        except VerificationFailed as error:
            report.add(where, str(error))
            continue
        public = keys.get(checkpoint.key_id)
        if public is None:
            report.add(
                where,
                _("checkpoint %(size)d is signed with a key that is not trusted") % {"size": note.size},
                note.size,
            )
            continue
        try:
            public.verify(checkpoint.note.encode(), checkpoint.ed25519, checkpoint.ecdsa)
        except VerificationFailed as error:
            report.add(where, _("checkpoint %(size)d: %(reason)s") % {"size": note.size, "reason": error}, note.size)
            continue
        origin = origin or note.origin
        if note.origin != origin:
            report.add(where, _("checkpoint %(size)d is of another log") % {"size": note.size}, note.size)
            continue
        good[note.size] = note
    return good


def _copied(copies: Sequence[Path], trusted: Sequence[PublicKeys], report: AuditReport) -> dict[int, Note]:
    """size -> note over all copies; where two copies contradict each other, that is a problem."""
    good: dict[int, Note] = {}
    for path in copies:
        try:
            found = _signed(read_copy(path), trusted, "copy", report)
        except VerificationFailed as error:
            report.add("copy", str(error))
            continue
        for size, note in found.items():
            if good.setdefault(size, note) != note:
                report.add("copy", _("two copies of checkpoint %(size)d contradict each other") % {"size": size}, size)
    return good
