"""Durable things around the saga: a store and providers whose state survives a SIGKILL of whoever calls them.

The provider has the traps of real ones: a limit that counts disabled keys, changes that are seen late, an audit
trail that is later still, last use that may not be told, no disable. Time is the harness's virtual clock.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wardship.model.access import Usage, UseState
from wardship.model.errors import FatalError, NotVisible, StateError
from wardship.model.secret import Secret
from wardship.sdk.acting import StoredValue
from wardship.sdk.connector import Deliver, Evidence, LiveCredential, Manifest

Clock = Callable[[], datetime]
TARGET = "svc"


class FileStore:
    """A `SecretStore` in one JSON file; each change is one atomic rename."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def adopt(self, credential_id: str, value: Secret) -> None:
        """What the customer had before we came."""
        self._save({"current": {"id": credential_id, "value": value.reveal(), "op": None}, "pending": {}})

    def put_pending(self, op_id: str, value: Secret, credential_id: str) -> None:
        doc = self._load()
        doc["pending"][op_id] = {"id": credential_id, "value": value.reveal(), "op": op_id}
        self._save(doc)

    def pending(self, op_id: str) -> StoredValue | None:
        return _stored(self._load()["pending"].get(op_id))

    def promote(self, op_id: str) -> None:
        doc = self._load()
        if doc["current"]["op"] == op_id:
            return
        if op_id not in doc["pending"]:
            raise StateError("nothing pending")
        doc["previous"], doc["current"] = doc["current"], doc["pending"].pop(op_id)
        self._save(doc)

    def revert(self, op_id: str) -> None:
        doc = self._load()
        if doc["current"]["op"] != op_id:
            return
        doc["pending"][op_id], doc["current"] = doc["current"], doc.pop("previous")
        self._save(doc)

    def current(self) -> StoredValue | None:
        return _stored(self._load().get("current"))

    def drop_pending(self, op_id: str) -> None:
        doc = self._load()
        if doc["pending"].pop(op_id, None) is not None:
            self._save(doc)

    def values(self) -> dict[str, str]:
        """Every credential id whose value is here, under whatever label."""
        doc = self._load()
        found = [doc.get("current"), doc.get("previous"), *doc["pending"].values()]
        return {each["id"]: each["value"] for each in found if each}

    def _load(self) -> dict:
        return json.loads(self.path.read_text())

    def _save(self, doc: dict) -> None:
        new = self.path.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(doc))
        new.replace(self.path)


def _stored(raw: dict | None) -> StoredValue | None:
    return None if raw is None else StoredValue(credential_id=raw["id"], value=Secret(raw["value"]), op_id=raw["op"])


@dataclass(frozen=True)
class Kind:
    """What one sort of provider is like. Times in seconds."""

    limit: int | None
    lag_s: float  # until a new key is listed and works; deletions show at once
    trail_s: float | None  # until the audit trail tells who made a key; None: keys carry their mark
    can_disable: bool
    tells_use: bool


AWS_KEYS = Kind(limit=2, lag_s=10, trail_s=300, can_disable=True, tells_use=True)
ENTRA_SECRETS = Kind(limit=None, lag_s=5, trail_s=None, can_disable=False, tells_use=False)


class Keys:
    """A provider of one target's keys, as an `Actor`, with its state in one SQLite file of its own."""

    two_slots = True

    def __init__(self, path: Path, kind: Kind, clock: Clock, *, wait: Callable[[str], None] = lambda _verb: None):
        self.path, self.kind, self.clock, self._wait = path, kind, clock, wait
        self.max_credentials = kind.limit
        self.settle_s = kind.lag_s + 1
        self.manifest = Manifest(
            name="keys",
            title="Keys",
            systems=("keys",),
            permissions={},
            evidence=Evidence.DOCUMENTATION,
            unavailable={} if kind.can_disable else {"disable": "the system has none"},
        )
        with self._db() as db:
            db.execute(
                "create table if not exists key (id text primary key, value text, enabled int, made real,"
                " maker text, used real, deleted real, deleted_by text)"
            )

    # ------------------------------------------------------------ the acting protocol

    def list_live(self, _target: str) -> Sequence[LiveCredential]:
        self._wait("list_live")
        with self._db() as db:
            rows = db.execute(
                "select id, enabled, made, maker from key where deleted is null and made <= ? order by made",
                (self._now() - self.kind.lag_s,),
            ).fetchall()
        return [
            LiveCredential(
                id=id_,
                enabled=bool(enabled),
                created_at=datetime.fromtimestamp(max(made, 0), UTC),
                op_id=maker if self.kind.trail_s is None and maker != "human" else None,
            )
            for id_, enabled, made, maker in rows
        ]

    def create(self, _target: str, op_id: str, deliver: Deliver) -> str:
        self._wait("create")
        id_, value = self.mint(op_id)
        deliver(Secret(value), id_)
        return id_

    def find_created(self, _target: str, op_id: str) -> str | None:
        with self._db() as db:
            row = db.execute(
                "select id from key where deleted is null and maker = ? and made <= ? order by made desc",
                (op_id, self._now() - max(self.kind.lag_s, self.kind.trail_s or 0)),
            ).fetchone()
        return row[0] if row else None

    def test(self, _target: str, credential_id: str, value: Secret) -> bool:
        return self.works(credential_id, value.reveal())

    def promote(self, _target: str, credential_id: str) -> None:
        pass

    def disable(self, _target: str, credential_id: str) -> None:
        if not self.kind.can_disable:
            raise NotVisible("no disable")
        self._set(credential_id, enabled=0)

    def enable(self, _target: str, credential_id: str) -> None:
        self._set(credential_id, enabled=1)

    def delete(self, _target: str, credential_id: str) -> None:
        with self._db() as db:
            db.execute(
                "update key set deleted = ?, deleted_by = 'saga' where id = ? and deleted is null",
                (self._now(), credential_id),
            )

    def last_used(self, _target: str, credential_id: str) -> Usage:
        subject = ("credential", "keys", credential_id)
        if not self.kind.tells_use:
            return Usage(subject=subject, source="keys", state=UseState.UNKNOWN)
        with self._db() as db:
            row = db.execute("select used from key where id = ?", (credential_id,)).fetchone()
        if row is None or row[0] is None:
            return Usage(subject=subject, source="keys", state=UseState.NEVER)
        return Usage(
            subject=subject, source="keys", state=UseState.USED, last_used_at=datetime.fromtimestamp(row[0], UTC)
        )

    # ------------------------------------------------------------ what the world does

    def mint(self, maker: str, *, old: bool = False) -> tuple[str, str]:
        """Makes a key; `old` means long ago, so that no lag applies. Raises FatalError at the limit."""
        id_, value = f"AK{secrets.token_hex(4)}", secrets.token_hex(8)
        with self._db() as db:
            live = db.execute("select count(*) from key where deleted is null").fetchone()[0]
            if self.kind.limit is not None and live >= self.kind.limit:
                raise FatalError("LimitExceeded")
            made = self._now() - (86_400 if old else 0)
            db.execute(
                "insert into key (id, value, enabled, made, maker) values (?, ?, 1, ?, ?)", (id_, value, made, maker)
            )
        return id_, value

    def works(self, id_: str, value: str) -> bool:
        """One authentication, noted as a use."""
        now = self._now()
        with self._db() as db:
            done = db.execute(
                "update key set used = ? where id = ? and value = ? and enabled = 1 and deleted is null and made <= ?",
                (now, id_, value, now - self.kind.lag_s),
            )
            return done.rowcount == 1

    def live(self) -> dict[str, str]:
        """id -> who made it, whatever the lag."""
        with self._db() as db:
            return dict(db.execute("select id, maker from key where deleted is null").fetchall())

    def deleted(self) -> dict[str, str]:
        """id -> who had made it, of what the saga deleted."""
        with self._db() as db:
            return dict(db.execute("select id, maker from key where deleted_by = 'saga'").fetchall())

    def _set(self, id_: str, enabled: int) -> None:
        with self._db() as db:
            db.execute("update key set enabled = ? where id = ?", (enabled, id_))

    def _now(self) -> float:
        return self.clock().timestamp()

    @contextlib.contextmanager
    def _db(self) -> Iterator[sqlite3.Connection]:
        # A connection a call: nothing may be open while the harness forks. Only processes die here, never the power.
        db = sqlite3.connect(self.path, timeout=30)
        db.execute("pragma synchronous = off")
        try:
            with db:
                yield db
        finally:
            db.close()


def later(instant: datetime, seconds: float) -> datetime:
    return instant + timedelta(seconds=seconds)
