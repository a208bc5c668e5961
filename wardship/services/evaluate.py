"""Judging: the rules ask one fact snapshot, and the findings follow: opened, changed, closed, reopened.

`judge` compares what a rule finds now with what is on record, rule by rule, and writes the difference in small
transactions, each with its audit entry. Judging the same facts again writes nothing. A finding keeps its id for ever.

When a finding closes: the rule's question is answered, and this subject is no longer in the answer. It does not close
because something could not be read: the facts keep what is known, and where a fact that the rule calls essential has
become unknown, the finding stays open as tentative and says so.

One process judges a workspace at a time, under a lease: two would each compare with what the other is writing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from wardship.model.errors import ConfigError, Conflict, DataError, Unavailable
from wardship.model.facts import Snapshot
from wardship.model.finding import Confidence, FindingState, Severity, finding_uid
from wardship.model.policy import Policy
from wardship.sdk.i18n import _
from wardship.sdk.policy_file import load_policy
from wardship.sdk.rule import RESERVED_COLUMNS, Rule, load_rules
from wardship.services.rule_folders import commit_of_rule, rule_folders
from wardship.services.use import logs_of
from wardship.store import leases, tables
from wardship.store.db import Database, Write
from wardship.store.engine import DuckDbEngine, Engine, Hindered
from wardship.store.facts import write_snapshot
from wardship.store.leases import Lease
from wardship.store.workspace import Workspace

CHUNK = 2_000
WAIT_S = 120.0
_LEASE_TTL = timedelta(minutes=10)  # longer than a snapshot takes to write; a killed holder is known to be dead at once
_LOOK_S = 0.2
NO_LONGER_TRUE = "no_longer_true"
SUBJECT_GONE = "subject_gone"
RULE_REMOVED = "rule_removed"
TRUE_AGAIN = "true_again"
NOT_READABLE = "not_readable"  # followed by ":" and the fact that is no longer known

_OPEN = (FindingState.OPEN, FindingState.REOPENED, FindingState.ACCEPTED)
_FACT_TABLE = {name: name for name in ("identity", "credential", "system", "exposure", "secret")} | {
    "grant": "grant_fact"
}


@dataclass(slots=True, kw_only=True)
class Evaluation:
    """What one judging did. `open` counts the findings that are open afterwards, of the rules that were asked.

    `problems` say which rule could not be asked, and why: what it found before stays as it was.
    """

    snapshot_id: str
    problems: list[str] = field(default_factory=list)
    rules: int = 0
    opened: int = 0
    changed: int = 0
    closed: int = 0
    reopened: int = 0
    open: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One row of a rule's answer as a finding. `hash` leaves out what moves by itself; `facts` is JSON text."""

    uid: str
    subject_uid: str
    identity_uid: str | None
    severity: Severity
    confidence: Confidence
    facts: str
    hash: str
    reason: str | None = None


@dataclass(slots=True, kw_only=True)
class _Changes:
    """What is to be written for one rule."""

    new: list[_Found] = field(default_factory=list)
    again: list[_Found] = field(default_factory=list)
    changed: list[_Found] = field(default_factory=list)
    refreshed: list[_Found] = field(default_factory=list)  # only moving facts differ: no version
    closed: list[tuple[str, str]] = field(default_factory=list)  # uid, reason


def evaluate(ws: Workspace, *, actor: str, scan_seq: int, wait_s: float = WAIT_S) -> Evaluation:
    """Writes the facts of a workspace as a snapshot and judges it by our rules and those in its `rules` folder.

    Another process that is judging is waited for, at most `wait_s` seconds; then Conflict is raised.
    """
    rules, policy = workspace_rules(ws), workspace_policy(ws)
    with _alone(ws.db, wait_s) as lease:
        as_of = ws.db.clock()
        snapshot = write_snapshot(ws.db, ws.facts, as_of=as_of, scan_seq=scan_seq, logs=logs_of(ws, policy, as_of))
        with DuckDbEngine(snapshot) as engine:
            return judge(
                ws.db,
                snapshot,
                rules,
                policy,
                as_of=as_of,
                actor=actor,
                engine=engine,
                whole_catalogue=True,
                lease=lease,
            )


def again(ws: Workspace, *, actor: str) -> Evaluation:
    """Judges what is known, after somebody said something that changes it: no scan, the newest one's number."""
    with ws.db.read() as conn:
        newest = conn.scalar(sa.select(sa.func.max(tables.scan.c.seq))) or 0
    return evaluate(ws, actor=actor, scan_seq=newest)


@contextlib.contextmanager
def _alone(db: Database, wait_s: float) -> Iterator[Lease]:
    """The lease of judging, given back at the end. Raises Conflict when another process keeps it for `wait_s`."""
    holder, until = leases.new_holder(), time.monotonic() + wait_s
    while True:
        with db.bookkeep() as conn:
            lease = leases.take(conn, "evaluate", holder, db.clock(), _LEASE_TTL)
        if lease is not None:
            break
        if time.monotonic() >= until:
            raise Conflict(
                _("another process is judging this workspace"),
                advice=_("what was read is kept; run this again when the other process has ended"),
            )
        time.sleep(_LOOK_S)
    try:
        yield lease
    finally:
        with db.bookkeep() as conn:
            leases.release(conn, lease, db.clock())


def workspace_policy(ws: Workspace) -> Policy:
    """The thresholds in the workspace's policy file; the defaults where it names none. Raises ConfigError."""
    if ws.settings.policy is None:
        return Policy()
    path = ws.path / ws.settings.policy.expanduser()
    if not path.is_file():
        raise ConfigError(
            _("there is no policy file %(path)s") % {"path": path}, advice=_("correct `policy` in workspace.yaml")
        )
    return load_policy(path)


def workspace_rules(ws: Workspace) -> list[Rule]:
    """Our rules and those of the workspace's rule folders. Raises ConfigError for a bad file or an id twice."""
    rules = load_rules()
    taken = dict.fromkeys((rule.id for rule in rules), _("one of ours"))
    for folder in rule_folders(ws):
        for rule in load_rules(folder):
            if rule.id in taken:
                raise ConfigError(
                    _("rule %(rule)s of %(folder)s is there already: %(where)s")
                    % {"rule": repr(rule.id), "folder": folder, "where": taken[rule.id]},
                    advice=_("give %(file)s its own id") % {"file": f"{folder.name}/{rule.id}.yaml"},
                )
            taken[rule.id] = str(folder)
            rules.append(rule)
    return rules


def judge(
    db: Database,
    snapshot: Snapshot,
    rules: Sequence[Rule],
    policy: Policy,
    *,
    as_of: datetime,
    actor: str,
    engine: Engine,
    whole_catalogue: bool = False,
    lease: Lease | None = None,
) -> Evaluation:
    """Asks every rule of the snapshot and brings the findings up to date.

    `whole_catalogue`: findings of rules that are not among `rules` close, for their rule is gone. Memory grows with
    the findings of one rule. Killed half-way, the next judging does the rest. Nothing is written once `lease` has been
    taken over by another process (Conflict); None: the caller is alone. A rule whose question or answer is wrong costs
    only itself; where the machine fails, Unavailable is raised.
    """
    done = Evaluation(snapshot_id=snapshot.id)
    for rule in rules:
        now = _Judging(db, snapshot, rule, policy, as_of, actor, engine, lease)
        try:
            found = _ask(now)
        except Hindered:
            raise
        except (Unavailable, DataError) as error:
            done.problems.append(f"{rule.id}: {error.message}")
            continue
        _judge_one(now, found, done)
    if whole_catalogue:
        left = {rule.id for rule in rules}
        done.closed += _close_orphans(db, left, snapshot=snapshot, as_of=as_of, actor=actor, lease=lease)
    return done


@dataclass(frozen=True, slots=True)
class _Judging:
    db: Database
    snapshot: Snapshot
    rule: Rule
    policy: Policy
    as_of: datetime
    actor: str
    engine: Engine
    lease: Lease | None


def _hold(lease: Lease | None, conn: sa.Connection, at: datetime) -> None:
    """Called first in each transaction: nobody writes who was replaced."""
    if lease is not None:
        leases.hold(conn, lease, at, _LEASE_TTL)


def _judge_one(now: _Judging, found: Mapping[str, _Found], done: Evaluation) -> None:
    changes = _compare(now, found)
    commit = commit_of_rule(now.rule)
    for part in _in_chunks(changes):
        with now.db.write(now.actor) as writing:
            _hold(now.lease, writing.conn, writing.at)
            _write(now, writing, part)
            writing.audit(
                "findings.judged",
                f"rule:{now.rule.id}",
                {
                    "rule_version": now.rule.digest,
                    **({"rule_commit": commit} if commit else {}),
                    "snapshot": now.snapshot.id,
                    "opened": len(part.new),
                    "reopened": len(part.again),
                    "changed": len(part.changed),
                    "refreshed": len(part.refreshed),
                    "closed": len(part.closed),
                },
            )
    _saw(now)
    done.rules += 1
    done.opened += len(changes.new)
    done.reopened += len(changes.again)
    done.changed += len(changes.changed)
    done.closed += len(changes.closed)
    done.open += len(found)


def _ask(now: _Judging) -> dict[str, _Found]:
    """The rule's answer by finding id. Two rows of one subject become one, the worse, whatever their order."""
    query = now.rule.compiled
    rows = now.engine.query(query.sql(now.engine.dialect), query.arguments(now.policy.parameters(now.as_of)))
    found: dict[str, _Found] = {}
    for row in rows:
        one = _finding(now.rule, dict(zip(query.columns, row, strict=True)))
        other = found.get(one.uid)
        if other is None or (one.severity.order, one.facts) < (other.severity.order, other.facts):
            found[one.uid] = one
    return found


def _finding(rule: Rule, row: Mapping[str, Any]) -> _Found:
    subject = row["subject_uid"]
    if not isinstance(subject, str):
        raise DataError(_("a row of its answer names no subject"))
    try:
        severity = Severity(row.get("severity") or rule.severity)
        confidence = Confidence(row.get("confidence") or rule.confidence)
    except ValueError as error:
        raise DataError(str(error)) from None
    facts = {name: _told(value) for name, value in row.items() if name not in RESERVED_COLUMNS}
    moving = rule.compiled.moving
    lasting = {name: value for name, value in facts.items() if name not in moving}
    judged = [rule.digest, subject, row.get("identity_uid"), severity, confidence, lasting]
    return _Found(
        uid=finding_uid(rule.id, subject),
        subject_uid=subject,
        identity_uid=row.get("identity_uid"),
        severity=severity,
        confidence=confidence,
        facts=_canonical(facts),
        hash=hashlib.sha256(_canonical(judged).encode()).hexdigest(),
    )


def _told(value: Any) -> Any:
    """A fact as JSON: instants with their zone, dates as text."""
    if isinstance(value, datetime):
        return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)).isoformat()
    return value.isoformat() if isinstance(value, date) else value


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _compare(now: _Judging, found: Mapping[str, _Found]) -> _Changes:
    table, changes = tables.finding, _Changes()
    known: dict[str, tuple[str, bool, int, str]] = {}
    with now.db.read() as conn:
        rows = conn.execution_options(yield_per=CHUNK).execute(
            sa.select(table.c.uid, table.c.content_hash, table.c.state, table.c.facts, table.c.subject_uid).where(
                table.c.rule == now.rule.id
            )
        )
        for row in rows:
            known[row.uid] = (row.content_hash, row.state in _OPEN, hash(row.facts), row.subject_uid)
    for uid, one in sorted(found.items()):
        content_hash, is_open, facts, _subject = known.get(uid, ("", False, 0, ""))
        if not content_hash:
            changes.new.append(one)
        elif not is_open:
            changes.again.append(one)
        elif content_hash != one.hash:
            changes.changed.append(one)
        elif facts != hash(one.facts):
            changes.refreshed.append(one)
    missing = {row[3]: uid for uid, row in known.items() if row[1] and uid not in found}
    if missing:
        _explain_missing(now, missing, known, changes)
    return changes


def _explain_missing(
    now: _Judging, missing: dict[str, str], known: Mapping[str, tuple[str, bool, int, str]], changes: _Changes
) -> None:
    """Why findings are no longer in the answer: the subject is gone, a fact is not known now, or it is not true."""
    query, present = now.rule.compiled, _present(now, set(missing))
    unknown: dict[str, _Found] = {}
    if now.rule.essential:
        arguments = query.unfiltered_arguments(now.policy.parameters(now.as_of))
        for values in now.engine.query(query.unfiltered(now.engine.dialect), arguments):
            row = dict(zip(query.columns, values, strict=True))
            subject = row["subject_uid"]
            if subject not in missing or subject not in present:
                continue
            lost = [name for name in now.rule.essential if row[name] in (None, "unknown")]
            if lost:
                waiting = _finding(now.rule, {**row, "confidence": Confidence.TENTATIVE})
                reason = f"{NOT_READABLE}:{','.join(lost)}"
                marked = hashlib.sha256(f"{reason}\0{waiting.hash}".encode()).hexdigest()
                unknown[subject] = _Found(
                    uid=waiting.uid,
                    subject_uid=subject,
                    identity_uid=waiting.identity_uid,
                    severity=waiting.severity,
                    confidence=Confidence.TENTATIVE,
                    facts=waiting.facts,
                    hash=marked,
                    reason=reason,
                )
    for subject, uid in sorted(missing.items()):
        if subject in unknown:
            if known[uid][0] != unknown[subject].hash:
                changes.changed.append(unknown[subject])
        else:
            changes.closed.append((uid, NO_LONGER_TRUE if subject in present else SUBJECT_GONE))


def _present(now: _Judging, subjects: set[str]) -> set[str]:
    """Those of `subjects` that the snapshot has and that are not gone."""
    fact = _FACT_TABLE[now.rule.subject]
    key = "authority" if fact == "system" else "uid"
    alive = "" if fact == "system" else " WHERE presence <> 'gone'"
    quote = "`" if now.engine.dialect == "spark" else '"'
    rows = now.engine.query(f"SELECT {quote}{key}{quote} FROM {quote}{fact}{quote}{alive}", {})  # noqa: S608 - our names
    return {row[0] for row in rows} & subjects


def _in_chunks(changes: _Changes) -> Iterator[_Changes]:
    work: list[tuple[str, Any]] = [
        (kind, item) for kind in ("new", "again", "changed", "refreshed", "closed") for item in getattr(changes, kind)
    ]
    for batch in _batched(work):
        part = _Changes()
        for kind, item in batch:
            getattr(part, kind).append(item)
        yield part


def _batched(work: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(work), CHUNK):
        yield work[start : start + CHUNK]


def _write(now: _Judging, writing: Write, part: _Changes) -> None:
    table, conn, at = tables.finding, writing.conn, now.as_of
    versions: list[dict[str, Any]] = []
    if part.new:
        rows = [
            {
                **_columns(now, one, at),
                "uid": one.uid,
                "state": FindingState.OPEN,
                "first_seen_at": at,
                "opened_at": at,
                "closed_at": None,
                "reopenings": 0,
                "last_seen_at": at,
            }
            for one in part.new
        ]
        conn.execute(table.insert(), rows)
        versions += [_version(row, "opened", at, writing.at) for row in rows]
    known = _rows(
        conn, [one.uid for one in (*part.again, *part.changed, *part.refreshed)] + [u for u, _ in part.closed]
    )
    for one in part.again:
        row = known[one.uid] | _columns(now, one, at)
        row |= {
            "state": FindingState.REOPENED,
            "reason": TRUE_AGAIN,
            "opened_at": at,
            "closed_at": None,
            "reopenings": row["reopenings"] + 1,
            "last_seen_at": at,
        }
        versions.append(_version(row, "reopened", at, writing.at))
        known[one.uid] = row
    for one in part.changed:
        known[one.uid] |= _columns(now, one, known[one.uid]["opened_at"])
        versions.append(_version(known[one.uid], "changed", at, writing.at))
    for one in part.refreshed:
        known[one.uid] |= {"facts": one.facts, "snapshot_id": now.snapshot.id}
    for uid, reason in part.closed:
        known[uid] |= {"state": FindingState.CLOSED, "reason": reason, "closed_at": at, "snapshot_id": now.snapshot.id}
        versions.append(_version(known[uid], "closed", at, writing.at))
    if known:
        _update(conn, list(known.values()))
    if versions:
        conn.execute(tables.finding_version.insert(), versions)


def _columns(now: _Judging, one: _Found, opened_at: datetime) -> dict[str, Any]:
    return {
        "rule": now.rule.id,
        "rule_version": now.rule.digest,
        "subject_uid": one.subject_uid,
        "subject_family": now.rule.subject,
        "identity_uid": one.identity_uid,
        "severity": one.severity,
        "confidence": one.confidence,
        "facts": one.facts,
        "due_on": now.policy.due_on(one.severity, opened_at),
        "reason": one.reason,
        "content_hash": one.hash,
        "snapshot_id": now.snapshot.id,
    }


def _version(row: Mapping[str, Any], change: str, valid_from: datetime, recorded_at: datetime) -> dict[str, Any]:
    kept = {column.name for column in tables.finding_version.c} - {"id", "change", "valid_from", "recorded_at"}
    return {
        **{name: row[name] for name in kept},
        "change": change,
        "valid_from": valid_from,
        "recorded_at": recorded_at,
    }


def _rows(conn: sa.Connection, uids: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for batch in _batched(uids):
        for row in conn.execute(sa.select(tables.finding).where(tables.finding.c.uid.in_(batch))):
            found[row.uid] = dict(row._mapping)
    return found


def _update(conn: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    table = tables.finding
    values: dict[str, Any] = {
        column.name: sa.bindparam(f"new_{column.name}") for column in table.c if column.name != "uid"
    }
    conn.execute(
        table.update().where(table.c.uid == sa.bindparam("this_uid")).values(values),
        [{"this_uid": row["uid"], **{f"new_{name}": row[name] for name in values}} for row in rows],
    )


def _saw(now: _Judging) -> None:
    """Open findings were true at `as_of`: noted in one statement, and no act of anybody."""
    table = tables.finding
    with now.db.bookkeep() as conn:
        _hold(now.lease, conn, now.db.clock())
        conn.execute(
            table.update()
            .where(
                table.c.rule == now.rule.id,
                table.c.state.in_(_OPEN),
                table.c.last_seen_at < now.as_of,
                sa.or_(table.c.reason.is_(None), ~table.c.reason.startswith(NOT_READABLE)),
            )
            .values(last_seen_at=now.as_of)
        )


def _close_orphans(
    db: Database, rules: set[str], *, snapshot: Snapshot, as_of: datetime, actor: str, lease: Lease | None
) -> int:
    """Closes the findings of rules that are no longer in the catalogue; returns how many."""
    table = tables.finding
    orphaned = sa.select(table.c.uid).where(table.c.state.in_(_OPEN), table.c.rule.not_in(sorted(rules)))
    with db.read() as conn:
        left = sorted(conn.scalars(orphaned))
    for batch in _batched(left):
        with db.write(actor) as writing:
            _hold(lease, writing.conn, writing.at)
            rows = list(_rows(writing.conn, batch).values())
            for row in rows:
                row |= {"state": FindingState.CLOSED, "reason": RULE_REMOVED, "closed_at": as_of}
                row["snapshot_id"] = snapshot.id
            _update(writing.conn, rows)
            versions = [_version(row, "closed", as_of, writing.at) for row in rows]
            writing.conn.execute(tables.finding_version.insert(), versions)
            writing.audit("findings.judged", "rule:removed", {"snapshot": snapshot.id, "closed": len(rows)})
    return len(left)
