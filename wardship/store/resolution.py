"""Which rows are one identity: joined by exact ids they declare, never by names; undone by a person's word.

Two rows are one when they share an alias, or one names the other. The lowest (rank, first seen, uid) represents them.
Each joined row keeps the id that joins it as evidence. A split keeps two rows apart in this and all later passes,
whatever else joins them; a rejoin ends it (ADR 0012).

The pass is a union-find in memory over the rows that declare aliases, and writes only what differs from before.
Rows that stand alone got their line when they were published.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wardship.model.errors import DataError, TransitionRefused
from wardship.model.identity import uid_of
from wardship.sdk.i18n import _
from wardship.store import sql, tables
from wardship.store.db import Database, Write

CHUNK_ROWS = 2_000
_IN_LIST = 500
_identity, _resolution, _decision = tables.CURRENT["identity"], tables.resolution, tables.merge_decision

Pair = frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One row of a merged identity. `evidence` is the exact id that joins it; None: it stands alone."""

    uid: str
    identity_uid: str
    authority: str
    native_id: str
    name: str | None
    presence: str
    evidence: tuple[str, str] | None


class _Line(NamedTuple):
    """A row of `resolution` without its key."""

    identity_uid: str
    evidence: str | None


def members(db: Database, uid: str) -> list[Member]:
    """All rows of the identity that row `uid` belongs to, the representing one first; [] for an unknown uid."""
    own = sa.select(_resolution.c.identity_uid).where(_resolution.c.uid == uid).scalar_subquery()
    query = (
        sa.select(_resolution, *(_identity.c[name] for name in ("authority", "native_id", "name", "presence")))
        .join(_identity, _identity.c.uid == _resolution.c.uid)
        .where(_resolution.c.identity_uid == own)
        .order_by(sa.case((_resolution.c.uid == _resolution.c.identity_uid, 0), else_=1), _resolution.c.uid)
    )
    with db.read() as conn:
        return [
            Member(
                uid=row.uid,
                identity_uid=row.identity_uid,
                authority=row.authority,
                native_id=row.native_id,
                name=row.name,
                presence=row.presence,
                evidence=None if row.evidence is None else (json.loads(row.evidence)[0], json.loads(row.evidence)[1]),
            )
            for row in conn.execute(query)
        ]


def split(db: Database, left_uid: str, right_uid: str, *, reason: str, actor: str) -> None:
    """Undoes the merge of two rows, now and in later scans. Raises DataError, TransitionRefused when not merged."""
    _decide(db, "split", left_uid, right_uid, reason=reason, actor=actor)


def rejoin(db: Database, left_uid: str, right_uid: str, *, reason: str, actor: str) -> None:
    """Ends a split; the rows are one again if their ids still say so. Raises DataError, TransitionRefused."""
    _decide(db, "rejoin", left_uid, right_uid, reason=reason, actor=actor)


def resolve(db: Database, *, actor: str) -> int:
    """Brings `resolution` up to date with the published rows; returns the lines that changed."""
    with db.read() as conn:
        changed = _differences(conn)
    for start in range(0, len(changed), CHUNK_ROWS):
        with db.write(actor) as write:
            _store(write, changed[start : start + CHUNK_ROWS])
    return len(changed)


def _decide(db: Database, decision: str, left_uid: str, right_uid: str, *, reason: str, actor: str) -> None:
    if not reason.strip():
        raise DataError(_("a reason is needed"))
    pair = frozenset((left_uid, right_uid))
    with db.write(actor) as write:
        both = sa.select(_resolution.c.uid, _resolution.c.identity_uid).where(_resolution.c.uid.in_(pair))
        lines = {row.uid: row.identity_uid for row in write.conn.execute(both)}
        if len(pair) != 2 or len(lines) != 2:
            raise DataError(_("two different identity rows are needed"))
        if decision == "split" and lines[left_uid] != lines[right_uid]:
            raise TransitionRefused(_("these rows are not merged"))
        if decision == "rejoin" and pair not in _splits(write.conn):
            raise TransitionRefused(_("these rows were not split"))
        write.conn.execute(
            _decision.insert().values(
                left_uid=left_uid,
                right_uid=right_uid,
                decision=decision,
                reason=reason,
                actor=actor,
                decided_at=write.at,
            )
        )
        write.audit(f"identity.{decision}", left_uid, {"other": right_uid})
        changed = _differences(write.conn)
        if changed:
            _store(write, changed)


def _store(write: Write, lines: Sequence[tuple[str, _Line]]) -> None:
    insert = sql.insert(write.conn.dialect.name, _resolution)
    write.conn.execute(
        insert.on_conflict_do_update(
            index_elements=["uid"],
            set_={"identity_uid": insert.excluded.identity_uid, "evidence": insert.excluded.evidence},
        ),
        [{"uid": uid, "identity_uid": line.identity_uid, "evidence": line.evidence} for uid, line in lines],
    )
    write.audit("identity.resolved", "identity", {"rows": len(lines)})


# ------------------------------------------------------------------ the pass


def _differences(conn: Connection) -> list[tuple[str, _Line]]:
    """Lines of `resolution` that must change, in order of uid."""
    wanted = _merged(conn)
    stored: dict[str, _Line] = {
        row.uid: _Line(row.identity_uid, row.evidence)
        for row in conn.execute(
            sa.select(_resolution).where(
                sa.or_(_resolution.c.uid != _resolution.c.identity_uid, _resolution.c.evidence.is_not(None))
            )
        )
    }
    changed = {uid: line for uid, line in wanted.items() if stored.get(uid) != line}
    changed |= {uid: _Line(uid, None) for uid in stored if uid not in wanted}
    return sorted(changed.items())


def _merged(conn: Connection) -> dict[str, _Line]:
    """The lines of all rows that share an identity with another one."""
    groups = _Groups(_splits(conn))
    declared = conn.execute(
        sa.select(_identity.c.uid, _identity.c.aliases)
        .where(_identity.c.aliases != "[]")
        .order_by(_identity.c.uid)
        .execution_options(yield_per=CHUNK_ROWS)
    )
    declaring: dict[str, str] = {}
    named: set[str] = set()
    for uid, aliases in declared:
        declaring[uid] = aliases
        for alias in json.loads(aliases):
            target = uid_of("identity", *alias)
            if target != uid:
                named.add(target)
                groups.join(uid, target)
    rows = _order(conn, declaring.keys() | named)
    parts: dict[str, list[str]] = defaultdict(list)
    for uid in rows:
        parts[groups.root(uid)].append(uid)
    lines: dict[str, _Line] = {}
    for part in parts.values():
        if len(part) > 1:
            representing = min(part, key=lambda uid: rows[uid])
            lines |= {uid: _Line(representing, text) for uid, text in _evidence(part, declaring, rows, groups)}
    return lines


def _evidence(
    part: Sequence[str], declaring: Mapping[str, str], rows: Mapping[str, Any], groups: _Groups
) -> Iterable[tuple[str, str]]:
    """For each row of a group the id that joins it: an alias of its own that leads to another row, else its own id."""
    pointing: dict[str, int] = defaultdict(int)
    for uid in part:
        for alias in json.loads(declaring.get(uid, "[]")):
            pointing[uid_of("identity", *alias)] += 1
    for uid in part:
        shared = (
            alias
            for alias in json.loads(declaring.get(uid, "[]"))
            if (target := uid_of("identity", *alias)) != uid
            and groups.joined(uid, target)
            and (target in rows or pointing[target] > 1)
        )
        alias = next(shared, None)
        if alias is None:
            _rank, _seen, _uid, authority, native_id = rows[uid]
            alias = [authority, native_id]
        yield uid, json.dumps(alias, separators=(",", ":"), ensure_ascii=False)


def _order(conn: Connection, uids: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """(rank, first seen, uid, authority, native id) of those `uids` that are rows."""
    wanted = sorted(uids)
    columns = [_identity.c[name] for name in ("uid", "rank", "first_seen_at", "authority", "native_id")]
    found: dict[str, tuple[Any, ...]] = {}
    for start in range(0, len(wanted), _IN_LIST):
        some = wanted[start : start + _IN_LIST]
        for uid, rank, first_seen_at, authority, native_id in conn.execute(
            sa.select(*columns).where(_identity.c.uid.in_(some))
        ):
            found[uid] = (rank, first_seen_at, uid, authority, native_id)
    return found


def _splits(conn: Connection) -> set[Pair]:
    """The pairs that a person keeps apart: the newest word on each pair counts."""
    newest: dict[Pair, str] = {}
    for row in conn.execute(sa.select(_decision).order_by(_decision.c.id)):
        newest[frozenset((row.left_uid, row.right_uid))] = row.decision
    return {pair for pair, decision in newest.items() if decision == "split"}


class _Groups:
    """Union-find over uids (path halving) that refuses a union which would bring a split pair together."""

    def __init__(self, splits: Iterable[Pair]) -> None:
        self._parent: dict[str, str] = {}
        self._apart: dict[str, set[str]] = defaultdict(set)  # root -> rows it may not hold
        self._refused: set[tuple[str, str]] = set()
        for pair in splits:
            left, right = sorted(pair)
            self._apart[left].add(right)
            self._apart[right].add(left)

    def root(self, uid: str) -> str:
        parent = self._parent
        while (above := parent.get(uid, uid)) != uid:
            parent[uid] = parent.get(above, above)
            uid = above
        return uid

    def join(self, uid: str, target: str) -> None:
        left, right = self.root(uid), self.root(target)
        if left == right:
            return
        if self._forbidden(left, right):
            self._refused.add((uid, target))
            return
        self._parent[right] = left
        if right in self._apart:
            self._apart[left] |= self._apart.pop(right)

    def joined(self, uid: str, target: str) -> bool:
        """Whether the alias of `uid` that leads to `target` was followed."""
        return (uid, target) not in self._refused

    def _forbidden(self, left: str, right: str) -> bool:
        return any(self.root(uid) == right for uid in self._apart.get(left, ())) or any(
            self.root(uid) == left for uid in self._apart.get(right, ())
        )
