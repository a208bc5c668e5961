"""Findings as a person reads them: the list, and one finding with everything needed to dare to act.

What is not known is said as not known. What no analysis has looked at yet (blast radius, consumers) is "not
evaluated", which is another thing than "none".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from wardship.model.errors import ConfigError
from wardship.model.finding import Severity
from wardship.sdk.i18n import N_, _
from wardship.sdk.rule import Rule, Step, fill, fill_command, frameworks
from wardship.sdk.words import word
from wardship.services import evaluate
from wardship.store import tables
from wardship.store.db import Database

MAX_PAGE = 1_000

_REASONS = {
    evaluate.NO_LONGER_TRUE: N_("it is no longer true in the facts"),
    evaluate.SUBJECT_GONE: N_("what it was about is gone"),
    evaluate.RULE_REMOVED: N_("its rule is no longer in the catalogue"),
    evaluate.TRUE_AGAIN: N_("it is true again"),
    evaluate.NOT_READABLE: N_("a fact that it needs could not be read, so it stays open: %(what)s"),
}
_CHANGES = {
    "opened": N_("opened"),
    "changed": N_("changed"),
    "closed": N_("closed"),
    "reopened": N_("reopened"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """One line of the list. `place` continues the list after this line."""

    uid: str
    rule: str
    severity: Severity
    confidence: str
    state: str
    subject_uid: str
    subject_family: str
    identity_uid: str | None
    due_on: date | None
    first_seen_at: datetime
    last_seen_at: datetime
    facts: Mapping[str, Any]
    place: tuple[int, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact a finding rests on. `value` None: not known."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ToDo:
    """One step: what, how, its command ready to copy (None: none), and whether there is a way back."""

    text: str
    way: str
    connector: str | None
    command: str | None
    reversible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A control of a framework that the finding touches, with a short title in our words."""

    id: str
    framework: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of a finding's history."""

    at: datetime
    recorded_at: datetime
    change: str
    severity: str
    confidence: str
    reason: str | None
    snapshot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One finding, explained. Texts are in the language in force."""

    uid: str
    rule: str
    rule_version: str
    title: str
    sentence: str
    rationale: str
    severity: str
    confidence: str
    state: str
    reason: str | None
    subject_uid: str
    subject_family: str
    identity_uid: str | None
    due_on: date | None
    first_seen_at: datetime
    last_seen_at: datetime
    reopenings: int
    facts: Sequence[Fact]
    facts_source: Sequence[str]  # fact tables they come from
    facts_as_of: datetime | None  # the snapshot's instant; None: the snapshot was removed by retention
    snapshot_id: str
    would_change: Sequence[str]
    controls: Sequence[Control]
    blast_radius: str
    consumers: str
    limits: Sequence[str]
    remediation: Sequence[ToDo]
    verification: Sequence[ToDo]
    rollback: Sequence[ToDo]
    history: Sequence[Event]


def page(
    db: Database,
    *,
    limit: int = 50,
    after: tuple[int, str, str] | None = None,
    states: Sequence[str] = ("open", "reopened"),
    severity: Severity | None = None,
    rule: str | None = None,
    identity_uid: str | None = None,
) -> list[FindingRow]:
    """The next `limit` findings after `after` (the `place` of the last one seen): worst first, then the first due.

    `severity`: that one or worse. An empty `states` means every state.
    """
    table = tables.finding
    worst = sa.case({str(one): one.order for one in Severity}, value=table.c.severity, else_=9)
    due = sa.func.coalesce(sa.cast(table.c.due_on, sa.Text), "9999-12-31")
    query = sa.select(table, worst.label("worst"), due.label("due")).order_by(worst, due, table.c.uid)
    if after is not None:
        place = [sa.literal(part) for part in after]
        query = query.where(sa.tuple_(worst, due, table.c.uid) > sa.tuple_(*place))
    if states:
        query = query.where(table.c.state.in_(states))
    if severity is not None:
        query = query.where(worst <= severity.order)
    if rule is not None:
        query = query.where(table.c.rule == rule)
    if identity_uid is not None:
        query = query.where(table.c.identity_uid == identity_uid)
    with db.read() as conn:
        return [
            FindingRow(
                uid=row.uid,
                rule=row.rule,
                severity=Severity(row.severity),
                confidence=row.confidence,
                state=row.state,
                subject_uid=row.subject_uid,
                subject_family=row.subject_family,
                identity_uid=row.identity_uid,
                due_on=row.due_on,
                first_seen_at=row.first_seen_at,
                last_seen_at=row.last_seen_at,
                facts=json.loads(row.facts),
                place=(row.worst, row.due, row.uid),
            )
            for row in conn.execute(query.limit(min(limit, MAX_PAGE)))
        ]


def explain(db: Database, uid: str, rule_of: Callable[[str], Rule | None]) -> Explanation:
    """Everything about one finding. `rule_of`: the rule of an id, None where it is not here. Raises ConfigError for an
    unknown finding or rule."""
    table, version, register = tables.finding, tables.finding_version, tables.snapshot
    with db.read() as conn:
        row = conn.execute(sa.select(table).where(table.c.uid == uid)).first()
        if row is None:
            raise ConfigError(
                _("no finding is called %(uid)r") % {"uid": uid[:64]}, advice=_("see them with `wardship findings`")
            )
        events = conn.execute(
            sa.select(version).where(version.c.uid == uid).order_by(version.c.recorded_at, version.c.id)
        ).all()
        as_of = conn.scalar(sa.select(register.c.created_at).where(register.c.id == row.snapshot_id))
    rule = rule_of(row.rule)
    if rule is None:
        raise ConfigError(
            _("the rule %(rule)s of this finding is not here") % {"rule": row.rule},
            advice=_("put its file back into the rules folder of the workspace"),
        )
    facts: dict[str, Any] = json.loads(row.facts)
    connector = _connector(facts.get("authority"))
    return Explanation(
        uid=row.uid,
        rule=rule.id,
        rule_version=row.rule_version,
        title=_(rule.title),
        sentence=sentence(rule, facts),
        rationale=_(rule.rationale),
        severity=row.severity,
        confidence=row.confidence,
        state=row.state,
        reason=reason_text(row.reason),
        subject_uid=row.subject_uid,
        subject_family=row.subject_family,
        identity_uid=row.identity_uid,
        due_on=row.due_on,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        reopenings=row.reopenings,
        facts=[Fact(name=name, value=value) for name, value in facts.items()],
        facts_source=sorted(rule.compiled.tables),
        facts_as_of=as_of,
        snapshot_id=row.snapshot_id,
        would_change=[_(text) for text in rule.would_change],
        controls=_controls(rule),
        blast_radius=_("not evaluated yet"),
        consumers=_("not evaluated yet: unknown is not none"),
        limits=[_(text) for text in rule.limits],
        remediation=_steps(rule.steps(rule.remediation, connector), facts),
        verification=_steps(rule.steps(rule.verification, connector), facts),
        rollback=_steps(rule.steps(rule.rollback, connector), facts),
        history=[
            Event(
                at=event.valid_from,
                recorded_at=event.recorded_at,
                change=_(_CHANGES.get(event.change, event.change)),
                severity=event.severity,
                confidence=event.confidence,
                reason=reason_text(event.reason),
                snapshot_id=event.snapshot_id,
            )
            for event in events
        ],
    )


def reason_text(reason: str | None) -> str | None:
    """Why a finding closed, reopened or waits, in the language in force; None where there is nothing to say."""
    if reason is None:
        return None
    code, _sign, what = reason.partition(":")
    return _(_REASONS[code]) % {"what": what} if code in _REASONS else reason


def _steps(steps: Sequence[Step], facts: Mapping[str, Any]) -> list[ToDo]:
    return [
        ToDo(
            text=_(step.text),
            way=step.way.value,
            connector=step.connector,
            command=fill_command(step, facts),
            reversible=step.reversible,
        )
        for step in steps
    ]


def _controls(rule: Rule) -> list[Control]:
    known = frameworks()
    cited = [("owasp-nhi", number) for number in rule.owasp_nhi]
    cited += [(framework, number) for framework, _sign, number in (one.partition(":") for one in rule.controls)]
    return [
        Control(id=number, framework=_(known[framework].title), title=_(known[framework].controls[number]))
        for framework, number in cited
    ]


def _connector(authority: Any) -> str | None:
    """Which connector's steps apply: the first word of the authority ("aws:123456789012"), None when not known."""
    return authority.partition(":")[0] if isinstance(authority, str) else None


def sentence(rule: Rule, facts: Mapping[str, Any]) -> str:
    """The rule's sentence with the facts of one finding, its words in the language in force."""
    said = {name: _said(name, value) for name, value in facts.items()}
    return fill(_(rule.sentence), said, unknown=_("unknown"))


def _said(name: str, value: Any) -> Any:
    """A fact inside a sentence: words of our vocabularies translated, an instant as its date."""
    if not isinstance(value, str):
        return value
    if "T" in value[10:11] and value[:4].isdigit():
        return value[:10]
    return word(name, value)
