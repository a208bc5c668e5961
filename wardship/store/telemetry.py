"""The manifest of the telemetry lake: which Parquet files are live, what was imported, what is known to be complete.

What is true of the lake is one row set in the database; files on disk mean nothing by themselves:
- A file of events counts while `telemetry_file` lists it and `removed_at` is NULL. Files are written and synced first;
  one transaction (`publish`) then adds them, their batch, how far each input was read, and what was counted.
- Batches are numbered 1, 2, 3, ... in the order of publication, so that who has merged up to a batch knows what is new.
- Writers are optimistic: `publish` and `swap` refuse (`Stale`) when what they were made from has changed meanwhile. The
  lock on the folder (`writing`) only keeps them from working in vain.
- What `swap` and `retire` take out stays on disk for GRACE, for those who read it; `sweep` deletes it afterwards, and
  whatever a killed writer left.

Not here: how records are read, dropped as duplicates and written (`wardship.ingest.telemetry`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from wardship.model.activity import ACTIVITY
from wardship.model.errors import Conflict
from wardship.sdk.i18n import _
from wardship.store import engine
from wardship.store import telemetry_tables as registers
from wardship.store.db import Database, Write

GRACE = timedelta(hours=1)
"""How long a file that is no longer live stays on disk: no question takes longer."""

_ORPHAN_S = 3_600.0  # another machine may write without our lock: its files become old before they are swept
_files, _inputs, _batches = registers.telemetry_file, registers.telemetry_input, registers.telemetry_batch
_quarantine, _windows = registers.telemetry_quarantine, registers.telemetry_window


class Stale(Conflict):
    """What a publication was made from has changed; nothing was written. `inputs`: those that somebody else read on."""

    def __init__(self, inputs: Sequence[int] = ()) -> None:
        super().__init__(
            _("another process published events meanwhile"), advice=_("run it again: nothing is lost, nothing doubled")
        )
        self.inputs = tuple(inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A Parquet file that stands at its place, synced. `path` is relative to the lake's folder."""

    path: str
    source: str
    day: date  # UTC day of every event in it
    rows: int
    size_bytes: int
    digest: str  # SHA-256 of the file
    first_at: datetime
    last_at: datetime
    batches: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFile(NewFile):
    """A file that counts."""

    id: int
    compacted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Events that were published together; `id` is the column `batch` of each."""

    id: int
    input: int | None
    events: int
    added_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A file that was imported, or one reading of a live stream; the columns of telemetry_input."""

    id: int
    source: str
    name: str
    digest: str
    size_bytes: int
    state: str  # reading, done, broken
    position: int
    events: int
    duplicates: int
    skipped: int
    quarantined: int
    replayed: int
    first_at: datetime | None
    last_at: datetime | None
    problem: str | None
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one publication says of an input: read from record `start` up to `position`, and what became of them.

    `start` None: nothing was read on, records of before were replayed; `position` and `state` stay as they are.
    """

    input: int
    start: int | None
    position: int = 0
    events: int = 0
    duplicates: int = 0
    skipped: int = 0
    quarantined: int = 0
    replayed: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    state: str = "reading"
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A file of records that could not be read; `id` 0: not yet published."""

    path: str
    source: str
    records: int
    id: int = 0


LIVE = "sync"
"""Says of a window that it was read through the system's own interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Somebody's word that the log of `authority` is complete in [start_at, end_at); or why it was refused."""

    source: str
    authority: str
    stream: str = ""  # a region, a category; "" = all of the source
    start_at: datetime
    end_at: datetime
    complete: bool = True
    problem: str | None = None
    said_by: str  # who, or LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What becomes true in one transaction. `seen`: the live files that duplicates were looked for in."""

    source: str
    batch: int  # `next_batch` when the files were written; it is in their column `batch`
    files: Sequence[NewFile]
    steps: Sequence[Step]
    seen: frozenset[int]
    unreadable: Sequence[Unreadable] = ()
    replayed: Sequence[int] = ()  # ids of files of unreadable records that these replace


# ---------------------------------------------------------------- what is there


def live_files(
    db: Database,
    *,
    sources: Sequence[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    days: Sequence[date] | None = None,
    batches_after: int | None = None,
) -> list[LiveFile]:
    """The live files that may hold events of [since, until), or of a batch after `batches_after`; by source and day."""
    with db.read() as conn:
        return _live(conn, sources=sources, since=since, until=until, days=days, batches_after=batches_after)


def activity_table(
    db: Database,
    folder: Path,
    *,
    sources: Sequence[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    batches_after: int | None = None,
) -> engine.Table:
    """The table `activity` for an engine: the live files that may hold what is asked; `folder` is the lake's.

    Files are chosen whole: a query that needs exactly these instants or batches asks `time` and `batch` too.
    """
    chosen = live_files(db, sources=sources, since=since, until=until, batches_after=batches_after)
    return engine.Table(name="activity", columns=ACTIVITY, files=[folder / one.path for one in chosen])


def live_batches(db: Database, *, after: int = 0) -> list[Batch]:
    """The batches published after batch `after`, in order. Retention may have taken events of old ones."""
    query = sa.select(_batches).where(_batches.c.id > after).order_by(_batches.c.id)
    with db.read() as conn:
        return [Batch(**row._mapping) for row in conn.execute(query)]


def inputs(db: Database, *, source: str | None = None) -> list[Input]:
    """Everything that was read, in that order."""
    query = sa.select(_inputs).order_by(_inputs.c.id)
    with db.read() as conn:
        return [
            _input(row) for row in conn.execute(query if source is None else query.where(_inputs.c.source == source))
        ]


def inputs_of(db: Database, digests: Sequence[str]) -> list[Input]:
    """The inputs with these digests, of any source. At most some hundreds at once."""
    with db.read() as conn:
        return [_input(row) for row in conn.execute(sa.select(_inputs).where(_inputs.c.digest.in_(digests)))]


def quarantined(db: Database, *, source: str | None = None) -> list[Unreadable]:
    """The files of unreadable records, in the order of their publication."""
    query = sa.select(_quarantine).order_by(_quarantine.c.id)
    with db.read() as conn:
        rows = conn.execute(query if source is None else query.where(_quarantine.c.source == source)).all()
    return [Unreadable(id=row.id, path=row.path, source=row.source, records=row.records) for row in rows]


def windows(db: Database, *, source: str | None = None) -> list[Window]:
    """What is known to be complete, or was refused, in the order it was recorded."""
    query = sa.select(_windows).order_by(_windows.c.id)
    with db.read() as conn:
        rows = conn.execute(query if source is None else query.where(_windows.c.source == source)).all()
    return [
        Window(**{name: value for name, value in row._mapping.items() if name not in ("id", "recorded_at")})
        for row in rows
    ]


def _live(
    conn: Connection,
    *,
    sources: Sequence[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    days: Sequence[date] | None = None,
    batches_after: int | None = None,
) -> list[LiveFile]:
    query = sa.select(_files).where(_files.c.removed_at.is_(None)).order_by(_files.c.source, _files.c.day, _files.c.id)
    if sources is not None:
        query = query.where(_files.c.source.in_(sources))
    if since is not None:
        query = query.where(_files.c.last_at >= since)
    if until is not None:
        query = query.where(_files.c.first_at < until)
    if days is not None:
        if not days:
            return []
        query = query.where(_files.c.day.between(min(days), max(days)))
    wanted = None if days is None else set(days)
    found = (_file(row) for row in conn.execute(query))
    return [
        one
        for one in found
        if (wanted is None or one.day in wanted) and (batches_after is None or one.batches[-1] > batches_after)
    ]


def _file(row: Row[Any]) -> LiveFile:
    values = {name: row._mapping[name] for name in LiveFile.__dataclass_fields__}
    return LiveFile(**{**values, "batches": tuple(json.loads(row.batches))})


def _input(row: Row[Any]) -> Input:
    return Input(**row._mapping)


# ---------------------------------------------------------------- what becomes true


def register(db: Database, source: str, files: Sequence[tuple[str, str, int]]) -> dict[str, Input]:
    """The inputs of (name, digest, size in bytes), by digest; those that are new stand at position 0.

    It is no act yet: an input of which nothing was published says nothing.
    """
    digests = [digest for _name, digest, _size in files]
    chosen = sa.and_(_inputs.c.source == source, _inputs.c.digest.in_(digests))
    with db.bookkeep() as conn:
        there = set(conn.scalars(sa.select(_inputs.c.digest).where(chosen)))
        fresh = {
            digest: {
                "source": source,
                "name": name.encode("utf-8", "replace").decode().replace("\0", "�")[:1_000],
                "digest": digest,
                "size_bytes": size,
                "state": "reading",
                "started_at": db.clock(),
                **dict.fromkeys(("position", "events", "duplicates", "skipped", "quarantined", "replayed"), 0),
            }
            for name, digest, size in files
            if digest not in there
        }
        if fresh:
            conn.execute(sa.insert(_inputs), list(fresh.values()))
        return {row.digest: _input(row) for row in conn.execute(sa.select(_inputs).where(chosen))}


def next_batch(db: Database) -> int:
    """The number that the next batch has, if nobody publishes before."""
    with db.read() as conn:
        return _next_batch(conn)


def _next_batch(conn: Connection) -> int:
    return (conn.scalar(sa.select(sa.func.max(_batches.c.id))) or 0) + 1


def publish(db: Database, actor: str, made: Publication, *, also: Callable[[Write], None] | None = None) -> None:
    """Makes it true, all of it or nothing. Raises Stale when it was made from what is no longer so.

    `also` writes in the same transaction: a cursor, a window.
    """
    with db.write(actor) as write:
        conn = write.conn
        _check(conn, made)
        if made.files:
            batch = {
                "id": made.batch,
                "input": made.steps[0].input if made.steps else None,
                "events": sum(one.rows for one in made.files),
                "added_at": write.at,
            }
            conn.execute(sa.insert(_batches), batch)
            conn.execute(sa.insert(_files), [_values(one, write.at, compacted=False) for one in made.files])
        for step in made.steps:
            _advance(conn, step, write.at)
        if made.replayed:
            conn.execute(sa.delete(_quarantine).where(_quarantine.c.id.in_(made.replayed)))
        for one in made.unreadable:
            values = {"path": one.path, "source": one.source, "records": one.records, "added_at": write.at}
            conn.execute(sa.insert(_quarantine), values)
        if also is not None:
            also(write)
        write.audit(
            "telemetry.published",
            f"telemetry:{made.source}",
            {
                "batch": made.batch if made.files else None,
                "events": sum(one.rows for one in made.files),
                "inputs": len(made.steps),
                "quarantined": sum(step.quarantined for step in made.steps),
            },
        )


def _check(conn: Connection, made: Publication) -> None:
    wanted = {step.input: step.start for step in made.steps if step.start is not None}
    rows = conn.execute(sa.select(_inputs.c.id, _inputs.c.position).where(_inputs.c.id.in_(wanted)))
    if moved := [row.id for row in rows if row.position != wanted[row.id]]:
        raise Stale(moved)
    if made.files:
        days = sorted({one.day for one in made.files})
        if _next_batch(conn) != made.batch:
            raise Stale
        if {one.id for one in _live(conn, sources=[made.source], days=days)} - made.seen:
            raise Stale
    if made.replayed:
        left = conn.scalar(sa.select(sa.func.count()).where(_quarantine.c.id.in_(made.replayed)))
        if left != len(made.replayed):
            raise Conflict(
                _("another process is replaying the same records"), advice=_("let it end; it does the same work")
            )


def _advance(conn: Connection, step: Step, at: datetime) -> None:
    table = _inputs.c
    known = conn.execute(sa.select(_inputs).where(table.id == step.input)).one()
    values: dict[str, Any] = {
        "events": known.events + step.events,
        "duplicates": known.duplicates + step.duplicates,
        "skipped": known.skipped + step.skipped,
        "quarantined": known.quarantined + step.quarantined,
        "replayed": known.replayed + step.replayed,
        "first_at": min((one for one in (known.first_at, step.first_at) if one), default=None),
        "last_at": max((one for one in (known.last_at, step.last_at) if one), default=None),
    }
    if step.start is not None:
        values |= {"position": step.position, "state": step.state, "problem": step.problem}
        values["finished_at"] = at if step.state != "reading" else None
    conn.execute(sa.update(_inputs).where(table.id == step.input).values(values))


def withdraw(write: Write, source: str, authority: str, streams: Sequence[str]) -> int:
    """Takes back what people declared of these streams of a log; what was read live stays. Returns how many words."""
    theirs = (
        _windows.c.source == source,
        _windows.c.authority == authority,
        _windows.c.stream.in_(streams),
        _windows.c.said_by != LIVE,
    )
    return write.conn.execute(sa.delete(_windows).where(*theirs)).rowcount


def declare(write: Write, window: Window) -> None:
    """Records that the log is complete in the window, or was refused; within the caller's audited transaction.

    One that goes on where the last word on this stream ended, and says the same, makes that one longer: a stream that
    is read every few minutes is still a few rows a year.
    """
    values = {name: getattr(window, name) for name in Window.__dataclass_fields__}
    of_stream = (_windows.c[name] == values[name] for name in ("source", "authority", "stream"))
    last = write.conn.execute(sa.select(_windows).where(*of_stream).order_by(_windows.c.id.desc()).limit(1)).first()
    if (
        last is not None
        and (last.complete, last.problem, last.said_by) == (window.complete, window.problem, window.said_by)
        and last.start_at <= window.start_at <= last.end_at
    ):
        longer = {"end_at": max(last.end_at, window.end_at), "recorded_at": write.at}
        write.conn.execute(sa.update(_windows).where(_windows.c.id == last.id).values(longer))
        return
    write.conn.execute(sa.insert(_windows), {**values, "recorded_at": write.at})


def swap(db: Database, old: Sequence[LiveFile], new: NewFile) -> None:
    """Puts one compacted file in the place of `old`: the same events, sorted. Raises Stale when they are not live.

    Nobody decided anything: the events stay what they are.
    """
    with db.bookkeep() as conn:
        _take_out(conn, old, db.clock())
        conn.execute(sa.insert(_files), _values(new, db.clock(), compacted=True))


def retire(db: Database, actor: str, *, before: date) -> int:
    """Takes the events of days before `before` out of the lake; returns how many."""
    chosen = sa.and_(_files.c.removed_at.is_(None), _files.c.day < before)
    counted = sa.select(sa.func.coalesce(sa.func.sum(_files.c.rows), 0)).where(chosen)
    with db.read() as conn:
        if not conn.scalar(counted):
            return 0
    with db.write(actor) as write:
        events = int(write.conn.scalar(counted) or 0)
        write.conn.execute(sa.update(_files).where(chosen).values(removed_at=write.at))
        write.audit("telemetry.retired", "telemetry", {"before": before.isoformat(), "events": events})
    return events


def _take_out(conn: Connection, old: Sequence[LiveFile], at: datetime) -> None:
    chosen = sa.and_(_files.c.id.in_([one.id for one in old]), _files.c.removed_at.is_(None))
    if conn.execute(sa.update(_files).where(chosen).values(removed_at=at)).rowcount != len(old):
        raise Stale


def _values(one: NewFile, at: datetime, *, compacted: bool) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in NewFile.__dataclass_fields__}
    return {**values, "batches": json.dumps(sorted(set(one.batches))), "compacted": compacted, "added_at": at}


# ---------------------------------------------------------------- the folder


def new_path(source: str, day: date | None, *, suffix: str = ".parquet") -> str:
    """A path in the lake that nothing has: `aws.cloudtrail/2026-11-22/<random>.parquet`. `day` None: quarantine."""
    middle = f"{source}/{day}" if day is not None else f"quarantine/{source}"
    return f"{middle}/{uuid.uuid4().hex[:16]}{suffix}"


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """One writer of files at a time, so that publications do not become stale by each other. Freed by the kernel."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def sweep(db: Database, folder: Path) -> list[str]:
    """Deletes what no longer counts: files taken out longer ago than GRACE, and what killed writers left.

    Returns the paths. Killed anywhere, the next sweep goes on.
    """
    swept = _sweep_removed(db, folder)
    with writing(folder):
        with db.read() as conn:
            known = set(conn.scalars(sa.select(_files.c.path))) | set(conn.scalars(sa.select(_quarantine.c.path)))
        old = time.time() - _ORPHAN_S
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if name.startswith("state/"):  # the state of use has its own manifest (`store.state`)
                continue
            if path.is_file() and name != ".lock" and name not in known and path.stat().st_mtime < old:
                path.unlink(missing_ok=True)
                swept.append(name)
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir() and path.stat().st_mtime < old:
                with contextlib.suppress(OSError):  # it is not empty
                    path.rmdir()
    return swept


def _sweep_removed(db: Database, folder: Path) -> list[str]:
    """First the files, then their rows: a row without a file is found again, a file without a row is an orphan."""
    with db.read() as conn:
        chosen = _files.c.removed_at <= db.clock() - GRACE
        old = conn.execute(sa.select(_files.c.id, _files.c.path).where(chosen).order_by(_files.c.id)).all()
    for row in old:
        (folder / row.path).unlink(missing_ok=True)
    if old:
        with db.bookkeep() as conn:
            conn.execute(sa.delete(_files).where(_files.c.id.in_([row.id for row in old])))
    return [row.path for row in old]
