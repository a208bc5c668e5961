"""What audit logs let us say of use: verdicts with their reasons, what the logs cover, who is known to them alone.

The facts hold it all (`store/facts_sql`); here it is given what it needs, and listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from wardship.analysis.calendar import BusinessPeriod, last_occurrences
from wardship.config import BusinessPeriodSettings
from wardship.ingest.telemetry.addresses import environments_of
from wardship.model.policy import Policy
from wardship.sdk.i18n import N_
from wardship.sdk.source import UNNAMED
from wardship.services.formats import Column, Row
from wardship.services.reading import Facts
from wardship.store import state
from wardship.store.facts import Logs, Period
from wardship.store.workspace import Workspace

VERDICTS = ("used", "unused", "unobserved", "insufficient")
VERDICT_COLUMNS = (
    Column(name="name", label=N_("Name")),
    Column(name="family", label=N_("What")),
    Column(name="verdict", label=N_("Verdict")),
    Column(name="reason", label=N_("Why")),
    Column(name="last_used_at", label=N_("Last used"), type="instant"),
    Column(name="needed_from_on", label=N_("Must be watched from"), type="date"),
    Column(name="covered_days", label=N_("Days watched"), type="integer"),
    Column(name="needed_days", label=N_("of"), type="integer"),
    Column(name="authority", label=N_("System")),
    Column(name="missing", label=N_("Missing")),
    Column(name="period", label=N_("Period"), screen=False),
    Column(name="granularity", label=N_("Known by"), screen=False),
    Column(name="known_since", label=N_("Known from"), type="instant", screen=False),
    Column(name="known_until_at", label=N_("Known to"), type="instant", screen=False),
    Column(name="use_source", label=N_("Sources"), screen=False),
    Column(name="subject_uid", label=N_("Id")),
    Column(name="identity_uid", label=N_("Identity id"), screen=False),
)
COVERAGE_COLUMNS = (
    Column(name="authority", label=N_("System")),
    Column(name="source", label=N_("Log")),
    Column(name="first_on", label=N_("From"), type="date"),
    Column(name="last_on", label=N_("To"), type="date"),
    Column(name="covered_days", label=N_("Days"), type="integer"),
    Column(name="hole_days", label=N_("Days missing"), type="integer"),
    Column(name="longest_hole_days", label=N_("Longest hole (days)"), type="integer"),
    Column(name="reads", label=N_("Reads"), type="boolean"),
    Column(name="data_events", label=N_("Data events"), type="boolean"),
    Column(name="parts", label=N_("Parts"), screen=False),
    Column(name="missing_parts", label=N_("Parts missing")),
    Column(name="problem", label=N_("Why not")),
)
UNMATCHED_COLUMNS = (
    Column(name="actor_name", label=N_("Name in the log")),
    Column(name="actor_id", label=N_("Id in the log")),
    Column(name="authority", label=N_("System")),
    Column(name="actor_kind", label=N_("Kind")),
    Column(name="events", label=N_("Events"), type="integer"),
    Column(name="active_days", label=N_("Active days"), type="integer"),
    Column(name="last_at", label=N_("Last seen"), type="instant"),
    Column(name="sources", label=N_("Logs")),
    Column(name="failures", label=N_("Failures"), type="integer", screen=False),
    Column(name="first_at", label=N_("First seen"), type="instant", screen=False),
)


def logs_of(ws: Workspace, policy: Policy, as_of: datetime) -> Logs:
    """What the facts of `ws` need of its audit logs."""
    periods = [_period(one) for one in ws.settings.telemetry.calendar]
    return Logs(
        state=state.current(ws.activity / "state").tables(),
        periods=[
            Period(name=one.name, process=one.process, start_on=one.start_on, end_on=one.end_on)
            for one in last_occurrences(periods, as_of.date())
        ],
        environments=environments_of(ws.path / named) if (named := ws.settings.telemetry.networks) else {},
        inactive_days=policy.inactive_days,
        hole_days=policy.log_hole_days,
    )


def _period(given: BusinessPeriodSettings) -> BusinessPeriod:
    return BusinessPeriod(
        name=given.name, first=_month_day(given.first), last=_month_day(given.last), process=given.process
    )


def _month_day(text: str | None) -> tuple[int, int] | None:
    return None if text is None else (int(text[:2]), int(text[3:]))


def verdicts(
    facts: Facts, *, verdict: str | None = None, family: str | None = None, identity_uid: str | None = None
) -> Iterator[Row]:
    """May they be called unused? Those that may first, then those of whom too little is known; longest idle first.

    Without what a provider runs for itself.
    """
    return facts.rows(
        """
        SELECT * FROM use_verdict AS v
        WHERE NOT EXISTS (SELECT 1 FROM identity AS i WHERE i.uid = v.identity_uid AND i.standing = 'provider_managed')
            AND (CAST($1 AS VARCHAR) IS NULL OR verdict = $1) AND (CAST($2 AS VARCHAR) IS NULL OR family = $2)
            AND (CAST($3 AS VARCHAR) IS NULL OR identity_uid = $3)
        ORDER BY
            list_position(['unused', 'insufficient', 'unobserved', 'used'], verdict),
            last_used_at NULLS FIRST, name, subject_uid
        """,
        [verdict, family, identity_uid],
    )


def log_coverage(facts: Facts) -> Iterator[Row]:
    """Every log of every system: its days, its holes, what it leaves out; systems with identities and no log last.

    Where no day is known, no hole is known either: that is NULL, not 0.
    """
    return facts.rows(
        """
        SELECT * REPLACE (
            CASE WHEN covered_days > 0 THEN hole_days END AS hole_days,
            CASE WHEN covered_days > 0 THEN longest_hole_days END AS longest_hole_days
        )
        FROM log_coverage
        UNION ALL BY NAME
        SELECT i.authority, 0 AS covered_days, 'no_log' AS problem
        FROM (SELECT DISTINCT authority FROM identity WHERE presence <> 'gone') AS i
        WHERE i.authority NOT IN (SELECT authority FROM log_coverage)
        ORDER BY source IS NULL, authority, source
        """
    )


def unmatched(facts: Facts) -> Iterator[Row]:
    """In the logs and not in the inventory, the busiest first. Not: people, computers, the provider's own services."""
    return facts.rows("SELECT * FROM unmatched_actor ORDER BY events DESC, authority, actor_id")


def unnamed_actors(facts: Facts) -> int:
    """How many of them are of logs that do not say whose they are: those join nothing, whoever is in the inventory."""
    found = facts.one("SELECT count(*) AS n FROM unmatched_actor WHERE contains(authority, $1)", [UNNAMED])
    return int(found["n"])


def never_seen(facts: Facts) -> Iterator[Row]:
    """The reverse: identities of which a whole log shows no use at all."""
    return facts.rows(
        """
        SELECT * FROM use_verdict
        WHERE family = 'identity' AND verdict = 'unused' AND last_used_at IS NULL
        ORDER BY authority, name, subject_uid
        """
    )
