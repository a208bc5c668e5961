"""Alerts as people read and decide them: the lists, one alert with everything needed to dare to act, and what is said
about it: expected until a date, closed, a change that was announced.

What is not known is said as not known. Who writes signals and alerts is `wardship.services.detect`; how their score
comes about is said in docs/alerts.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from wardship.model.activity import ACTIVITY
from wardship.model.alert import AlertState, ChangeWindow
from wardship.model.errors import ConfigError
from wardship.model.identity import uid_of
from wardship.model.policy import Policy
from wardship.sdk.i18n import N_, _
from wardship.sdk.titles import DETECTIONS, titles_in
from wardship.services.formats import Column, Listing, Row
from wardship.services.reading import Facts
from wardship.services.usage import Subject
from wardship.store import alert_tables, telemetry
from wardship.store.db import Database
from wardship.store.engine import read_table
from wardship.store.workspace import Workspace

COLUMNS = (
    Column(name="severity", label=N_("Severity")),
    Column(name="title", label=N_("What happened")),
    Column(name="subject", label=N_("Who")),
    Column(name="score", label=N_("Score"), type="integer"),
    Column(name="owner_name", label=N_("Owner")),
    Column(name="owner_state", label=N_("Owner is")),
    Column(name="criticality", label=N_("Criticality")),
    Column(name="signals", label=N_("Signals"), type="integer"),
    Column(name="events", label=N_("Events"), type="integer"),
    Column(name="last_at", label=N_("Last"), type="instant"),
    Column(name="state", label=N_("State")),
    Column(name="uid", label=N_("Id")),
    Column(name="first_at", label=N_("First"), type="instant", screen=False),
    Column(name="system", label=N_("System"), screen=False),
    Column(name="business_process", label=N_("Business process"), screen=False),
    Column(name="identity_uid", label=N_("Identity id"), screen=False),
    Column(name="authority", label=N_("Authority"), screen=False),
    Column(name="actor_id", label=N_("Actor"), screen=False),
    Column(name="detections", label=N_("Detections"), type="json", screen=False),
    Column(name="opened_at", label=N_("Opened"), type="instant", screen=False),
    Column(name="changed_at", label=N_("Changed"), type="instant", screen=False),
    Column(name="until_at", label=N_("Expected until"), type="instant", screen=False),
    Column(name="reason", label=N_("Reason"), screen=False),
    Column(name="decided_by", label=N_("Decided by"), screen=False),
)
SIGNAL_COLUMNS = (
    Column(name="severity", label=N_("Severity")),
    Column(name="title", label=N_("What happened")),
    Column(name="subject", label=N_("Who")),
    Column(name="fold", label=N_("The same when")),
    Column(name="events", label=N_("Events"), type="integer"),
    Column(name="chance", label=N_("Counts"), type="number"),
    Column(name="last_at", label=N_("Last"), type="instant"),
    Column(name="alert_uid", label=N_("Alert")),
    Column(name="uid", label=N_("Id")),
    Column(name="detection", label=N_("Detection"), screen=False),
    Column(name="version", label=N_("Version"), screen=False),
    Column(name="confidence", label=N_("Confidence"), screen=False),
    Column(name="hits", label=N_("Hits"), type="integer", screen=False),
    Column(name="first_at", label=N_("First"), type="instant", screen=False),
    Column(name="identity_uid", label=N_("Identity id"), screen=False),
    Column(name="authority", label=N_("Authority"), screen=False),
    Column(name="actor_id", label=N_("Actor"), screen=False),
    Column(name="credential_id", label=N_("Credential"), screen=False),
    Column(name="reasons", label=N_("Reasons"), type="json", screen=False),
    Column(name="expected_by", label=N_("Expected by"), screen=False),
    Column(name="evidence", label=N_("Evidence"), type="json", screen=False),
    Column(name="facts", label=N_("Facts"), type="json", screen=False),
)
WINDOW_COLUMNS = (
    Column(name="start_at", label=N_("From"), type="instant", whole=True),
    Column(name="end_at", label=N_("Until"), type="instant", whole=True),
    Column(name="uid", label=N_("Id")),
    Column(name="scope", label=N_("Scope")),
    Column(name="reason", label=N_("Reason")),
    Column(name="said_by", label=N_("Said by")),
)
TOOL_COLUMNS = (
    Column(name="subject", label=N_("Who")),
    Column(name="tool", label=N_("Tool")),
    Column(name="until_at", label=N_("Until"), type="instant"),
    Column(name="said_by", label=N_("Said by")),
    Column(name="uid", label=N_("Id")),
)

_JSON = ("detections", "reasons", "evidence", "facts")
_alert, _signal = alert_tables.alert, alert_tables.signal
_ORDER = sa.case({"critical": 0, "high": 1, "medium": 2, "low": 3}, value=_alert.c.severity, else_=9)


# ------------------------------------------------------------------ lists


def rows(
    ws: Workspace,
    facts: Facts,
    *,
    state: str | None = AlertState.OPEN.value,
    subjects: Sequence[str] | None = None,
) -> Iterator[Row]:
    """Alerts, the worst and newest first. `state` None: all. `subjects` (see `subjects_of`) None: of anybody."""
    query = sa.select(_alert).order_by(_ORDER, _alert.c.score.desc(), _alert.c.last_at.desc(), _alert.c.uid)
    if state is not None:
        query = query.where(_alert.c.state == state)
    if subjects is not None:
        query = query.where(_alert.c.subject.in_(subjects))
    for found, known in _named(ws, facts, query, "title"):
        yield {
            **found,
            "system": known.get("system") or found["authority"],
            "owner_name": known.get("owner_name"),
            "owner_state": known.get("owner_state"),
            "business_process": known.get("business_process"),
            "criticality": found["criticality"] or known.get("criticality"),
        }


def signals(
    ws: Workspace, facts: Facts, *, alert: str | None = None, subjects: Sequence[str] | None = None
) -> Iterator[Row]:
    """Signals, the newest first: those of an alert, of some subjects, or all."""
    query = sa.select(_signal).order_by(_signal.c.last_at.desc(), _signal.c.chance.desc(), _signal.c.uid)
    if alert is not None:
        query = query.where(_signal.c.alert_uid == alert)
    if subjects is not None:
        query = query.where(_signal.c.subject.in_(subjects))
    return (found for found, _known in _named(ws, facts, query, "detection"))


def subjects_of(subject: Subject) -> list[str]:
    """Under which names its signals and alerts stand: the identity's uid, and what it is called in the logs."""
    named = [subject.identity_uid] if subject.identity_uid else []
    return [*named, *(f"{authority} {actor}" for authority, actor in subject.actors)]


def _plain(row: sa.Row[Any]) -> dict[str, Any]:
    found = dict(row._mapping)
    for name in _JSON:
        if isinstance(found.get(name), str):
            found[name] = json.loads(found[name])
    return found


def _named(ws: Workspace, facts: Facts, query: sa.Select[Any], detection: str) -> Iterator[tuple[Row, Row]]:
    """The rows of `query` with `title` (of the detection that the column `detection` names) and `subject`, each with
    what is known of its identity."""
    titles = {name: _(title) for name, title in titles_in(DETECTIONS, ws.path / "detections").items()}
    with ws.db.read() as conn:
        people = _people(conn, facts, query)
        for row in conn.execution_options(yield_per=1_000).execute(query):
            found = _plain(row)
            known = people.get(found["identity_uid"], {})
            found["title"] = titles.get(found[detection], found[detection])
            found["subject"] = known.get("name") or found["actor_name"] or found["actor_id"]
            yield found, known


def _people(conn: sa.Connection, facts: Facts, query: sa.Select[Any]) -> Mapping[str | None, Row]:
    """What lists say of the identities that the rows of `query` are about, by uid: one question for all of them."""
    chosen = query.order_by(None).subquery()
    uids = list(conn.scalars(sa.select(chosen.c.identity_uid).where(chosen.c.identity_uid.is_not(None)).distinct()))
    found = facts.rows(
        "SELECT i.uid, coalesce(i.name, i.native_id) AS name, i.owner_name, i.owner_state, i.business_process,"
        " i.criticality,"
        " coalesce(s.name, i.authority) AS system FROM identity AS i LEFT JOIN system AS s USING (authority)"
        " WHERE i.uid IN (SELECT unnest(?))",
        [uids],
    )
    return {row["uid"]: row for row in found} if uids else {}


EXPORTS = ("alerts", "signals", "activity")


def exported(ws: Workspace, facts: Facts, thing: str, *, about: Mapping[str, str]) -> Listing:
    """The listing of one of EXPORTS, whole: alerts and signals of every state, every event of the lake."""
    if thing == "alerts":
        return Listing(name=thing, columns=COLUMNS, rows=rows(ws, facts, state=None), about=about)
    if thing == "signals":
        return Listing(name=thing, columns=SIGNAL_COLUMNS, rows=signals(ws, facts), about=about)
    columns = [Column(name=name, label=name, type=_TYPES.get(kind, "text")) for name, kind in ACTIVITY.items()]
    return Listing(name="activity", columns=columns, rows=_activity(ws), about=about)


_TYPES = {"TIMESTAMP": "instant", "BOOLEAN": "boolean", "INTEGER": "integer", "BIGINT": "integer"}


def _activity(ws: Workspace) -> Iterator[Row]:
    """Every event, file by file, so that memory does not grow with them."""
    for file in telemetry.live_files(ws.db):
        for values in read_table(ws.activity / file.path, tuple(ACTIVITY)):
            row = dict(zip(ACTIVITY, values, strict=True))
            yield {**row, "time": row["time"].replace(tzinfo=UTC)}


# ------------------------------------------------------------------ decisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """An alert after a decision: its new state, and how many expectations the decision made or ended."""

    uid: str
    state: str
    expectations: int = 0


def expect(
    ws: Workspace, uid: str, *, actor: str, until: date, reason: str, policy: Policy, fold: str | None = None
) -> Decided:
    """Somebody's word that what this alert is about is expected until the end of that day (UTC).

    One expectation for each of its signals: detection, who, and fold; `fold` (with * for any text) takes the place of
    theirs. Raises ConfigError for an unknown alert, an end that has passed or is further away than the policy allows.
    """
    end = datetime.combine(until, time.max, tzinfo=UTC)
    with ws.db.write(actor) as writing:
        found = _alert_row(writing.conn, uid)
        _check_end(end, writing.at, policy.expected_max_days)
        said = _reason(reason)
        mine = writing.conn.execute(sa.select(_signal).where(_signal.c.alert_uid == uid)).all()
        made = {(row.detection, fold if fold is not None else row.fold) for row in mine}
        for detection, pattern in sorted(made):
            key = f"{uid}\0{detection}\0{pattern}\0{writing.at.isoformat()}"
            writing.conn.execute(
                sa.insert(alert_tables.expectation).values(
                    uid=uid_of("known", found.subject, key),
                    alert_uid=uid,
                    detection=detection,
                    subject=found.subject,
                    fold=pattern,
                    until_at=end,
                    reason=said,
                    said_by=actor,
                    recorded_at=writing.at,
                )
            )
        _decide(writing.conn, uid, AlertState.EXPECTED, writing.at, actor, reason=said, until_at=end)
        writing.audit(
            "alert.expected", f"alert:{uid}", {"until": until.isoformat(), "expectations": len(made), "reason": said}
        )
    return Decided(uid=uid, state=AlertState.EXPECTED.value, expectations=len(made))


def unexpect(ws: Workspace, uid: str, *, actor: str, reason: str) -> Decided:
    """Takes the word back: its expectations end now, and the alert is open again. Raises ConfigError."""
    table = alert_tables.expectation
    with ws.db.write(actor) as writing:
        found = _alert_row(writing.conn, uid)
        if found.state != AlertState.EXPECTED.value:
            raise ConfigError(
                _("alert %(uid)s is not marked as expected") % {"uid": uid},
                advice=_("see its state with `wardship alerts show %(uid)s`") % {"uid": uid},
            )
        said = _reason(reason)
        mine = sa.and_(table.c.alert_uid == uid, table.c.ended_at.is_(None))
        ended = writing.conn.execute(sa.update(table).where(mine).values(ended_at=writing.at)).rowcount
        _decide(writing.conn, uid, AlertState.OPEN, writing.at, actor, reason=said, until_at=None)
        writing.audit("alert.unexpected", f"alert:{uid}", {"expectations": ended, "reason": said})
    return Decided(uid=uid, state=AlertState.OPEN.value, expectations=ended)


def close(ws: Workspace, uid: str, *, actor: str, reason: str) -> Decided:
    """Somebody has looked into it. The same again would be a new alert. Raises ConfigError for an unknown alert, and
    for one that is closed: what was decided stays."""
    with ws.db.write(actor) as writing:
        row = _alert_row(writing.conn, uid)
        if row.state == AlertState.CLOSED.value:
            raise ConfigError(
                _("this alert is closed already, by %(who)s: %(why)s") % {"who": row.decided_by, "why": row.reason},
                advice=_("what happens again becomes a new alert; `wardship alerts reopen` takes the decision back"),
            )
        said = _reason(reason)
        _decide(writing.conn, uid, AlertState.CLOSED, writing.at, actor, reason=said, until_at=None)
        writing.audit("alert.closed", f"alert:{uid}", {"reason": said})
    return Decided(uid=uid, state=AlertState.CLOSED.value)


def reopen(ws: Workspace, uid: str, *, actor: str, reason: str) -> Decided:
    """Takes back that an alert was closed. Raises ConfigError for one that is not."""
    with ws.db.write(actor) as writing:
        if _alert_row(writing.conn, uid).state != AlertState.CLOSED.value:
            raise ConfigError(
                _("alert %(uid)s is not closed") % {"uid": uid},
                advice=_("see its state with `wardship alerts show %(uid)s`") % {"uid": uid},
            )
        said = _reason(reason)
        _decide(writing.conn, uid, AlertState.OPEN, writing.at, actor, reason=said, until_at=None)
        writing.audit("alert.reopened", f"alert:{uid}", {"reason": said})
    return Decided(uid=uid, state=AlertState.OPEN.value)


def _decide(
    conn: sa.Connection,
    uid: str,
    state: AlertState,
    at: datetime,
    actor: str,
    *,
    reason: str,
    until_at: datetime | None,
) -> None:
    conn.execute(
        sa.update(_alert)
        .where(_alert.c.uid == uid)
        .values(state=state.value, changed_at=at, until_at=until_at, reason=reason, decided_by=actor)
    )


def _alert_row(conn: sa.Connection, uid: str) -> sa.Row[Any]:
    found = conn.execute(sa.select(_alert).where(_alert.c.uid == uid)).first()
    if found is None:
        raise ConfigError(
            _("no alert is called %(uid)r") % {"uid": uid[:64]}, advice=_("see them with `wardship alerts list`")
        )
    return found


def alert(db: Database, uid: str) -> Row:
    """One alert. Raises ConfigError for an unknown one."""
    with db.read() as conn:
        return _plain(_alert_row(conn, uid))


def _reason(text: str) -> str:
    said = text.strip()
    if not said:
        raise ConfigError(_("a decision needs a reason"), advice=_("say in a sentence why, for whoever reads it later"))
    return said[:1_000]


def _check_end(end: datetime, now: datetime, most_days: int) -> None:
    if end <= now:
        raise ConfigError(_("%(day)s has passed") % {"day": end.date()}, advice=_("give a day that is still to come"))
    if end > now + timedelta(days=most_days + 1):
        raise ConfigError(
            _("%(day)s is more than %(n)d days away") % {"day": end.date(), "n": most_days},
            advice=_("nothing is expected for ever: give an earlier day, or raise the limit in the policy"),
        )


# ------------------------------------------------------------------ announced changes, provisioning tools


def add_window(
    ws: Workspace, *, actor: str, start: datetime, end: datetime, scope: str, reason: str, policy: Policy
) -> ChangeWindow:
    """Announces a change. Raises ConfigError without a reason or scope, and for an end too early or too far away."""
    table = alert_tables.change_window
    with ws.db.write(actor) as writing:
        if end <= start:
            raise ConfigError(_("the change ends before it begins"), advice=_("give --from and --until in this order"))
        where = scope.strip()
        if not where:
            raise ConfigError(
                _("a change without a scope"), advice=_("name a system, an identity or an actor; * is everything")
            )
        if end > writing.at + timedelta(days=policy.expected_max_days + 1):
            _check_end(end, writing.at, policy.expected_max_days)
        made = ChangeWindow(
            uid=uid_of("window", where, f"{start.isoformat()}\0{end.isoformat()}\0{writing.at.isoformat()}"),
            start_at=start,
            end_at=end,
            scope=where,
            reason=_reason(reason),
        )
        values = {name: getattr(made, name) for name in ChangeWindow.__dataclass_fields__}
        writing.conn.execute(sa.insert(table).values(**values, said_by=actor, recorded_at=writing.at))
        told = {"scope": where, "start": start.isoformat(), "end": end.isoformat(), "reason": made.reason}
        writing.audit("change_window.added", f"change_window:{made.uid}", told)
    return made


def windows(db: Database, *, since: datetime | None = None) -> list[Row]:
    """The announced changes that end at `since` or later (None: all), the latest first."""
    table = alert_tables.change_window
    chosen = sa.select(table).where(table.c.removed_at.is_(None)).order_by(table.c.start_at.desc(), table.c.uid)
    if since is not None:
        chosen = chosen.where(table.c.end_at >= since)
    with db.read() as conn:
        return [dict(row._mapping) for row in conn.execute(chosen)]


def remove_window(ws: Workspace, uid: str, *, actor: str) -> None:
    """Takes an announcement back, for what is judged from now on. Raises ConfigError for an unknown one."""
    _remove(ws, alert_tables.change_window, uid, actor, "change_window")


def add_tool(ws: Workspace, *, actor: str, subject: str, tool: str, until: date, policy: Policy) -> str:
    """Declares an identity (its uid, or authority and actor id) to be a provisioning tool until the end of that day.

    Returns the id of the declaration. Raises ConfigError.
    """
    end = datetime.combine(until, time.max, tzinfo=UTC)
    with ws.db.write(actor) as writing:
        _check_end(end, writing.at, policy.owner_term_days)
        uid = uid_of("provisioner", subject, writing.at.isoformat())
        said = _reason(tool)
        values = {"uid": uid, "subject": subject, "tool": said, "until_at": end}
        writing.conn.execute(
            sa.insert(alert_tables.provisioner).values(**values, said_by=actor, recorded_at=writing.at)
        )
        told = {"subject": subject, "tool": said, "until": until.isoformat()}
        writing.audit("provisioner.declared", f"provisioner:{uid}", told)
    return uid


def tools(db: Database) -> list[Row]:
    """The declared provisioning tools."""
    table = alert_tables.provisioner
    with db.read() as conn:
        found = conn.execute(sa.select(table).where(table.c.removed_at.is_(None)).order_by(table.c.subject))
        return [dict(row._mapping) for row in found]


def remove_tool(ws: Workspace, uid: str, *, actor: str) -> None:
    """Takes a declaration back. Raises ConfigError for an unknown one."""
    _remove(ws, alert_tables.provisioner, uid, actor, "provisioner")


def _remove(ws: Workspace, table: sa.Table, uid: str, actor: str, kind: str) -> None:
    with ws.db.write(actor) as writing:
        mine = sa.and_(table.c.uid == uid, table.c.removed_at.is_(None))
        if not writing.conn.execute(sa.update(table).where(mine).values(removed_at=writing.at)).rowcount:
            raise ConfigError(
                _("nothing is called %(uid)r here") % {"uid": uid[:64]}, advice=_("take the id that the list shows")
            )
        writing.audit(f"{kind}.removed", f"{kind}:{uid}", {})
