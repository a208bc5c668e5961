"""The headline numbers, each as numerator, denominator and what is not known.

Present identities only, without what a provider runs for itself: that is not the user's to own. Nothing unknown is
counted as good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from wardship.sdk import registry
from wardship.sdk.i18n import _
from wardship.services import inventory, listings
from wardship.services.formats import Row
from wardship.services.reading import Facts
from wardship.store import alert_tables, tables
from wardship.store.db import Database

_OURS = "i.presence <> 'gone' AND i.standing <> 'provider_managed'"
_STATIC = "('access_key', 'client_secret', 'console_password', 'password', 'api_key', 'token', 'ssh_key')"
_AGE_DAYS = "date_diff('day', coalesce(last_rotated_at, created_at), ?)"
_LIVE = (
    "presence <> 'gone' AND enabled IS DISTINCT FROM FALSE AND coalesce(identity_standing, 'own') <> 'provider_managed'"
)
_SEVERITIES = "critical", "high", "medium", "low", "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """Where the programme stands. Every number can be counted again from the snapshot and the findings."""

    areas: int  # scopes that were tried
    areas_complete: int
    areas_partial: int
    identities: int
    owned: int  # attested by a person who is still there
    suggested: int  # only a hint that names a living person or team
    owner_unknown: int  # a hint whose person the directory does not show as active or gone
    static_credentials: int  # that can leak: keys, secrets, passwords, tokens in use
    static_old: int  # older than a year
    static_age_unknown: int
    severities: dict[str, int]  # open findings, worst first; only those that occur
    findings_total: int
    overdue: int
    use_verdicts: dict[str, int]  # of identities: used, unused, insufficient, unobserved; {} where no log was read
    alerts: dict[str, int]  # open alerts, worst first; only severities that occur

    @property
    def use_untold(self) -> int:
        """Identities of which neither "used" nor "unused" can be said."""
        return self.use_verdicts.get("insufficient", 0) + self.use_verdicts.get("unobserved", 0)


def compute(db: Database, facts: Facts, now: datetime) -> Headline:
    """Counts the headline numbers from the newest snapshot and the findings."""
    areas = facts.one(
        "SELECT count(*) AS n, count(*) FILTER (status = 'complete') AS complete,"
        " count(*) FILTER (status = 'partial') AS partial FROM coverage"
    )
    owners = facts.one(
        "SELECT count(*) AS n,"  # noqa: S608 - our own clause
        " count(*) FILTER (owner_state = 'attested' AND owner_active) AS owned,"
        " count(*) FILTER (owner_state = 'suggested' AND owner_active) AS suggested,"
        " count(*) FILTER (owner_state IN ('attested', 'suggested') AND owner_active IS NULL) AS unknown"
        f" FROM identity AS i WHERE {_OURS}"
    )
    credentials = facts.one(
        f"SELECT count(*) AS n, count(*) FILTER (age > 365) AS old, count(*) FILTER (age IS NULL) AS unknown"  # noqa: S608 - our own clause
        f" FROM (SELECT {_AGE_DAYS} AS age FROM credential WHERE type IN {_STATIC} AND {_LIVE})",
        [now],
    )
    verdicts = facts.rows(
        "SELECT v.verdict, count(*) AS n FROM use_verdict AS v JOIN identity AS i ON i.uid = v.identity_uid"  # noqa: S608 - our own clause
        f" WHERE v.family = 'identity' AND {_OURS} AND EXISTS (SELECT 1 FROM log_coverage) GROUP BY ALL"
    )
    table, alert = tables.finding, alert_tables.alert
    is_open = table.c.state.in_(("open", "reopened"))
    with db.read() as conn:
        counted: dict[str, int] = dict(
            conn.execute(sa.select(table.c.severity, sa.func.count()).where(is_open).group_by(table.c.severity)).all()
        )
        raised: dict[str, int] = dict(
            conn.execute(
                sa.select(alert.c.severity, sa.func.count()).where(alert.c.state == "open").group_by(alert.c.severity)
            ).all()
        )
        overdue = conn.scalar(sa.select(sa.func.count()).where(is_open, table.c.due_on < now.date())) or 0
    return Headline(
        areas=areas["n"],
        areas_complete=areas["complete"],
        areas_partial=areas["partial"],
        identities=owners["n"],
        owned=owners["owned"],
        suggested=owners["suggested"],
        owner_unknown=owners["unknown"],
        static_credentials=credentials["n"],
        static_old=credentials["old"],
        static_age_unknown=credentials["unknown"],
        severities={name: counted[name] for name in _SEVERITIES if name in counted},
        findings_total=sum(counted.values()),
        overdue=overdue,
        use_verdicts={row["verdict"]: row["n"] for row in verdicts},
        alerts={name: raised[name] for name in _SEVERITIES if name in raised},
    )


def blind_spots(db: Database, plugins: Sequence[str] = ()) -> list[str]:
    """What the connected systems cannot tell, in the words of their connectors, in the language in force."""
    with db.read() as conn:
        names = sorted(set(conn.scalars(sa.select(tables.scope.c.connector).distinct())))
    known = registry.connector_names(plugins)
    return [_(spot.text) for name in names if name in known for spot in registry.manifest(name, plugins).blind_spots]


def system_kinds(facts: Facts) -> tuple[list[str], list[str], dict[tuple[str, str], int]]:
    """(systems, kinds, counts): own identities by system and kind, the larger ones first."""
    counts: dict[tuple[str, str], int] = {}
    for row in facts.rows(
        "SELECT coalesce(s.name, i.authority) AS system, i.kind, count(*) AS n FROM identity AS i"  # noqa: S608 - our own clause
        f" LEFT JOIN system AS s USING (authority) WHERE {_OURS}"
        " GROUP BY ALL"
    ):
        counts[row["system"], row["kind"]] = row["n"]

    def size(place: int, name: str) -> int:
        return sum(n for key, n in counts.items() if key[place] == name)

    systems = sorted({key[0] for key in counts}, key=lambda name: (-size(0, name), name))
    kinds = sorted({key[1] for key in counts}, key=lambda name: (-size(1, name), name))
    return systems, kinds, counts


def ages(facts: Facts, now: datetime) -> list[dict[str, Any]]:
    """Live credentials by type and age: under 90 days, under a year, older, unknown."""
    return list(
        facts.rows(
            "SELECT type, count(*) FILTER (age < 90) AS under_90,"  # noqa: S608 - our own clauses
            " count(*) FILTER (age >= 90 AND age <= 365) AS under_365,"
            " count(*) FILTER (age > 365) AS older, count(*) FILTER (age IS NULL) AS unknown"
            f" FROM (SELECT type, {_AGE_DAYS} AS age FROM credential WHERE {_LIVE})"
            " GROUP BY type ORDER BY count(*) DESC, type",
            [now],
        )
    )


def riskiest(db: Database, facts: Facts, limit: int) -> list[Row]:
    """The identities with most open findings, then those with most access."""
    table = tables.finding
    with db.read() as conn:
        most = [
            uid
            for uid, _n in conn.execute(
                sa.select(table.c.identity_uid, sa.func.count())
                .where(table.c.state.in_(("open", "reopened")), table.c.identity_uid.is_not(None))
                .group_by(table.c.identity_uid)
                .order_by(sa.func.count().desc(), table.c.identity_uid)
                .limit(limit)
            )
        ]
    chosen = inventory.Filter()
    flagged = inventory.by_uid(db, facts, most)
    rest = inventory.page(db, facts, chosen, limit=limit).rows
    known = {row["uid"] for row in flagged}
    return [*flagged, *(row for row in rest if row["uid"] not in known)][:limit]


def unread(db: Database, facts: Facts) -> list[dict[str, Any]]:
    """The areas that were not read completely, with the system's name."""
    names = {row["authority"]: row["name"] or row["authority"] for row in facts.rows("SELECT * FROM system")}
    return [
        {**row, "system": names.get(row["authority"], row["authority"])}
        for row in listings.coverage(db, unread_only=True)
    ]
