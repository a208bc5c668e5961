"""What a complete reading did not show: who is missing, who is gone, and when nobody may say so.

Only `wardship.ingest.settle` decides; here are the questions it asks and the marks it makes, each for a chunk of rows.
A row is missing from a reading when its own scope read completely and neither that scope nor, through a sighting,
another one still shows it. Missing once is `unconfirmed`; missing `MISSES_TO_GONE` times in a row, or denied by the
system itself, is `gone`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wardship.store import tables
from wardship.store.columns import FAMILIES, Instant
from wardship.store.scans import Reading, Scan
from wardship.store.sql import insert
from wardship.store.versions import speaks_for

MISSES_TO_GONE = 2
GONE, UNCONFIRMED, PRESENT = "gone", "unconfirmed", "present"
_WITH_NATIVE_ID = tuple(family for family, table in tables.CURRENT.items() if "native_id" in table.c)
_BY_CONTENT = ("grant", "owner")  # their key is what they say: read anew with their holder


class Tally(NamedTuple):
    """One family of a scope after a reading. `newly` is what counts against the blast radius."""

    live: int  # rows that are not gone, new ones included
    missing: int
    newly: int  # missing for the first time, and not merely dropped by a holder that was read


class Suspect(NamedTuple):
    """A missing row that a point read can ask for."""

    family: str
    uid: str
    native_id: str


def tally(conn: Connection, scan: Scan, reading: Reading) -> dict[str, Tally]:
    """The families of the scope that miss anything."""
    rows = conn.execute(_tally(), {"scope": reading.scope.key, "seq": scan.seq})
    return {row.family: Tally(row.live, row.missing, row.newly) for row in rows if row.missing}


@cache
def _tally() -> sa.CompoundSelect[Any]:
    seq = sa.bindparam("seq", type_=sa.BigInteger())
    scope = sa.bindparam("scope", type_=sa.Text())
    selects = []
    for family, current in tables.CURRENT.items():
        missing = current.c.scan_seq < seq
        newly = sa.and_(missing, current.c.presence == PRESENT)
        if family in _BY_CONTENT:
            holder = tables.CURRENT["identity"].alias()
            read = sa.exists().where(
                holder.c.uid == current.c.holder_uid, holder.c.scope_key == scope, holder.c.scan_seq == seq
            )
            newly = sa.and_(newly, sa.not_(read))
        selects.append(
            sa.select(
                sa.literal(family).label("family"),
                sa.func.count().label("live"),
                sa.func.count(sa.case((missing, 1))).label("missing"),
                sa.func.count(sa.case((newly, 1))).label("newly"),
            ).where(current.c.scope_key == scope, current.c.presence != GONE)
        )
    return sa.union_all(*selects)


def has_rows(conn: Connection, scope_key: str) -> bool:
    """Whether anything that is not gone belongs to the scope."""
    return any(
        conn.execute(
            sa.select(current.c.uid).where(current.c.scope_key == scope_key, current.c.presence != GONE).limit(1)
        ).first()
        for current in tables.CURRENT.values()
    )


def suspects(conn: Connection, scan: Scan, reading: Reading, limit: int) -> list[Suspect]:
    """At most `limit` missing rows with a native id, those missed before first, else in no provider's order."""
    found: list[Suspect] = []
    for family in _WITH_NATIVE_ID:
        if len(found) >= limit:
            break
        current = tables.CURRENT[family]
        rows = conn.execute(
            sa.select(current.c.uid, current.c.native_id)
            .where(_missing(current, scan, reading))
            .order_by(current.c.misses.desc(), current.c.uid)
            .limit(limit - len(found))
        )
        found += [Suspect(family, row.uid, row.native_id) for row in rows]
    return found


def hand_over(conn: Connection, scan: Scan, reading: Reading, family: str, limit: int) -> int:
    """Passes missing rows on to another scope that still shows them; returns how many (at most `limit`).

    A scope still shows a row when it has not read completely since it last saw it. Hearsay of another authority's
    scope shows nothing against the authority's own (`versions`).
    """
    current, sighting, scope = tables.CURRENT[family], tables.sighting, tables.scope
    speaks = sa.or_(
        sa.not_(speaks_for(sa.literal(reading.scope.authority), current.c.authority)),
        speaks_for(sa.func.coalesce(scope.c.authority, current.c.authority), current.c.authority),
    )
    vouched = (
        sa.select(sighting.c.uid)
        .join(current, sa.and_(current.c.uid == sighting.c.uid, _missing(current, scan, reading)))
        .outerjoin(scope, scope.c.key == sighting.c.scope_key)
        .where(
            sighting.c.family == family,
            sighting.c.scope_key != reading.scope.key,
            current.c.presence == PRESENT,
            sa.func.coalesce(scope.c.complete_seq, 0) <= sighting.c.scan_seq,
            speaks,
        )
    )
    uids = list(conn.execute(vouched.distinct().limit(limit)).scalars())
    if not uids:
        return 0
    heir = (
        sa.select(sighting.c.scope_key)
        .outerjoin(scope, scope.c.key == sighting.c.scope_key)
        .where(
            sighting.c.family == family,
            sighting.c.uid == current.c.uid,
            sighting.c.scope_key != reading.scope.key,
            speaks,
        )
        .order_by(sighting.c.scan_seq.desc(), sighting.c.scope_key)
        .limit(1)
        .scalar_subquery()
    )
    return conn.execute(sa.update(current).where(current.c.uid.in_(uids)).values(scope_key=heir)).rowcount


def mark_missing(conn: Connection, scan: Scan, reading: Reading, family: str, *, at: datetime, limit: int) -> int:
    """Counts one miss for the next rows after the reading's marker; returns how many rows.

    The caller saves the reading, and with it the marker, in the same transaction: no row is missed twice.
    """
    current = tables.CURRENT[family]
    after = current.c.uid > reading.settled.get(family, "")
    chunk = sa.select(current.c.uid).where(_missing(current, scan, reading), after).order_by(current.c.uid).limit(limit)
    uids = list(conn.execute(chunk).scalars())
    if not uids:
        return 0
    reading.settled[family] = uids[-1]
    missed_again = current.c.misses + 1 >= MISSES_TO_GONE
    presence = sa.case((missed_again, GONE), else_=UNCONFIRMED)
    some = sa.and_(current.c.uid.between(uids[0], uids[-1]), _missing(current, scan, reading))
    marks = _versions(
        conn, family, scan, at=at, condition=sa.and_(some, current.c.presence != presence), presence=presence
    )
    conn.execute(
        sa.update(current)
        .where(some)
        .values(
            misses=current.c.misses + 1,
            presence=presence,
            unconfirmed_since=sa.func.coalesce(
                current.c.unconfirmed_since, sa.bindparam(None, scan.started_at, type_=Instant())
            ),
        )
    )
    for change, rows in marks.items():
        reading.count(family, change, rows)
    return len(uids)


def mark_answers(
    conn: Connection, scan: Scan, reading: Reading, answers: Mapping[Suspect, bool], *, at: datetime
) -> None:
    """Writes down what point reads said: False is gone, True is present and seen in this scan.

    The marks are added to `reading.published`, which the caller saves.
    """
    for family in _WITH_NATIVE_ID:
        for exists in (True, False):
            uids = [suspect.uid for suspect, said in answers.items() if suspect.family == family and said is exists]
            if uids:
                for change, rows in _answer(conn, scan, reading, family, uids, exists=exists, at=at).items():
                    reading.count(family, change, rows)


def _answer(
    conn: Connection,
    scan: Scan,
    reading: Reading,
    family: str,
    uids: Sequence[str],
    *,
    exists: bool,
    at: datetime,
) -> Counter[str]:
    current = tables.CURRENT[family]
    some = sa.and_(current.c.uid.in_(uids), _missing(current, scan, reading))
    if exists:
        marks = _versions(
            conn,
            family,
            scan,
            at=at,
            condition=sa.and_(some, current.c.presence != PRESENT),
            presence=sa.literal(PRESENT),
        )
        values: dict[str, Any] = {
            "presence": PRESENT,
            "misses": 0,
            "unconfirmed_since": None,
            "scan_seq": scan.seq,
            "last_seen_at": scan.started_at,
        }
    else:
        marks = _versions(conn, family, scan, at=at, condition=some, presence=sa.literal(GONE))
        since = sa.bindparam(None, scan.started_at, type_=Instant())
        values = {
            "presence": GONE,
            "misses": current.c.misses + 1,
            "unconfirmed_since": sa.func.coalesce(current.c.unconfirmed_since, since),
        }
    conn.execute(sa.update(current).where(some).values(**values))
    return marks


def _missing(current: sa.Table, scan: Scan, reading: Reading) -> sa.ColumnElement[bool]:
    return sa.and_(current.c.scope_key == reading.scope.key, current.c.scan_seq < scan.seq, current.c.presence != GONE)


def _versions(
    conn: Connection,
    family: str,
    scan: Scan,
    *,
    at: datetime,
    condition: sa.ColumnElement[bool],
    presence: sa.ColumnElement[str],
) -> Counter[str]:
    """Appends versions with another presence and the same content; `change` is the presence, or "returned"."""
    current, version = tables.CURRENT[family], tables.VERSION[family]
    names = ["uid", *(column.name for column in FAMILIES[family]()), "content_hash"]
    statement = insert(conn.dialect.name, version).from_select(
        [*names, "presence", "change", "valid_from", "recorded_at", "scan_id"],
        sa.select(
            *(current.c[name] for name in names),
            presence,
            sa.case((presence == PRESENT, "returned"), else_=presence),
            sa.bindparam(None, scan.started_at, type_=Instant()),
            sa.bindparam(None, at, type_=Instant()),
            sa.literal(scan.id),
        )
        .where(condition)
        .order_by(current.c.uid),
    )
    return Counter(conn.execute(statement.returning(version.c.change)).scalars())
