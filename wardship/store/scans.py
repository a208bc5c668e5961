"""The registers of scans: which scan runs, how far each scope of it was read, what was staged and what was refused.

A scan reads its scopes one by one; one scope in one scan is a *reading* (a row of `scan_scope`). A reading goes
through the phases

    reading -> publishing -> settling -> published      (or -> discarded, when nothing of it is usable)

and every step forward is one transaction together with what it did, so a process that is killed leaves a reading
that the next one goes on with. How rows are published says `versions`, what is missing says `presence`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from wardship.model.scan import Coverage, Problem, Scope, ScopeStatus
from wardship.store import sql, tables
from wardship.store.columns import FAMILIES
from wardship.store.db import Database, Write

IMPORT_PREFIX = "import:"
"""Scans of files are kept apart from those of the live system: an import never goes on with a stopped scan of it."""
OPEN_PHASES = ("reading", "publishing", "settling")
MAX_PROBLEMS = 200
_scan, _reading, _scope = tables.scan, tables.scan_scope, tables.scope
_SAVE = sa.update(_reading).where(_reading.c.id == sa.bindparam("reading"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One run over the scopes of one connection. `seq` orders all scans; `started_at` is when its facts became true."""

    id: str
    seq: int
    connection: str
    connector: str
    started_at: datetime
    resumed: bool = False


@dataclass(slots=True, kw_only=True)
class Reading:
    """One scope in one scan, as it stands. `save` writes it back."""

    id: int
    scan_id: str
    scope: Scope
    status: ScopeStatus
    phase: str
    checkpoint: str | None
    restarts: int
    pages: int
    items: int
    quarantined: int
    duplicates: int
    expected_total: int | None
    api_calls: int
    throttles: int
    problems: list[Problem]
    published: dict[str, dict[str, int]]  # family -> "staged" | change -> rows
    settled: dict[str, str]  # family -> last uid whose absence was settled
    held: str | None
    finished_at: datetime | None

    @property
    def coverage(self) -> Coverage:
        return Coverage(
            scope=self.scope,
            status=self.status,
            pages=self.pages,
            items=self.items,
            quarantined=self.quarantined,
            expected_total=self.expected_total,
            api_calls=self.api_calls,
            throttles=self.throttles,
            problems=tuple(self.problems),
        )

    def count(self, family: str, what: str, rows: int) -> None:
        counts = self.published.setdefault(family, {})
        counts[what] = counts.get(what, 0) + rows

    def add_problem(self, problem: Problem) -> None:
        """Notes a problem once; beyond `MAX_PROBLEMS` they would only repeat that the scope is not complete."""
        if problem not in self.problems and len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadItem:
    """An item that could not be understood: redacted JSON text, its digest, and why, without its data."""

    digest: str
    item: str
    reason: str
    times: int = field(default=1)


# ------------------------------------------------------------------ scans


def import_name(connection: str, digest: str) -> str:
    """Under which a scan of files is kept: apart from the live system, and from files of another content."""
    return f"{IMPORT_PREFIX}{connection}:{digest[:12]}"


def is_import(connection: str) -> bool:
    """Whether the scans kept under this name read files."""
    return connection.startswith(IMPORT_PREFIX)


def source(connection: str) -> str:
    """What a scan reads: "import:aws:9f86d081884c" is of the source "import:aws"; a connection is its own source."""
    return ":".join(connection.split(":")[:2])


def _of_source(connection: str) -> sa.ColumnElement[bool]:
    """Scans of the same connection; for an import also those of other files."""
    stem = source(connection)
    return sa.or_(_scan.c.connection == stem, _scan.c.connection.startswith(f"{stem}:", autoescape=True))


def begin(db: Database, *, connection: str, connector: str, actor: str, resume_within: timedelta) -> Scan:
    """The scan of `connection` to go on with: its unfinished one, or a new one.

    An unfinished scan that began longer than `resume_within` ago is closed as failed: half of it would be stale. An
    import of other files is left alone until then: it may be running.
    """
    with db.write(actor) as write:
        open_scans = sa.select(_scan).where(_of_source(connection), _scan.c.status == "running")
        resumable: Scan | None = None
        for row in write.conn.execute(open_scans.order_by(_scan.c.seq.desc())).all():
            fresh = write.at - row.started_at <= resume_within
            if resumable is None and fresh and (row.connection, row.connector) == (connection, connector):
                resumable = _scan_of(row, resumed=True)
            elif not fresh or row.connection == connection:
                _discard(write.conn, row.id, write.at)
                _close(write.conn, row.id, "failed", write.at)
                write.audit("scan.abandoned", row.id, {"connection": row.connection})
        if resumable is not None:
            write.audit("scan.resumed", resumable.id, {"connection": connection, "seq": resumable.seq})
            return resumable
        seq = (write.conn.execute(sa.select(sa.func.max(_scan.c.seq))).scalar() or 0) + 1
        scan = Scan(id=uuid.uuid4().hex, seq=seq, connection=connection, connector=connector, started_at=write.at)
        write.conn.execute(
            _scan.insert().values(
                id=scan.id, seq=seq, connection=connection, connector=connector, status="running", started_at=write.at
            )
        )
        write.audit("scan.started", scan.id, {"connection": connection, "connector": connector, "seq": seq})
        return scan


def get(conn: Connection, scan_id: str) -> Scan:
    """The scan of this id, running or not."""
    return _scan_of(conn.execute(sa.select(_scan).where(_scan.c.id == scan_id)).one())


def finish(
    write: Write, scan: Scan, status: str, drift: Mapping[tuple[str, str], int], clock_skew_s: float | None = None
) -> None:
    """Closes the scan as `status` and adds what its connector could not place.

    `clock_skew_s`: the system's clock minus ours, in seconds; None when it did not show its clock.
    """
    _close(write.conn, scan.id, status, write.at)
    write.conn.execute(sa.update(_scan).where(_scan.c.id == scan.id).values(clock_skew_s=clock_skew_s))
    if status == "failed":
        _discard(write.conn, scan.id, write.at)
    table = tables.drift
    rows = [
        {
            "connector": scan.connector,
            "place": place[:200],
            "what": what[:200],
            "times": times,
            "first_at": write.at,
            "last_at": write.at,
        }
        for (place, what), times in sorted(drift.items())
    ]
    if rows:
        insert = sql.insert(write.conn.dialect.name, table)
        write.conn.execute(
            insert.on_conflict_do_update(
                index_elements=["connector", "place", "what"],
                set_={"times": table.c.times + insert.excluded.times, "last_at": insert.excluded.last_at},
            ),
            rows,
        )
    write.audit("scan.finished", scan.id, {"connection": scan.connection, "status": status, "drift": len(rows)})


def _close(conn: Connection, scan_id: str, status: str, at: datetime) -> None:
    conn.execute(sa.update(_scan).where(_scan.c.id == scan_id).values(status=status, finished_at=at))


def _discard(conn: Connection, scan_id: str, at: datetime) -> None:
    """Gives up the open readings of a scan; `sweep` removes their staged rows."""
    unfinished = sa.and_(_reading.c.scan_id == scan_id, _reading.c.phase.in_(OPEN_PHASES))
    conn.execute(
        sa.update(_reading).where(unfinished).values(phase="discarded", status=ScopeStatus.FAILED.value, finished_at=at)
    )


def _scan_of(row: Row[Any], *, resumed: bool = False) -> Scan:
    return Scan(
        id=row.id,
        seq=row.seq,
        connection=row.connection,
        connector=row.connector,
        started_at=row.started_at,
        resumed=resumed,
    )


# ------------------------------------------------------------------ readings


def open_reading(conn: Connection, scan: Scan, scope: Scope, at: datetime) -> Reading:
    """The reading of `scope` in `scan`, made when it is new."""
    values = {
        "scan_id": scan.id,
        "scope_key": scope.key,
        "connector": scope.connector,
        "authority": scope.authority,
        "region": scope.region,
        "kind": scope.kind,
        "status": ScopeStatus.RUNNING.value,
        "phase": "reading",
        "restarts": 0,
        "pages": 0,
        "items": 0,
        "quarantined": 0,
        "duplicates": 0,
        "api_calls": 0,
        "throttles": 0,
        "problems": "[]",
        "published": "{}",
        "settled": "{}",
        "started_at": at,
    }
    conn.execute(sql.insert(conn.dialect.name, _reading).values(values).on_conflict_do_nothing())
    return _one(conn, sa.and_(_reading.c.scan_id == scan.id, _reading.c.scope_key == scope.key))


def readings(conn: Connection, scan: Scan) -> list[Reading]:
    """All readings of the scan, in the order in which they began."""
    rows = conn.execute(sa.select(_reading).where(_reading.c.scan_id == scan.id).order_by(_reading.c.id))
    return [_reading_of(row) for row in rows]


def reading_of(conn: Connection, scan_id: str, scope_key: str) -> Reading:
    """The reading of a scope in a scan."""
    return _one(conn, sa.and_(_reading.c.scan_id == scan_id, _reading.c.scope_key == scope_key))


def newest_reading(conn: Connection, scope_key: str) -> Reading | None:
    """The newest finished reading of a scope; None when there is none."""
    row = conn.execute(
        sa.select(_reading)
        .join(_scan, _scan.c.id == _reading.c.scan_id)
        .where(_reading.c.scope_key == scope_key, _reading.c.phase == "published")
        .order_by(_scan.c.seq.desc())
        .limit(1)
    ).first()
    return None if row is None else _reading_of(row)


def last_read_live(conn: Connection, scope_keys: Sequence[str]) -> datetime | None:
    """When the newest scan of a live system began that read any of these scopes; imports do not count."""
    begun: list[datetime] = []
    for start in range(0, len(scope_keys), 500):
        newest = (
            sa.select(sa.func.max(_scan.c.started_at))
            .join(_reading, _reading.c.scan_id == _scan.c.id)
            .where(
                _reading.c.scope_key.in_(scope_keys[start : start + 500]),
                _reading.c.phase == "published",
                _scan.c.connection.not_like(f"{IMPORT_PREFIX}%"),
            )
        )
        begun += [at for at in conn.scalars(newest) if at is not None]
    return max(begun, default=None)


def authorities_read_live(conn: Connection) -> dict[str, datetime]:
    """When the newest scan of each live system began that read any of it; imports do not count."""
    newest = (
        sa.select(_reading.c.authority, sa.func.max(_scan.c.started_at).label("at"))
        .join(_scan, _reading.c.scan_id == _scan.c.id)
        .where(_reading.c.phase == "published", _scan.c.connection.not_like(f"{IMPORT_PREFIX}%"))
        .group_by(_reading.c.authority)
    )
    return {row.authority: row.at for row in conn.execute(newest)}


def left_over(conn: Connection, connection: str) -> list[Reading]:
    """Readings of closed scans whose publishing was cut short (a replay, or a person's word on a held scope)."""
    rows = conn.execute(
        sa.select(_reading)
        .join(_scan, _scan.c.id == _reading.c.scan_id)
        .where(_of_source(connection), _scan.c.status != "running", _reading.c.phase.in_(OPEN_PHASES))
        .order_by(_reading.c.id)
    )
    return [_reading_of(row) for row in rows]


def save(conn: Connection, reading: Reading) -> None:
    """Writes the reading back."""
    conn.execute(
        _SAVE,
        {
            "reading": reading.id,
            "status": reading.status.value,
            "phase": reading.phase,
            "checkpoint": reading.checkpoint,
            "restarts": reading.restarts,
            "pages": reading.pages,
            "items": reading.items,
            "quarantined": reading.quarantined,
            "duplicates": reading.duplicates,
            "expected_total": reading.expected_total,
            "api_calls": reading.api_calls,
            "throttles": reading.throttles,
            "problems": json.dumps([asdict(problem) for problem in reading.problems]),
            "published": json.dumps(reading.published, sort_keys=True),
            "settled": json.dumps(reading.settled, sort_keys=True),
            "held": reading.held,
            "finished_at": reading.finished_at,
        },
    )


def conclude(conn: Connection, scan: Scan, reading: Reading) -> None:
    """Makes the reading the newest word on its scope, unless a later scan has spoken already."""
    complete = reading.status is ScopeStatus.COMPLETE
    values: dict[str, Any] = {
        "status": reading.status.value,
        "finished_at": reading.finished_at,
        "problems": json.dumps([asdict(problem) for problem in reading.problems]),
        "held": reading.held,
    }
    if complete:
        values |= {"items": reading.items, "complete_at": reading.finished_at, "complete_seq": scan.seq}
    scope = reading.scope
    first = {"items": 0} | values
    insert = sql.insert(conn.dialect.name, _scope).values(
        key=scope.key,
        connector=scope.connector,
        authority=scope.authority,
        region=scope.region,
        kind=scope.kind,
        **first,
    )
    later = sa.func.coalesce(_scope.c.complete_seq, 0) <= scan.seq
    conn.execute(insert.on_conflict_do_update(index_elements=["key"], set_=values, where=later))


def known_items(conn: Connection, scope_key: str) -> int:
    """Items of the newest COMPLETE reading of the scope; 0 when there was none."""
    return conn.execute(sa.select(_scope.c["items"]).where(_scope.c.key == scope_key)).scalar() or 0


def _one(conn: Connection, condition: sa.ColumnElement[bool]) -> Reading:
    return _reading_of(conn.execute(sa.select(_reading).where(condition)).one())


def _reading_of(row: Row[Any]) -> Reading:
    return Reading(
        id=row.id,
        scan_id=row.scan_id,
        scope=Scope(connector=row.connector, authority=row.authority, region=row.region, kind=row.kind),
        status=ScopeStatus(row.status),
        phase=row.phase,
        checkpoint=row.checkpoint,
        restarts=row.restarts,
        pages=row.pages,
        items=row.items,
        quarantined=row.quarantined,
        duplicates=row.duplicates,
        expected_total=row.expected_total,
        api_calls=row.api_calls,
        throttles=row.throttles,
        problems=[Problem(**problem) for problem in json.loads(row.problems)],
        published=json.loads(row.published),
        settled=json.loads(row.settled),
        held=row.held,
        finished_at=row.finished_at,
    )


# ------------------------------------------------------------------ staged and refused rows


def stage(conn: Connection, reading: Reading, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Stages rows by family. A thing that was staged before in this reading is replaced: the last one stands."""
    for family, batch in rows.items():
        key = ("subject_uid", "source") if family == "usage" else ("uid",)
        last = {tuple(row[name] for name in key): row for row in batch}
        if last:
            conn.execute(
                _stage_statement(conn.dialect.name, family), [{"reading": reading.id, **row} for row in last.values()]
            )
        reading.count(family, "staged", len(batch))


@cache
def _stage_statement(dialect: str, family: str) -> sa.Insert:
    table = stage_table(family)
    keys = [column.name for column in table.primary_key]
    insert = sql.insert(dialect, table)
    replaced = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=replaced)


def stage_table(family: str) -> sa.Table:
    """Where the rows of `family` wait; the family "usage" has its own form."""
    return tables.stage_usage if family == "usage" else tables.STAGE[family]


def duplicates(conn: Connection, reading: Reading) -> int:
    """How many identities and credentials were read more than once, before anything is published.

    The other families repeat by nature: many objects name the same person.
    """
    total = 0
    for family in reading.published.keys() & {"identity", "credential"}:
        table = stage_table(family)
        mine = sa.select(sa.func.count()).select_from(table).where(table.c.reading == reading.id)
        total += max(0, reading.published[family]["staged"] - conn.execute(mine).scalar_one())
    return total


def refuse(conn: Connection, reading: Reading, items: Iterable[BadItem], at: datetime) -> None:
    """Quarantines items; one that was quarantined before is counted once more."""
    merged: dict[str, BadItem] = {}
    total = 0
    for item in items:
        total += item.times
        times = item.times + (merged[item.digest].times if item.digest in merged else 0)
        merged[item.digest] = BadItem(digest=item.digest, item=item.item, reason=item.reason, times=times)
    if not merged:
        return
    table = tables.quarantine
    insert = sql.insert(conn.dialect.name, table)
    conn.execute(
        insert.on_conflict_do_update(
            index_elements=["scope_key", "digest"],
            set_={
                "times": table.c.times + insert.excluded.times,
                "last_at": insert.excluded.last_at,
                "scan_id": insert.excluded.scan_id,
                "reason": insert.excluded.reason,
                "replayed_at": None,
            },
        ),
        [
            {
                "scan_id": reading.scan_id,
                "scope_key": reading.scope.key,
                "digest": bad.digest,
                "item": bad.item,
                "reason": bad.reason,
                "times": bad.times,
                "first_at": at,
                "last_at": at,
            }
            for bad in merged.values()
        ],
    )
    reading.quarantined += total


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A quarantined item that waits for a replay."""

    id: int
    scan_id: str
    scope_key: str
    item: str


def quarantined(conn: Connection, connection: str) -> list[Quarantined]:
    """What waits for a replay from the scans of a connection, oldest first."""
    table = tables.quarantine
    rows = conn.execute(
        sa.select(table.c.id, table.c.scan_id, table.c.scope_key, table.c.item)
        .join(_scan, _scan.c.id == table.c.scan_id)
        .where(_scan.c.connection == connection, table.c.replayed_at.is_(None))
        .order_by(table.c.id)
    )
    return [Quarantined(id=row.id, scan_id=row.scan_id, scope_key=row.scope_key, item=row.item) for row in rows]


def mark_replayed(conn: Connection, ids: Sequence[int], at: datetime) -> None:
    """Takes items out of quarantine; their rows stay as a record."""
    table = tables.quarantine
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        conn.execute(sa.update(table).where(table.c.id.in_(some)).values(replayed_at=at))


def sweep(db: Database, limit: int) -> int:
    """Removes staged rows of readings that are over; at most `limit` rows a transaction. Returns how many."""
    removed = 0
    over = sa.select(_reading.c.id).where(_reading.c.phase.in_(("published", "discarded")))
    for family in (*FAMILIES, "usage"):
        table = stage_table(family)
        key = table.c.subject_uid if family == "usage" else table.c.uid
        while True:
            with db.read() as conn:
                reading = conn.execute(sa.select(table.c.reading).where(table.c.reading.in_(over)).limit(1)).scalar()
            if reading is None:
                break
            with db.bookkeep() as conn:
                some = sa.select(key).where(table.c.reading == reading).order_by(key).limit(limit)
                removed += conn.execute(sa.delete(table).where(table.c.reading == reading, key.in_(some))).rowcount
    return removed
