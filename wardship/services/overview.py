"""Gathers the data of the HTML overview and writes the page into the workspace."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from wardship import __version__
from wardship.reports import overview as page
from wardship.sdk.i18n import _
from wardship.services import alerts, evaluate, findings, headline, inventory, listings
from wardship.services.reading import Facts
from wardship.store.workspace import Workspace

FILE = "overview.html"
_TOP_FINDINGS = 15
_OF_EACH_RULE = 3
_TOP_ALERTS = 10
_INVENTORY_ROWS = 200
_MOST_KINDS = 8


def write(ws: Workspace, facts: Facts, plugins: Sequence[str] = ()) -> Path:
    """Writes the overview of the newest snapshot and returns the file: one page that needs nothing else."""
    target = ws.exports / FILE
    beside = target.with_suffix(".part")
    beside.write_text(page.render(gather(ws, facts, plugins)), encoding="utf-8", errors="replace")
    beside.replace(target)
    return target


def gather(ws: Workspace, facts: Facts, plugins: Sequence[str] = ()) -> page.Overview:
    """Everything the page says, counted now."""
    now = ws.db.clock()
    numbers = headline.compute(ws.db, facts, now)
    systems, kinds, matrix = headline.system_kinds(facts)
    return page.Overview(
        workspace=ws.path.name,
        as_of=facts.snapshot.as_of if facts.snapshot else now,
        snapshot_id=facts.snapshot_id,
        version=__version__,
        figures=_figures(numbers),
        severities=numbers.severities,
        findings=_top(ws, facts, now),
        findings_total=numbers.findings_total,
        alert_severities=numbers.alerts if numbers.alerts or numbers.use_verdicts else None,
        alerts=[
            page.TopAlert(**{name: row[name] for name in page.TopAlert.__slots__})
            for row in itertools.islice(alerts.rows(ws, facts), _TOP_ALERTS)
        ],
        unread=[
            page.Unread(
                system=row["system"],
                kind=f"{row['kind']} {row['region']}" if row["region"] else row["kind"],
                status=row["status"],
                reason=row["held"] or row["detail"] or "",
                permission=row["missing_permission"],
                complete_at=row["complete_at"],
            )
            for row in headline.unread(ws.db, facts)
        ],
        systems=systems,
        kinds=kinds[:_MOST_KINDS],
        matrix=matrix,
        ages=[page.AgeRow(**row) for row in headline.ages(facts, now)],
        inventory=[
            page.InventoryRow(
                **{name: row[name] for name in page.InventoryRow.__slots__ if name != "name"},
                name=row["name"] or row["native_id"],
            )
            for row in headline.riskiest(ws.db, facts, _INVENTORY_ROWS)
        ],
        inventory_total=inventory.count(facts, inventory.Filter()),
        blind_spots=headline.blind_spots(ws.db, plugins),
    )


def _figures(numbers: headline.Headline) -> list[page.Figure]:
    figures = [
        page.Figure(
            label=_("Areas read completely"),
            numerator=numbers.areas_complete,
            denominator=numbers.areas,
            unknown=numbers.areas - numbers.areas_complete,
            unknown_label=_("not read or only in part"),
        ),
        page.Figure(
            label=_("Identities with an attested owner"),
            numerator=numbers.owned,
            denominator=numbers.identities,
            unknown=numbers.owner_unknown,
            unknown_label=_("with a claim on a person whose state is unknown"),
            note=_("%(n)s more have a hint that names a living person or team") % {"n": numbers.suggested},
        ),
        page.Figure(
            label=_("Static credentials older than a year"),
            numerator=numbers.static_old,
            denominator=numbers.static_credentials,
            unknown=numbers.static_age_unknown,
            unknown_label=_("of unknown age"),
        ),
        page.Figure(
            label=_("Open findings past their date"),
            numerator=numbers.overdue,
            denominator=numbers.findings_total,
        ),
    ]
    if numbers.use_verdicts:
        figures.append(
            page.Figure(
                label=_("Identities without use"),
                numerator=numbers.use_verdicts.get("unused", 0),
                denominator=sum(numbers.use_verdicts.values()),
                unknown=numbers.use_untold,
                unknown_label=_("of which too little is known to say"),
            )
        )
    return figures


def _top(ws: Workspace, facts: Facts, now: datetime) -> list[page.TopFinding]:
    rules = {rule.id: rule for rule in evaluate.workspace_rules(ws)}
    found: list[page.TopFinding] = []
    for row in listings.varied(listings.findings(ws.db, facts), of_each_rule=_OF_EACH_RULE, limit=_TOP_FINDINGS):
        rule = rules.get(row["rule"])
        found.append(
            page.TopFinding(
                uid=row["uid"],
                severity=row["severity"],
                confidence=row["confidence"],
                title=row["title"],
                subject=row["subject"],
                system=row["system"],
                why=findings.sentence(rule, row["facts"]) if rule else "",
                next_step=_(rule.remediation[0].text) if rule else "",
                due_on=row["due_on"],
                overdue=row["due_on"] is not None and row["due_on"] < now.date(),
            )
        )
    return found
