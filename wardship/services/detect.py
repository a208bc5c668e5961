"""Asks every detection about new events, and keeps what they saw as signals and alerts.

`judge` looks at batches of events against the state as it was before them. What it found, and that these batches were
judged, is written in one transaction: killed anywhere, the next run judges them again and nothing is there twice. Late
batches are judged when they come. One process judges at a time, under a lease.

How hits are folded and scored is said in `wardship.analysis.detect`; who brings the state up to date afterwards is
`wardship.services.telemetry_refresh`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from wardship.analysis import detect
from wardship.model.alert import (
    DAY,
    QUIET,
    AlertState,
    ChangeWindow,
    Expectation,
    Hit,
    Scored,
    Signal,
    alert_uid,
)
from wardship.model.baseline import BASELINE, MATURE_DAYS
from wardship.model.errors import Conflict, DataError, Error
from wardship.model.finding import Confidence, Severity
from wardship.model.policy import Policy
from wardship.sdk.detection import RESERVED_COLUMNS, Detection, load_detection, load_detections
from wardship.sdk.i18n import _
from wardship.sdk.rule import load_own
from wardship.services import detect_tables
from wardship.store import alert_tables, leases, sql, telemetry_tables
from wardship.store.db import Database, Write
from wardship.store.engine import DuckDbEngine, Hindered
from wardship.store.leases import Lease
from wardship.store.workspace import Workspace

MAX_HITS = 50_000
"""So many hits of one detection in one run are kept; more say that the detection is wrong, and are reported as that."""
_MAX_FOLD_CHARS = 500
_LEASE = "detections"
_TTL = timedelta(minutes=30)  # longer than one step takes; a killed holder is known to be dead at once
_LOOK_S = 0.2
_CHUNK = 400  # SQLite's limit of parameters
_Value = TypeVar("_Value")

_signal, _alert, _judged = alert_tables.signal, alert_tables.alert, alert_tables.detection_batch


@dataclass(slots=True, kw_only=True)
class Judged:
    """What judging did. `opened` are new alerts, `changed` those that grew; `problems` say which detection failed."""

    batches: int = 0
    hits: int = 0
    signals: int = 0
    opened: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, other: Judged) -> None:
        """Counts another step in."""
        self.batches += other.batches
        self.hits += other.hits
        self.signals += other.signals
        self.opened += other.opened
        self.changed += [uid for uid in other.changed if uid not in self.opened and uid not in self.changed]
        self.problems += [one for one in other.problems if one not in self.problems]


@contextlib.contextmanager
def alone(db: Database, *, wait_s: float = 0.0) -> Iterator[Lease]:
    """The lease of judging events. Raises Conflict when another process keeps it for `wait_s` seconds."""
    holder, until = leases.new_holder(), time.monotonic() + wait_s
    while True:
        with db.bookkeep() as conn:
            lease = leases.take(conn, _LEASE, holder, db.clock(), _TTL)
        if lease is not None:
            break
        if time.monotonic() >= until:
            raise Conflict(
                _("another process is judging events"),
                advice=_("what was imported is kept and will be judged; run this again in a minute"),
            )
        time.sleep(_LOOK_S)
    try:
        yield lease
    finally:
        with db.bookkeep() as conn:
            leases.release(conn, lease, db.clock())


def unjudged(db: Database) -> list[int]:
    """The batches that no detection was asked about, in the order of their publication."""
    batch = telemetry_tables.telemetry_batch
    newest = sa.select(sa.func.coalesce(sa.func.max(_judged.c.batch), 0)).scalar_subquery()
    with db.read() as conn:
        return list(conn.scalars(sa.select(batch.c.id).where(batch.c.id > newest).order_by(batch.c.id)))


def skip(db: Database, batches: Sequence[int], *, actor: str) -> None:
    """Remembers these batches as judged although no detection was asked: their events only say what is usual."""
    if not batches:
        return
    with db.write(actor) as writing:
        _remember(writing, batches)
        writing.audit("events.learnt", f"batches:{min(batches)}-{max(batches)}", {"batches": len(batches)})


def _remember(writing: Write, batches: Sequence[int]) -> None:
    """That these were judged. They are taken in their order, so the newest says it of all before it."""
    writing.conn.execute(sa.delete(_judged))
    writing.conn.execute(sa.insert(_judged).values(batch=max(batches), judged_at=writing.at))


def last_judged(db: Database) -> int:
    """The newest batch that was judged; 0: none."""
    with db.read() as conn:
        return conn.scalar(sa.select(sa.func.max(_judged.c.batch))) or 0


def workspace_detections(ws: Workspace) -> tuple[list[Detection], list[str]]:
    """Our detections and those in the workspace's folder `detections`, and which files there are left out and why."""
    ours = load_detections()
    own, problems = load_own(ws.path / "detections", load_detection, {one.id for one in ours})
    return [*ours, *own], problems


def judge(
    ws: Workspace,
    batches: Sequence[int],
    *,
    actor: str,
    lease: Lease,
    detections: Sequence[Detection],
    policy: Policy,
) -> Judged:
    """Judges these batches, the first of `unjudged`, and remembers that they were. Raises Conflict when the lease was
    lost."""
    context = _Context.of(ws, policy)
    done = Judged(batches=len(batches))
    since = ws.db.clock() - timedelta(days=policy.alert_days)
    memory = f"{ws.settings.telemetry.memory_mb}MB"
    with (
        detect_tables.made(ws, batches, since=since, changes=context.changes, declared=context.declared) as tables,
        DuckDbEngine(tables, memory_limit=memory, spill=ws.tmp) as engine,
    ):
        hits = _hits(engine, detections, context, done, ws.db.clock())
        known = _Known.of(engine, hits)
    weighed = [_weighed(hit, one, context, known) for hit, one in hits]
    done.hits = len(weighed)
    with ws.db.write(actor) as writing:
        leases.hold(writing.conn, lease, writing.at, _TTL)
        _Book(known=known, policy=policy, at=writing.at, done=done).enter(writing.conn, weighed)
        _remember(writing, batches)
        writing.audit(
            "events.judged",
            f"batches:{min(batches)}-{max(batches)}",
            {
                "detections": len(detections),
                "catalogue": _digest(detections),
                "hits": done.hits,
                "signals": done.signals,
                "opened": len(done.opened),
                "changed": len(done.changed),
                "failed": len(done.problems),
            },
        )
    return done


def _digest(detections: Sequence[Detection]) -> str:
    """What was asked, to the letter."""
    said = json.dumps(sorted((one.id, one.digest) for one in detections))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


# ------------------------------------------------------------------ asking


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """What people said, and the thresholds."""

    policy: Policy
    changes: Sequence[ChangeWindow]
    expectations: Mapping[str, Sequence[Expectation]]  # by subject
    declared: Mapping[str, str]  # subject -> provisioning tool

    @classmethod
    def of(cls, ws: Workspace, policy: Policy) -> _Context:
        window, said, tool = alert_tables.change_window, alert_tables.expectation, alert_tables.provisioner
        expectations: dict[str, list[Expectation]] = defaultdict(list)
        now = ws.db.clock()
        with ws.db.read() as conn:
            changes = [
                ChangeWindow(uid=row.uid, start_at=row.start_at, end_at=row.end_at, scope=row.scope, reason=row.reason)
                for row in conn.execute(sa.select(window).where(window.c.removed_at.is_(None)))
            ]
            for row in conn.execute(sa.select(said).where(said.c.ended_at.is_(None))):
                expectations[row.subject].append(
                    Expectation(
                        uid=row.uid,
                        detection=row.detection,
                        subject=row.subject,
                        fold=row.fold,
                        until_at=row.until_at,
                        reason=row.reason,
                    )
                )
            tools = sa.select(tool.c.subject, tool.c.tool).where(tool.c.removed_at.is_(None), tool.c.until_at > now)
            declared = {row.subject: row.tool for row in conn.execute(tools)}
        return cls(policy=policy, changes=changes, expectations=expectations, declared=declared)


def _hits(
    engine: DuckDbEngine, detections: Sequence[Detection], context: _Context, done: Judged, as_of: datetime
) -> list[tuple[Hit, Detection]]:
    """What every detection answers. One that fails is told, and does not keep the others from answering.

    Raises Hindered where it is the machine that fails: nothing is judged then, and everything the next time.
    """
    found: list[tuple[Hit, Detection]] = []
    parameters = context.policy.parameters(as_of)
    for one in detections:
        mine: list[tuple[Hit, Detection]] = []
        try:
            for row in engine.query(one.compiled.sql(), one.compiled.arguments(parameters)):
                if len(mine) == MAX_HITS:
                    done.problems.append(
                        _("%(id)s: more than %(n)d hits; the rest was left out") % {"id": one.id, "n": MAX_HITS}
                    )
                    break
                mine.append((_hit(one, dict(zip(one.compiled.columns, row, strict=True))), one))
        except Hindered:
            raise
        except Error as error:
            done.problems.append(f"{one.id}: {error.message}")
            continue
        found += mine
    return found


def _hit(detection: Detection, row: Mapping[str, Any]) -> Hit:
    """A row of the answer. Raises DataError for one that says nobody, or has in a column what does not belong there."""
    authority, actor_id = row["authority"], row["actor_id"]
    if not isinstance(authority, str) or not isinstance(actor_id, str):
        raise DataError(_("a row of its answer names no actor"))

    def read(name: str, kind: Callable[[Any], _Value], otherwise: Any = None) -> _Value:
        value = row.get(name)
        try:
            return kind(otherwise if value is None else value)
        except (TypeError, ValueError, OverflowError):
            said = {"column": name, "value": repr(value)[:80]}
            raise DataError(_("a row of its answer has as %(column)s: %(value)s") % said) from None

    return Hit(
        detection=detection.id,
        version=detection.digest,
        aspect=detection.aspect,
        authority=authority,
        actor_id=actor_id,
        identity_uid=read("identity_uid", _text),
        credential_id=read("credential_id", _text),
        fold=read("fold", str, "")[:_MAX_FOLD_CHARS],
        first_at=read("first_at", _aware),
        last_at=read("last_at", _aware),
        events=read("events", int),
        severity=read("severity", Severity, detection.severity),
        confidence=read("confidence", Confidence, detection.confidence).value,
        chance=min(100.0, max(0.0, read("weight", float, detection.weight))) / 100,
        evidence=tuple(detect.references((read("evidence", _text) or "").split())),
        facts={name: _told(value) for name, value in row.items() if name not in RESERVED_COLUMNS},
    )


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value


def _aware(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _told(value: Any) -> Any:
    """A fact as JSON."""
    if isinstance(value, datetime):
        return _aware(value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


_Actor = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known of the actors that were hit, before these events."""

    names: Mapping[_Actor, str]
    baselines: Mapping[_Actor, Mapping[str, Any]]
    tools: Mapping[_Actor, str]
    criticalities: Mapping[str, str]  # by identity uid

    @classmethod
    def of(cls, engine: DuckDbEngine, hits: Sequence[tuple[Hit, Detection]]) -> _Known:
        actors = {(hit.authority, hit.actor_id) for hit, _one in hits}
        identities = {hit.identity_uid for hit, _one in hits}
        if not actors:
            return cls(names={}, baselines={}, tools={}, criticalities={})
        names = engine.query(
            "SELECT authority, actor_id, max(coalesce(identity_name, actor_name)) FROM event GROUP BY ALL", {}
        )
        columns = tuple(BASELINE)
        usual = (dict(zip(columns, row, strict=True)) for row in engine.query("SELECT * FROM actor_baseline", {}))
        tools = engine.query("SELECT authority, actor_id, max(tool) FROM provisioner GROUP BY ALL", {})
        declared = engine.query("SELECT uid, criticality FROM identity WHERE criticality IS NOT NULL", {})
        return cls(
            names={(a, i): name for a, i, name in names if (a, i) in actors and name},
            baselines={(row["authority"], row["actor_id"]): row for row in usual
                       if (row["authority"], row["actor_id"]) in actors},
            tools={(a, i): tool for a, i, tool in tools if (a, i) in actors},
            criticalities={uid: word for uid, word in declared if uid in identities},
        )  # fmt: skip


def _weighed(hit: Hit, detection: Detection, context: _Context, known: _Known) -> Hit:
    actor = (hit.authority, hit.actor_id)
    excuses: list[str] = []
    if detection.dampened:
        excuses = detect.change_excuses(hit, context.changes)
        if tool := known.tools.get(actor):
            excuses = [f"provisioner:{tool}", *excuses]
    days = None
    if detection.needs.mature_baseline:
        days = int(known.baselines.get(actor, {}).get("active_days") or 0)
    weighed = detect.weigh(
        hit, days_watched=days, days_needed=MATURE_DAYS, percent=context.policy.dampen_percent, excuses=excuses
    )
    expected = detect.expectation_of(hit, context.expectations.get(hit.subject, ()))
    return replace(weighed, actor_name=known.names.get(actor), expected_by=expected)


# ------------------------------------------------------------------ keeping


@dataclass(frozen=True, slots=True, kw_only=True)
class _Book:
    """Folds hits into the signals of their subjects, and these into alerts, within one transaction."""

    known: _Known
    policy: Policy
    at: datetime
    done: Judged

    def enter(self, conn: sa.Connection, hits: Sequence[Hit]) -> None:
        by_subject: dict[str, list[Hit]] = defaultdict(list)
        for hit in hits:
            by_subject[hit.subject].append(hit)
        subjects = sorted(by_subject)
        for start in range(0, len(subjects), _CHUNK):
            chunk = subjects[start : start + _CHUNK]
            alerts = _open_alerts(conn, chunk)
            signals = _live_signals(conn, chunk, [one["uid"] for group in alerts.values() for one in group])
            changed: list[Signal] = []
            absorbed: list[str] = []
            rows: list[dict[str, Any]] = []
            for subject in chunk:
                near = _near(signals.get(subject, ()), by_subject[subject])
                folded, gone = detect.fold(near, by_subject[subject])
                absorbed += gone
                self.done.signals += len({one.uid for one in folded} - {one.uid for one in near})
                left = [one for one in near if one.uid not in gone]
                told, placed = self._placed(subject, left, folded, alerts.get(subject, ()))
                changed += placed
                rows += told
            _put(conn, _signal, [_signal_row(one, self.at) for one in changed], keep=("recorded_at",))
            _put(conn, _alert, rows, keep=("opened_at", "baseline"))
            for place in range(0, len(absorbed), _CHUNK):
                conn.execute(sa.delete(_signal).where(_signal.c.uid.in_(absorbed[place : place + _CHUNK])))

    def _placed(
        self,
        subject: str,
        near: Sequence[Signal],
        folded: Sequence[Signal],
        open_alerts: Sequence[Mapping[str, Any]],
    ) -> tuple[list[dict[str, Any]], list[Signal]]:
        """(alerts of one subject that are new or changed, its signals that are, each with its alert)."""
        signals = {one.uid: one for one in (*near, *folded)}
        changed = {one.uid for one in folded}
        for one in folded:
            fitting = [row for row in open_alerts if _follows(row, one)]
            if one.alert_uid is None and one.expected_by is None and fitting:
                newest = max(fitting, key=lambda row: (row["last_at"], row["uid"]))
                signals[one.uid] = replace(one, alert_uid=newest["uid"])
        rows = []
        for old in open_alerts:
            mine = [one for one in signals.values() if one.alert_uid == old["uid"]]
            if changed & {one.uid for one in mine}:
                rows.append(self._row(old["uid"], subject, mine, opened_at=old["opened_at"]))
                self.done.changed.append(old["uid"])
        loose = [one for one in signals.values() if one.alert_uid is None and one.expected_by is None]
        if changed & {one.uid for one in loose} and self._scored(subject, loose).severity is not None:
            uid = alert_uid(subject, min(loose, key=lambda one: (one.first_at, one.uid)).uid)
            placed = [replace(one, alert_uid=uid) for one in loose]
            signals |= {one.uid: one for one in placed}
            changed |= {one.uid for one in placed}
            rows.append(self._row(uid, subject, placed, opened_at=self.at))
            self.done.opened.append(uid)
        return rows, [signals[uid] for uid in sorted(changed)]

    def _scored(self, subject: str, signals: Sequence[Signal]) -> Scored:
        return detect.score(signals, criticality=self.known.criticalities.get(subject), steps=self.policy.alert_percent)

    def _row(self, uid: str, subject: str, signals: Sequence[Signal], *, opened_at: datetime) -> dict[str, Any]:
        scored = self._scored(subject, signals)
        by_uid = {one.uid: one for one in signals}
        rest = sorted(set(by_uid) - set(scored.counted))
        order = list(dict.fromkeys(by_uid[one].detection for one in (*scored.counted, *rest)))
        newest = max(signals, key=lambda one: (one.last_at, one.uid))
        baseline = self.known.baselines.get((newest.authority, newest.actor_id))
        return {
            "uid": uid,
            "subject": subject,
            "authority": newest.authority,
            "actor_id": newest.actor_id,
            "actor_name": newest.actor_name,
            "identity_uid": newest.identity_uid,
            "state": AlertState.OPEN.value,
            "severity": (scored.severity or Severity.LOW).value,
            "score": scored.score,
            "criticality": self.known.criticalities.get(subject),
            "title": order[0],
            "detections": json.dumps(order),
            "signals": len(signals),
            "events": max(one.events for one in signals),  # at least: one event may be seen by several signals
            "first_at": min(one.first_at for one in signals),
            "last_at": newest.last_at,
            "baseline": json.dumps({name: _told(value) for name, value in baseline.items()}) if baseline else None,
            "opened_at": opened_at,
            "changed_at": self.at,
        }


def _follows(alert: Mapping[str, Any], one: Signal) -> bool:
    return bool(one.first_at <= alert["last_at"] + QUIET and one.last_at >= alert["first_at"] - QUIET)


def _near(signals: Sequence[Signal], hits: Sequence[Hit]) -> list[Signal]:
    """The signals that the hits may belong to: those of open alerts, and those within a day of them."""
    first, last = min(hit.first_at for hit in hits), max(hit.last_at for hit in hits)
    return [one for one in signals if one.alert_uid or (one.last_at >= first - DAY and one.first_at <= last + DAY)]


def _open_alerts(conn: sa.Connection, subjects: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    query = sa.select(_alert).where(_alert.c.subject.in_(subjects), _alert.c.state == AlertState.OPEN.value)
    for row in conn.execute(query.order_by(_alert.c.uid)):
        found[row.subject].append(dict(row._mapping))
    return found


def _live_signals(conn: sa.Connection, subjects: Sequence[str], alerts: Sequence[str]) -> dict[str, list[Signal]]:
    """The signals of these subjects that stand in no alert, or in one of these."""
    found: dict[str, list[Signal]] = defaultdict(list)
    free = sa.and_(_signal.c.subject.in_(subjects), _signal.c.alert_uid.is_(None))
    for row in conn.execute(sa.select(_signal).where(free)):
        found[row.subject].append(signal_of(row))
    for start in range(0, len(alerts), _CHUNK):
        part = alerts[start : start + _CHUNK]
        for row in conn.execute(sa.select(_signal).where(_signal.c.alert_uid.in_(part))):
            found[row.subject].append(signal_of(row))
    return found


def signal_of(row: sa.Row[Any]) -> Signal:
    """A row of the table `signal`."""
    values = {name: row._mapping[name] for name in Signal.__dataclass_fields__}
    return Signal(
        **{
            **values,
            "severity": Severity(row.severity),
            "reasons": tuple(json.loads(row.reasons)),
            "evidence": tuple(json.loads(row.evidence)),
            "facts": json.loads(row.facts),
        }
    )


def _signal_row(one: Signal, at: datetime) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in Signal.__dataclass_fields__}
    return {
        **values,
        "subject": one.subject,
        "severity": one.severity.value,
        "reasons": json.dumps(list(one.reasons)),
        "evidence": json.dumps(list(one.evidence)),
        "facts": json.dumps(dict(one.facts), sort_keys=True),
        "recorded_at": at,
        "changed_at": at,
    }


def _put(conn: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, keep: Sequence[str]) -> None:
    """Inserts the rows; of those that are there, everything but the columns of `keep` is replaced."""
    if not rows:
        return
    insert = sql.insert(conn.dialect.name, table)
    written = {name: insert.excluded[name] for name in rows[0] if name not in (*keep, "uid")}
    conn.execute(insert.on_conflict_do_update(index_elements=["uid"], set_=written), [dict(row) for row in rows])
