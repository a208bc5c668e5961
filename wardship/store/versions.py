"""Publishing: staged rows become versions and the current row, in SQL that handles a whole chunk at once.

A version is written only where a thing is new, differs, or has come back; everything else is one touch of its
current row. A chunk is one transaction of the one writer and takes what it published off the stage, so publishing
goes on where it was killed, and nothing is published twice.

A row belongs to the scope that first saw it: that scope alone changes it and may miss it. Another scope that sees it
too leaves a *sighting*; `presence` passes the row on to it when its own scope no longer has it. Were it otherwise, two
scopes that word the same thing differently would make two versions in every scan.

A scope speaks for one authority. What it tells of another's things (a graph that somebody exported, of an account) is
hearsay: it gives way to the authority's own scopes, and neither changes nor brings back what is theirs (ADR 0024).

What a source forgets is kept: columns that fade (`columns.FADES`) and the last known use.

A scan never writes over what a later scan has seen (`scan_seq`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wardship.store import sql, tables
from wardship.store.columns import FAMILIES, Instant
from wardship.store.scans import Reading, Scan

PRESENT = "present"
_STRING = sa.Text()


def publish_chunk(conn: Connection, scan: Scan, reading: Reading, family: str, *, at: datetime, limit: int) -> int:
    """Publishes at most `limit` staged rows of one family; returns how many were staged. 0: none is left.

    The counts of changes are added to `reading.published`; the caller saves it in the same transaction.
    """
    if family == "usage":
        return _publish_usage(conn, scan, reading, at, limit)
    do = _statements(conn.dialect.name, family)
    last, rows = conn.execute(do.bounds, {"reading": reading.id, "limit": limit}).one()
    if not rows:
        return 0
    known: dict[str, Any] = {
        "reading": reading.id,
        "last": last,
        "seq": scan.seq,
        "scope": reading.scope.key,
        "speaker": reading.scope.authority,
        "began": scan.started_at,
    }
    changes = conn.execute(do.version, {**known, "at": at, "scan_id": scan.id}).scalars()
    counts = Counter(changes)
    for change, number in counts.items():
        reading.count(family, change, number)
    if counts:
        conn.execute(do.current, known)
    if counts.total() < rows:
        conn.execute(do.touch, known)
        conn.execute(do.sighting, known)
    if family == "identity":
        conn.execute(do.alone, known)
    conn.execute(do.unstage, known)
    return int(rows)


class _Statements(NamedTuple):
    bounds: sa.Select[Any, int]
    version: sa.Insert
    current: sa.Insert
    touch: sa.Update
    sighting: sa.Insert
    alone: sa.Insert
    unstage: sa.Delete


@cache
def _statements(dialect: str, family: str) -> _Statements:
    stage, current, version = tables.STAGE[family], tables.CURRENT[family], tables.VERSION[family]
    content = [column.name for column in FAMILIES[family]()]
    seq = sa.bindparam("seq", type_=sa.BigInteger())
    scope = sa.bindparam("scope", type_=_STRING)
    began = sa.bindparam("began", type_=Instant())
    mine = stage.c.reading == sa.bindparam("reading", type_=sa.BigInteger())
    chunk = sa.and_(mine, stage.c.uid <= sa.bindparam("last", type_=_STRING))

    first = sa.select(stage.c.uid).where(mine).order_by(stage.c.uid).limit(sa.bindparam("limit", type_=sa.Integer()))
    rows = first.subquery()

    joined = stage.outerjoin(current, current.c.uid == stage.c.uid)
    speaker = sa.bindparam("speaker", type_=_STRING)
    own = speaks_for(speaker, stage.c.authority)
    keeper = tables.scope
    heard = sa.exists().where(  # what the row says so far is hearsay
        keeper.c.key == current.c.scope_key, sa.not_(speaks_for(keeper.c.authority, current.c.authority))
    )
    may_write = sa.and_(
        current.c.scan_seq <= seq,
        sa.or_(
            current.c.scope_key == scope,
            sa.and_(own, heard),
            sa.and_(current.c.presence != PRESENT, sa.or_(own, heard)),
        ),
    )
    fading = [column.name for column in FAMILIES[family]() if column.info.get("fades")]
    differs = sa.or_(
        current.c.content_hash != stage.c.content_hash,
        current.c.presence != PRESENT,
        *(sa.and_(stage.c[name].is_not(None), stage.c[name].is_distinct_from(current.c[name])) for name in fading),
    )
    to_write = sa.and_(chunk, sa.or_(current.c.uid.is_(None), sa.and_(may_write, differs)))
    change = sa.case(
        (current.c.uid.is_(None), "appeared"), (current.c.presence != PRESENT, "returned"), else_="changed"
    )
    remembered = _remembered(stage, current, fading)
    staged = [stage.c.uid, *(remembered.get(name, stage.c[name]) for name in content), stage.c.content_hash]
    names = ["uid", *content, "content_hash"]

    to_current = sql.insert(dialect, current).from_select(
        [*names, "scope_key", "scan_seq", "presence", "misses", "first_seen_at", "last_seen_at"],
        sa.select(*staged, scope, seq, sa.literal(PRESENT), sa.literal(0), began, began)
        .select_from(joined)
        .where(to_write),
    )
    new = to_current.excluded
    taken_over = {name: new[name] for name in (*content, "content_hash", "scope_key", "scan_seq", "last_seen_at")}
    ours = sa.or_(current.c.scope_key == scope, sa.and_(speaks_for(speaker, current.c.authority), heard))
    sighting = sql.insert(dialect, tables.sighting).from_select(
        ["family", "uid", "scope_key", "scan_seq"],
        sa.select(sa.literal(family), stage.c.uid, scope, seq)
        .select_from(stage.join(current, current.c.uid == stage.c.uid))
        .where(chunk, current.c.scope_key != scope),
    )
    return _Statements(
        bounds=sa.select(sa.func.max(rows.c.uid), sa.func.count()).select_from(rows),
        version=sa.insert(version)
        .from_select(
            [*names, "presence", "change", "valid_from", "recorded_at", "scan_id"],
            sa.select(
                *staged,
                sa.literal(PRESENT),
                change,
                began,
                sa.bindparam("at", type_=Instant()),
                sa.bindparam("scan_id", type_=_STRING),
            )
            .select_from(joined)
            .where(to_write)
            .order_by(stage.c.uid),
        )
        .returning(version.c.change),
        current=to_current.on_conflict_do_update(
            index_elements=["uid"],
            set_={**taken_over, "presence": PRESENT, "misses": 0, "unconfirmed_since": None},
        ),
        touch=sa.update(current)
        .where(
            current.c.uid.in_(sa.select(stage.c.uid).where(chunk)),
            current.c.presence == PRESENT,
            current.c.scan_seq < seq,
            ours,
        )
        .values(scope_key=scope, scan_seq=seq, last_seen_at=began),
        sighting=sighting.on_conflict_do_update(
            index_elements=["family", "uid", "scope_key"],
            set_={"scan_seq": sighting.excluded.scan_seq},
            where=tables.sighting.c.scan_seq < sighting.excluded.scan_seq,
        ),
        alone=sql.insert(dialect, tables.resolution)
        .from_select(["uid", "identity_uid"], sa.select(stage.c.uid, stage.c.uid).where(chunk))
        .on_conflict_do_nothing(),
        unstage=sa.delete(stage).where(chunk),
    )


def speaks_for(speaker: sa.ColumnElement[str], authority: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether a scope of `speaker` speaks for `authority`: the same one, or a part of it ("github:acme/api")."""
    below = sa.func.substr(authority, 1, sa.func.length(speaker) + 1) == speaker.concat("/")
    return sa.or_(authority == speaker, below)


def _remembered(stage: sa.Table, current: sa.Table, fading: list[str]) -> dict[str, sa.ColumnElement[Any]]:
    """Columns that fade, as they are to be written: what the source says; what it no longer says, as it was known.

    Together they tell of one event. When one of them has changed it was another event, and a thing that was gone has
    been made anew: then nothing of the old one is remembered.
    """
    another = [sa.func.coalesce(stage.c[name] != current.c[name], sa.false()) for name in fading]
    same_event = sa.and_(current.c.presence != "gone", *(sa.not_(other) for other in another))
    return {name: sa.func.coalesce(stage.c[name], sa.case((same_event, current.c[name]))) for name in fading}


# ------------------------------------------------------------------ usage


def _publish_usage(conn: Connection, scan: Scan, reading: Reading, at: datetime, limit: int) -> int:
    bounds, upsert, unstage = _usage_statements(conn.dialect.name)
    last, rows = conn.execute(bounds, {"reading": reading.id, "limit": limit}).one()
    if not rows:
        return 0
    known: Mapping[str, Any] = {"reading": reading.id, "last": last, "seq": scan.seq, "at": at}
    reading.count(
        "usage", "written", conn.execute(upsert, known, execution_options={"preserve_rowcount": True}).rowcount
    )
    conn.execute(unstage, known)
    return int(rows)


@cache
def _usage_statements(dialect: str) -> tuple[sa.Select[Any, int], sa.Insert, sa.Delete]:
    """The newest answer of a source stands, except that no answer makes a use undone.

    UNKNOWN ("cannot tell") after USED is a source that forgot, and NEVER after USED contradicts what it said itself:
    the use stands, with the instant at which it was read. UNKNOWN does replace NEVER: an old "never" that nobody can
    repeat is not known any more.
    """
    stage, usage = tables.stage_usage, tables.usage
    mine = stage.c.reading == sa.bindparam("reading", type_=sa.BigInteger())
    first = sa.select(stage.c.subject_uid).where(mine).order_by(stage.c.subject_uid)
    rows = first.limit(sa.bindparam("limit", type_=sa.Integer())).subquery()
    chunk = sa.and_(mine, stage.c.subject_uid <= sa.bindparam("last", type_=_STRING))
    names = [column.name for column in stage.columns if column.name != "reading"]
    insert = sql.insert(dialect, usage).from_select(
        [*names, "scan_seq", "read_at"],
        sa.select(
            *(stage.c[name] for name in names),
            sa.bindparam("seq", type_=sa.BigInteger()),
            sa.bindparam("at", type_=Instant()),
        ).where(chunk),
    )
    new = insert.excluded
    upsert = insert.on_conflict_do_update(
        index_elements=["subject_uid", "source"],
        set_={name: new[name] for name in (*names, "scan_seq", "read_at") if name not in ("subject_uid", "source")},
        where=sa.and_(usage.c.scan_seq <= new.scan_seq, sa.or_(usage.c.state != "used", new.state == "used")),
    )
    count = sa.select(sa.func.max(rows.c.subject_uid), sa.func.count()).select_from(rows)
    return count, upsert, sa.delete(stage).where(chunk)
