"""The lists that can be shown and exported, each with its columns: one row there is one row in every format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from wardship.model.errors import ConfigError
from wardship.model.facts import FACTS
from wardship.sdk.i18n import N_, _
from wardship.sdk.titles import RULES, titles_in
from wardship.services import inventory
from wardship.services.formats import Column, Listing, Row
from wardship.services.reading import Facts
from wardship.store import history, tables
from wardship.store.db import Database

_TYPES = {
    "TIMESTAMP": "instant",
    "DATE": "date",
    "BOOLEAN": "boolean",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "DOUBLE": "number",
}
_JSON = ("attributes", "condition")

FINDING_COLUMNS = (
    Column(name="severity", label=N_("Severity")),
    Column(name="title", label=N_("Finding")),
    Column(name="subject", label=N_("Subject")),
    Column(name="system", label=N_("System")),
    Column(name="state", label=N_("State")),
    Column(name="confidence", label=N_("Confidence")),
    Column(name="due_on", label=N_("Due"), type="date"),
    Column(name="first_seen_at", label=N_("First seen"), type="instant", screen=False),
    Column(name="last_seen_at", label=N_("Last seen"), type="instant", screen=False),
    Column(name="uid", label=N_("Id")),
    Column(name="rule", label=N_("Rule"), screen=False),
    Column(name="rule_version", label=N_("Rule version"), screen=False),
    Column(name="subject_uid", label=N_("Subject id"), screen=False),
    Column(name="subject_family", label=N_("Subject family"), screen=False),
    Column(name="identity_uid", label=N_("Identity id"), screen=False),
    Column(name="reason", label=N_("Reason"), screen=False),
    Column(name="snapshot_id", label=N_("Snapshot"), screen=False),
    Column(name="facts", label=N_("Facts"), type="json", screen=False),
)
COVERAGE_COLUMNS = (
    Column(name="authority", label=N_("System")),
    Column(name="kind", label=N_("What")),
    Column(name="region", label=N_("Region")),
    Column(name="status", label=N_("State")),
    Column(name="items", label=N_("Items"), type="integer"),
    Column(name="missing_permission", label=N_("Permission needed")),
    Column(name="detail", label=N_("Why")),
    Column(name="complete_at", label=N_("Last read completely"), type="instant"),
    Column(name="finished_at", label=N_("Last read"), type="instant", screen=False),
    Column(name="held", label=N_("Waits for a person")),
    Column(name="scope", label=N_("Scope"), screen=False),
)
CHANGE_COLUMNS = (
    Column(name="recorded_at", label=N_("When"), type="instant"),
    Column(name="family", label=N_("Thing")),
    Column(name="change", label=N_("Change")),
    Column(name="name", label=N_("Name")),
    Column(name="authority", label=N_("System")),
    Column(name="fields", label=N_("Before and after"), type="json", screen=False),
    Column(name="uid", label=N_("Id")),
    Column(name="valid_from", label=N_("True from"), type="instant", screen=False),
    Column(name="scan_id", label=N_("Scan"), screen=False),
)
EXPORTED_FACTS = {
    "systems": "system",
    "credentials": "credential",
    "grants": "grant_fact",
    "owners": "owner",
    "parts": "identity_part",
    "exposures": "exposure",
    "secrets": "secret",
    "dependencies": "dependency",
    "use-verdicts": "use_verdict",
    "used-permissions": "used_permission",
    "log-coverage": "log_coverage",
    "unmatched-actors": "unmatched_actor",
}
EXPORTS = ("identities", *EXPORTED_FACTS, "findings", "coverage")
_NAMED = {  # what a subject without an identity is called
    "credential": "SELECT coalesce(name, public_id, native_id) AS name, authority FROM credential WHERE uid = ?",
    "exposure": "SELECT concat_ws(' ', detector, location) AS name, authority FROM exposure WHERE uid = ?",
    "secret": (
        "SELECT coalesce(name, concat_ws(' ', detector, uid)) AS name, coalesce(detector, type) AS authority"
        " FROM secret WHERE uid = ?"
    ),
}
_SEVERITY_ORDER = "critical", "high", "medium", "low", "info"


def about(facts: Facts, actor: str, now: datetime, chosen: str = "") -> dict[str, str]:
    """Who took the list, when, of which snapshot, with which filter."""
    return {
        "who": actor,
        "when": now.isoformat(),
        "filter": chosen or "-",
        "snapshot": facts.snapshot_id or "-",
        "as of": facts.snapshot.as_of.isoformat() if facts.snapshot else "-",
    }


def record_export(db: Database, actor: str, listing: Listing, *, form: str, rows: int | None) -> None:
    """Records in the audit log who took which rows (threat T24: the inventory itself is worth stealing).

    `rows` None: the writing ended before the last one, and nobody knows how many were taken.
    """
    with db.write(actor) as writing:
        writing.audit(
            "list.exported",
            f"list:{listing.name}",
            {"format": form, "rows": rows, "filter": listing.about["filter"], "snapshot": listing.about["snapshot"]},
        )


def listing_of(
    db: Database, facts: Facts, thing: str, *, chosen: inventory.Filter, about: Mapping[str, str]
) -> Listing:
    """The listing of one of EXPORTS. The filter holds for identities only."""
    if thing == "identities":
        return Listing(name=thing, columns=inventory.COLUMNS, rows=inventory.everything(db, facts, chosen), about=about)
    if thing == "findings":
        return Listing(name=thing, columns=FINDING_COLUMNS, rows=findings(db, facts, every=True), about=about)
    if thing == "coverage":
        return Listing(name=thing, columns=COVERAGE_COLUMNS, rows=coverage(db), about=about)
    table = EXPORTED_FACTS[thing]
    columns = fact_columns(thing)
    key = next(iter(FACTS[table]))
    return Listing(
        name=thing,
        columns=columns,
        rows=_with_json(facts.rows(f'SELECT * FROM "{table}" ORDER BY {key}')),  # noqa: S608 - a fact table's own name
        about=about,
    )


def fact_columns(thing: str) -> list[Column]:
    """The columns of one of EXPORTED_FACTS: those of its fact table."""
    return [
        Column(name=name, label=name, type="json" if name in _JSON else _TYPES.get(kind, "text"))
        for name, kind in FACTS[EXPORTED_FACTS[thing]].items()
    ]


def _with_json(rows: Iterator[dict[str, Any]]) -> Iterator[Row]:
    """JSON text becomes what it says, so that it is not text inside JSON."""
    for row in rows:
        for name in _JSON:
            text = row.get(name)
            if isinstance(text, str):
                try:
                    row[name] = json.loads(text)
                except ValueError:
                    row[name] = text
        yield row


def findings(
    db: Database,
    facts: Facts,
    *,
    severity: str | None = None,
    rule: str | None = None,
    state: str | None = None,
    identity_uid: str | None = None,
    every: bool = False,
) -> Iterator[Row]:
    """Findings, worst and oldest first. `severity`: that one or worse. Without `every` or `state`, the open ones."""
    table = tables.finding
    query = sa.select(table)
    if state:
        query = query.where(table.c.state == state)
    elif not every:
        query = query.where(table.c.state.in_(("open", "reopened")))
    if severity:
        query = query.where(table.c.severity.in_(_SEVERITY_ORDER[: _SEVERITY_ORDER.index(severity) + 1]))
    if rule:
        query = query.where(table.c.rule == rule)
    if identity_uid:
        query = query.where(table.c.identity_uid == identity_uid)
    worst = sa.case({name: place for place, name in enumerate(_SEVERITY_ORDER)}, value=table.c.severity, else_=9)
    names = Names(facts)
    titles = {rule: _(title) for rule, title in titles_in(RULES, *facts.rule_folders).items()}
    with db.read() as conn:
        for row in conn.execution_options(yield_per=1_000).execute(
            query.order_by(worst, table.c.due_on, table.c.rule, table.c.uid)
        ):
            found = dict(row._mapping)
            name, system = names.of(found["subject_family"], found["subject_uid"], found["identity_uid"])
            yield {
                **found,
                "title": titles.get(found["rule"], found["rule"]),
                "subject": name,
                "system": system,
                "facts": json.loads(found["facts"]),
            }


def varied(rows: Iterable[Row], *, of_each_rule: int, limit: int) -> list[Row]:
    """The first `limit` findings with at most so many of each rule: a list of one rule alone tells little."""
    kept: list[Row] = []
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["rule"]] = counts.get(row["rule"], 0) + 1
        if counts[row["rule"]] <= of_each_rule:
            kept.append(row)
        if len(kept) == limit:
            break
    return kept


class Names:
    """Names of the subjects of findings, each looked up once."""

    def __init__(self, facts: Facts) -> None:
        systems = {row["authority"]: row["name"] or row["authority"] for row in facts.rows("SELECT * FROM system")}
        self._systems = systems
        self._facts = facts
        self._identities: dict[str, tuple[str, str]] = {}
        self._loaded = False

    def of(self, family: str, uid: str, identity_uid: str | None) -> tuple[str, str]:
        """(name, system) of a finding's subject; the uid where nothing has a name."""
        if family == "system":
            return self._systems.get(uid, uid), self._systems.get(uid, uid)
        if not self._loaded:
            self._loaded = True
            for row in self._facts.rows("SELECT uid, coalesce(name, native_id) AS name, authority FROM identity"):
                self._identities[row["uid"]] = (row["name"], self._systems.get(row["authority"], row["authority"]))
        if identity_uid and identity_uid in self._identities:
            return self._identities[identity_uid]
        if named := _NAMED.get(family):
            found = next(self._facts.rows(named, [uid]), None)
            if found:
                return found["name"], self._systems.get(found["authority"], found["authority"])
        return uid, "-"


def coverage(db: Database, *, unread_only: bool = False) -> Iterator[Row]:
    """The newest word on every area, from the database itself (a snapshot may be older)."""
    table = tables.scope
    query = sa.select(table).order_by(table.c.connector, table.c.authority, table.c.kind, table.c.region)
    if unread_only:
        query = query.where(sa.or_(table.c.status != "complete", table.c.held.is_not(None)))
    with db.read() as conn:
        rows = conn.execute(query).all()
    for row in rows:
        problems = json.loads(row.problems)
        yield {
            "scope": row.key,
            "connector": row.connector,
            "authority": row.authority,
            "region": row.region or None,
            "kind": row.kind,
            "status": row.status,
            "items": row.items,
            "missing_permission": ", ".join(sorted({p["permission"] for p in problems if p.get("permission")})) or None,
            "detail": problems[0]["detail"] if problems else None,
            "complete_at": row.complete_at,
            "finished_at": row.finished_at,
            "held": row.held,
        }


def changes(db: Database, since: datetime, until: datetime | None = None) -> Iterator[Row]:
    """What appeared, changed, went or came back since an instant, by when it was written down; findings last."""
    for change in history.changes(db, since=since, until=until):
        name = {"grant": "permission", "owner": "claim"}.get(change.family, "name")
        yield {
            "recorded_at": change.recorded_at,
            "family": change.family,
            "change": change.change,
            "name": change.row.get(name) or change.row.get("native_id"),
            "authority": change.row["authority"],
            "fields": {field: list(values) for field, values in change.fields.items()},
            "uid": change.uid,
            "valid_from": change.valid_from,
            "scan_id": change.scan_id,
        }
    table = tables.finding_version
    query = sa.select(table).where(table.c.recorded_at > since).order_by(table.c.id)
    with db.read() as conn:
        for row in conn.execution_options(yield_per=1_000).execute(
            query.where(table.c.recorded_at <= until) if until else query
        ):
            yield {
                "recorded_at": row.recorded_at,
                "family": "finding",
                "change": row.change,
                "name": row.rule,
                "authority": None,
                "fields": {"state": [None, row.state], "severity": [None, row.severity]},
                "uid": row.uid,
                "valid_from": row.valid_from,
                "scan_id": None,
            }


def since_day(text: str, now: datetime) -> datetime:
    """The instant that `text` names: a date, an instant, or an age such as `7d`. Raises ConfigError for others."""
    units = {"h": "hours", "d": "days", "w": "weeks"}
    try:
        if text[-1:] in units and text[:-1].isdigit():
            return now - timedelta(**{units[text[-1]]: int(text[:-1])})
        instant = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ConfigError(
            _("%(text)r is no date") % {"text": text[:64]}, advice=_("write 2026-11-01, or an age: 12h, 7d, 4w")
        ) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
