"""The state of use as SQL: made from events, merged, and asked what is usual for an actor and what is not.

Everything here is text in DuckDB's dialect; who runs it, and where tables lie, is the caller's affair (`store.state`,
`services.usage`). The deltas (`delta`, `merge`) use only what every engine has, so that they run where the logs
already are (`store.engine.in_dialect`). The questions to the state run in DuckDB, beside which it always lies.

The laws of the state, which `merge` keeps and tests/analysis/test_baseline.py holds it to: for any split of the events
into batches, in any order, merging their deltas gives what one delta of all events gives.
"""
# ruff: noqa: S608 - queries are put together from our own names; what users say is a parameter

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from wardship.model.activity import ActivityClass
from wardship.model.baseline import (
    APPENDED,
    BASELINE,
    MATURE_DAYS,
    MERGED,
    MOST_ACTIONS,
    MOST_KEYS,
    PEER_ACTION,
    SCORE,
    STATE,
)
from wardship.sdk import registry
from wardship.sdk.source import DEFAULT_PARTS

WINDOW_DAYS = 90
MEMORY_DAYS = 400
"""Figures are of the last WINDOW_DAYS; of an actor with fewer than MATURE_DAYS active ones among them (a weekly or
monthly one), of the last MEMORY_DAYS, which also say what its gaps and its rhythm are."""

USUAL_HOUR = 0.25 / 168
"""Share of an actor's use from which an hour of the week is usual: a quarter of what it had if all were equal."""

FEW_PEERS = 0.1
"""Share of the peers: what fewer do is unlike them."""

_LEAST_PEERS = 3
_MAIN_SERVICE = 0.05  # share of its events from which a service says what an actor is

# ------------------------------------------------------------------ who acted, and how things are called

AUTHORITY = "coalesce(actor_authority, source || ':' || coalesce(account, ''))"
ACTOR_ID = "coalesce(actor_id, actor_name)"
"""Who an activity is counted for; NULL: nobody, the log names no one."""

HOUR_OF_WEEK = "date_diff('day', DATE '1999-12-27', CAST(time AS DATE)) % 7 * 24 + extract(hour FROM time)"
"""0 = Monday 00:00 to 00:59 UTC. 1999-12-27 was a Monday, before all events: engines number weekdays differently."""

CREDENTIAL = "CASE WHEN credential_id LIKE 'ASIA%' THEN NULL ELSE credential_id END"
"""Without the temporary keys of AWS, of which every hour brings a new one: the session says whose they are."""


def agent_of(column: str) -> str:
    """The family of the user agent in `column`: a browser's name, else the first product without version."""
    return f"""CASE
    WHEN {column} IS NULL THEN NULL
    WHEN {column} LIKE '%Terraform/%' THEN 'Terraform'
    WHEN {column} NOT LIKE 'Mozilla/%'
        THEN substr(trim(regexp_replace(replace({column}, '[', ''), '[/(;,].*$', '')), 1, 80)
    WHEN {column} LIKE '%PowerShell/%' THEN 'PowerShell'
    WHEN {column} LIKE '%Edg/%' THEN 'Edge'
    WHEN {column} LIKE '%Firefox/%' THEN 'Firefox'
    WHEN {column} LIKE '%Chrome/%' THEN 'Chrome'
    WHEN {column} LIKE '%Safari/%' THEN 'Safari'
    ELSE 'Mozilla' END"""


def session_of(column: str) -> str:
    """The session name in `column` with each number and hexadecimal id as #: what sessions of one kind share."""
    return f"substr(regexp_replace({column}, '[0-9a-fA-F]*[0-9][0-9a-fA-F]*', '#', 'g'), 1, 80)"


def resource_of(column: str) -> str:
    """The container of what was acted upon: an S3 object's bucket, an Azure resource without its children,
    `projects/p/topics/t`, `owner/repository`, the first two steps of any other path; other ARNs as they stand."""
    return f"""substr(CASE
    WHEN {column} LIKE 'arn:%:::%' THEN regexp_extract({column}, '^[^/]*', 0)
    WHEN {column} LIKE 'arn:%' THEN {column}
    WHEN {column} LIKE '/subscriptions/%' THEN regexp_extract({column}, '^(?:/[^/]*){{1,8}}', 0)
    WHEN {column} LIKE 'projects/%' THEN regexp_extract({column}, '^[^/]*(?:/[^/]*){{0,3}}', 0)
    ELSE regexp_extract({column}, '^[^/]*(?:/[^/]*)?', 0) END, 1, 300)"""


_NAMED = f"{ACTOR_ID} IS NOT NULL"
_TABLES: Mapping[str, tuple[Mapping[str, str], str]] = {  # table -> (its key as it stands in the events, which events)
    "actor_day": ({"source": "source", "day": "CAST(time AS DATE)"}, _NAMED),
    "actor_hour": ({"quarter": "CAST(date_trunc('quarter', time) AS DATE)", "hour_of_week": HOUR_OF_WEEK}, _NAMED),
    "actor_action": (
        {"source": "source", "credential_id": CREDENTIAL, "service": "service", "operation": "operation"},
        _NAMED,
    ),
    "actor_resource": (
        {"service": "service", "operation": "operation", "resource": "resource_id"},
        f"{_NAMED} AND resource_id IS NOT NULL",
    ),
    "actor_network": (
        {"credential_id": CREDENTIAL, "src_network": "src_network", "src_asn": "src_asn", "src_country": "src_country"},
        f"{_NAMED} AND (src_network IS NOT NULL OR src_asn IS NOT NULL OR src_country IS NOT NULL)",
    ),
    "actor_agent": ({"credential_id": CREDENTIAL, "agent": "user_agent"}, f"{_NAMED} AND user_agent IS NOT NULL"),
    "actor_session": ({"credential_id": CREDENTIAL, "session": "session"}, f"{_NAMED} AND session IS NOT NULL"),
    "actor_consumer": (
        {
            "source": "source",
            "credential_id": CREDENTIAL,
            "src_network": "src_network",
            "src_country": "src_country",
            "agent": "user_agent",
            "session": "session",
        },
        _NAMED,
    ),
    "client_use": (
        {
            "authority": "'entra:' || account || ':appid'",
            "actor_id": "json_extract_string(detail, '$.app_id')",
            "source": "source",
        },
        "source = 'entra.signin' AND actor_kind = 'user' AND account IS NOT NULL",
    ),
    "log_day": (
        {"source": "source", "account": "account", "region": "region", "day": "CAST(time AS DATE)"},
        "TRUE",
    ),
}
# Texts that are shortened after equal ones were counted together: there are few different ones, and many events.
_SHORTENED = {"resource": resource_of, "agent": agent_of, "session": session_of}
_COUNTED = {
    "actor_kind": "max(actor_kind)",
    "actor_name": "max(actor_name)",
    "events": "count(*)",
    "failures": "sum(CASE WHEN outcome = 'failure' THEN 1 ELSE 0 END)",
    "mutating": "sum(CASE WHEN mutating THEN 1 ELSE 0 END)",
    "interactive": "sum(CASE WHEN interactive THEN 1 ELSE 0 END)",
    "reads": "sum(CASE WHEN mutating OR mutating IS NULL THEN 0 ELSE 1 END)",
    "data_events": f"sum(CASE WHEN class_uid = {ActivityClass.DATASTORE_ACTIVITY:d} THEN 1 ELSE 0 END)",
    "first_at": "min(time)",
    "last_at": "max(time)",
    "used_at": "max(CASE WHEN outcome = 'failure' THEN NULL ELSE time END)",
}
_READ = "time, outcome, class_uid, mutating, interactive, actor_kind, actor_name"


def log_part() -> str:
    """The part of its log that an event is of, as the manifests of the sources say (`sdk.source.parts_of`)."""
    ways = []
    for name in registry.source_names():
        manifest = registry.source(name).MANIFEST
        if manifest.parts:
            cases = " ".join(f"WHEN {one.events} THEN '{one.name}'" for one in manifest.parts)
            ways.append(f"WHEN source = '{manifest.name}' THEN CASE {cases} END")
    default = " ".join(f"WHEN {one.events} THEN '{one.name}'" for one in DEFAULT_PARTS)
    return f"CASE {' '.join(ways)} {default} END"


# ------------------------------------------------------------------ making and merging


def keys(table: str) -> list[str]:
    """The key columns of a table of the state."""
    return [name for name in STATE[table] if name not in MERGED]


def delta(table: str, *, events: str = "activity", where: str = "TRUE") -> str:
    """SELECT of the rows of `table` that events make: the columns of STATE[table], one row a key.

    `events` has the columns of ACTIVITY; `where` is SQL that says which of them.
    """
    expressions, wanted = _TABLES[table]
    if table == "log_day":
        expressions = {**expressions, "part": log_part()}
    else:
        expressions = {"authority": AUTHORITY, "actor_id": ACTOR_ID, **expressions}
    named = ", ".join(f"{expression} AS {name}" for name, expression in expressions.items())
    counted = ", ".join(f"{_COUNTED[name]} AS {name}" for name in STATE[table] if name in MERGED)
    key = ", ".join(expressions)
    # Two projections, so that no engine takes a name for the column that is made beside it.
    rows = (
        f"SELECT {key}, {counted} FROM"
        f" (SELECT {named}, {_READ} FROM (SELECT * FROM {events} WHERE {wanted} AND ({where})) AS chosen) AS named"
        f" GROUP BY {key}"
    )
    if not _SHORTENED.keys() & expressions.keys():
        return f"SELECT {_typed(table)} FROM ({rows}) AS counted"
    short = ", ".join(f"{_SHORTENED[c](c)} AS {c}" if c in _SHORTENED else c for c in STATE[table])
    return _grouped(table, f"SELECT {short} FROM ({rows}) AS long")


def merge(table: str, rows: str, *, most: int = MOST_KEYS) -> str:
    """SELECT of `rows` (SQL that gives columns of STATE[table], keys several times) with each key once.

    In a table that is not APPENDED an actor keeps at most `most` keys (ten times as many in actor_action): those with
    the least hash, which are the same in whatever order they came.
    """
    merged = _grouped(table, rows)
    if table in APPENDED:
        return merged
    limit = most * 10 if table == "actor_action" else most
    columns = ", ".join(f"m.{name}" for name in STATE[table])
    key = " || '|' || ".join(f"coalesce(CAST(m.{name} AS VARCHAR), '~')" for name in keys(table))
    return (
        f"WITH merged AS ({merged}),"
        f" large AS (SELECT authority, actor_id FROM merged GROUP BY authority, actor_id HAVING count(*) > {limit}),"
        f" placed AS (SELECT {columns}, row_number() OVER (PARTITION BY m.authority, m.actor_id ORDER BY md5({key}))"
        " AS place FROM merged AS m JOIN large AS l ON m.authority = l.authority AND m.actor_id = l.actor_id)"
        f" SELECT {columns} FROM merged AS m LEFT JOIN large AS l"
        " ON m.authority = l.authority AND m.actor_id = l.actor_id WHERE l.actor_id IS NULL"
        f" UNION ALL SELECT {columns} FROM placed AS m WHERE m.place <= {limit}"
    )


# ------------------------------------------------------------------ what is usual


def actor_baseline(as_of: datetime, *, window_days: int = WINDOW_DAYS, hours_of: str | None = None) -> str:
    """SELECT of BASELINE from the tables of STATE: every actor as it looked when the day of `as_of` (UTC) began.

    `hours_of` is a table with (authority, actor_id) of those whose hours are asked for, which are half of the work; of
    others `hours` and `off_hours_share` are NULL. None: everybody's.

    Days from then on are left out. Hours are of the last quarter with use and the one before it, whole: what the state
    holds of the running one counts.
    An hour's share is half its own events and a quarter of each neighbour's. Who has been watched for w weeks has been
    seen only w times in each, so 1 / (1 + w * w) of that share is the mean of the same hour of all working days, or of
    both weekend days.
    """
    today = _day(as_of)
    asked = f"(SELECT * FROM actor_hour SEMI JOIN {hours_of} USING (authority, actor_id))" if hours_of else "actor_hour"
    return _cast(
        BASELINE,
        f"""
WITH of_day AS (
    SELECT authority, actor_id, day, sum(events) AS events, sum(failures) AS failures, sum(mutating) AS mutating,
        sum(interactive) AS interactive
    FROM actor_day WHERE day >= {today} - {MEMORY_DAYS} AND day < {today}
    GROUP BY authority, actor_id, day
), known AS (
    SELECT authority, actor_id, max(actor_kind) AS actor_kind, max(actor_name) AS actor_name,
        min(first_at) AS first_at, max(last_at) AS last_at
    FROM actor_day WHERE day < {today} GROUP BY authority, actor_id
), gap AS (
    SELECT authority, actor_id, list_max(gaps) AS longest, list_median(gaps) AS usual FROM (
        SELECT authority, actor_id, list_transform(range(2, len(days) + 1), lambda i: days[i] - days[i - 1]) AS gaps
        FROM (SELECT authority, actor_id, list_sort(list(day)) AS days FROM of_day GROUP BY authority, actor_id))
), span AS (
    SELECT authority, actor_id, count(*) AS active_days,
        CASE WHEN count(*) FILTER (WHERE day >= {today} - {window_days}) >= {MATURE_DAYS} THEN {today} - {window_days}
            ELSE {today} - {MEMORY_DAYS} END AS start,
        max(events) FILTER (WHERE day BETWEEN {today} - 372 AND {today} - 358) AS year_ago_events
    FROM of_day GROUP BY authority, actor_id
), volume AS (
    SELECT authority, actor_id, sum(events) AS events, sum(failures) AS failures, sum(mutating) AS mutating,
        sum(interactive) AS interactive, median(events) AS median_events, mad(events) AS mad_events,
        max(events) AS most_events, count(*) FILTER (WHERE {_weekend("day")}) AS weekend_days,
        median(events) FILTER (WHERE {_weekend("day")}) AS weekend_events,
        sum(events) FILTER (WHERE {_weekend("day")}) AS at_weekends,
        count(*) FILTER (WHERE {_month_end("day")}) AS month_end_days,
        median(events) FILTER (WHERE {_month_end("day")}) AS month_end_events,
        count(*) AS days, date_diff('day', min(day), max(day)) + 1 AS of_days
    FROM of_day JOIN span USING (authority, actor_id) WHERE day >= start GROUP BY authority, actor_id
), newest AS (
    SELECT authority, actor_id, max(quarter) AS quarter FROM actor_hour WHERE quarter <= {today}
    GROUP BY authority, actor_id
), counted AS (
    SELECT h.authority, h.actor_id, hour_of_week, CAST(sum(events) AS DOUBLE) AS events
    FROM {asked} AS h JOIN newest AS n ON h.authority = n.authority AND h.actor_id = n.actor_id
        AND h.quarter BETWEEN n.quarter - INTERVAL 3 MONTH AND n.quarter
    GROUP BY h.authority, h.actor_id, hour_of_week
), week AS (
    SELECT authority, actor_id, list_sum(counts) AS total, list_transform(range(168), lambda i:
        coalesce(counts[list_position(hours, i)], 0)) AS own
    FROM (SELECT authority, actor_id, list(hour_of_week) AS hours, list(events) AS counts FROM counted
        GROUP BY authority, actor_id)
), smooth AS (
    SELECT authority, actor_id, total, own, list_transform(range(168), lambda i:
        (own[(i + 167) % 168 + 1] + 2 * own[i + 1] + own[(i + 1) % 168 + 1]) / 4) AS near FROM week
), pooled AS (
    SELECT authority, actor_id, total, own, near, list_transform(range(48), lambda i: CASE WHEN i < 24
        THEN (near[i + 1] + near[i + 25] + near[i + 49] + near[i + 73] + near[i + 97]) / 5
        ELSE (near[i + 97] + near[i + 121]) / 2 END) AS pool FROM smooth
), share AS (
    SELECT authority, actor_id, total, own, 1 / (1 + power(of_days / 7, 2)) AS w, list_transform(range(168), lambda i:
        ((1 - w) * near[i + 1] + w * pool[i % 24 + CASE WHEN i < 120 THEN 1 ELSE 25 END]) / total) AS shares
    FROM pooled JOIN volume USING (authority, actor_id)
), habit AS (
    SELECT authority, actor_id, list_aggregate(list_transform(shares, lambda x: CASE WHEN x < {USUAL_HOUR} THEN '0'
            ELSE substr('1123456789', CAST(round(9 * x / most) AS INTEGER) + 1, 1) END), 'string_agg', '') AS hours,
        list_sum(list_transform(range(1, 169), lambda i: CASE WHEN shares[i] < {USUAL_HOUR} THEN own[i] ELSE 0 END))
            / total AS off_hours_share
    FROM (SELECT *, list_max(shares) AS most FROM share)
), action AS (
    SELECT authority, actor_id, count(DISTINCT service) AS services,
        count(DISTINCT service || ' ' || operation) AS actions
    FROM actor_action WHERE first_at < {today} GROUP BY authority, actor_id
), network AS (
    SELECT authority, actor_id, count(DISTINCT src_network) AS networks, count(DISTINCT src_asn) AS asns,
        count(DISTINCT src_country) AS countries, count(*) >= {MOST_KEYS} AS capped
    FROM actor_network WHERE first_at < {today} GROUP BY authority, actor_id
), agent AS (
    SELECT authority, actor_id, count(DISTINCT agent) AS agents, count(*) >= {MOST_KEYS} AS capped
    FROM actor_agent WHERE first_at < {today} GROUP BY authority, actor_id
), full_action AS (
    SELECT authority, actor_id FROM actor_action GROUP BY authority, actor_id HAVING count(*) >= {MOST_ACTIONS}
), one AS (
    SELECT k.*, s.active_days, s.active_days >= {MATURE_DAYS} AS mature,
        v.events, v.failures, v.mutating, v.interactive,
        v.median_events, v.mad_events, v.most_events, s.year_ago_events, v.at_weekends, v.days, v.of_days,
        CASE WHEN v.weekend_days >= 4 THEN v.weekend_events END AS weekend_events,
        CASE WHEN v.month_end_days >= 4 THEN v.month_end_events END AS month_end_events,
        h.hours, h.off_hours_share, g.longest AS longest_gap_days, g.usual AS usual_gap_days,
        v.weekend_days, a.services, a.actions, n.networks, n.asns, n.countries, t.agents,
        coalesce(n.capped, FALSE) OR coalesce(t.capped, FALSE) OR f.actor_id IS NOT NULL AS capped
    FROM known AS k LEFT JOIN span AS s USING (authority, actor_id) LEFT JOIN volume AS v USING (authority, actor_id)
    LEFT JOIN gap AS g USING (authority, actor_id) LEFT JOIN habit AS h USING (authority, actor_id)
    LEFT JOIN action AS a USING (authority, actor_id) LEFT JOIN network AS n USING (authority, actor_id)
    LEFT JOIN agent AS t USING (authority, actor_id) LEFT JOIN full_action AS f USING (authority, actor_id)
), {_peers(today)}
SELECT o.* EXCLUDE (active_days, mature),
    coalesce(o.active_days, 0) AS active_days, coalesce(o.mature, FALSE) AS mature,
    o.failures / o.events AS failure_rate, o.mutating / o.events AS mutating_share,
    o.interactive / o.events AS interactive_share, coalesce(o.at_weekends, 0) / o.events AS weekend_share,
    CASE WHEN NOT coalesce(o.mature, FALSE) THEN NULL
        WHEN o.usual_gap_days = 1 AND o.days >= 0.5 * o.of_days AND o.weekend_days <= 0.1 * o.days THEN 'weekdays'
        WHEN o.usual_gap_days = 1 AND o.days >= 0.5 * o.of_days THEN 'daily'
        WHEN o.usual_gap_days BETWEEN 6 AND 8 THEN 'weekly'
        WHEN o.usual_gap_days BETWEEN 26 AND 32 THEN 'monthly'
        ELSE 'bursty' END AS rhythm,
    p.peers, p.peer_actors
FROM one AS o LEFT JOIN peer AS p USING (authority, actor_id)
""",
    )


def _peers(today: str) -> str:
    """CTEs that end with `peer` (authority, actor_id, peers, peer_actors), from `one`.

    Mature actors of one kind with the same main services are peers, from three of them on. All others are counted to
    the group that does most of what they do, if it does at least half.
    """
    return f"""served AS (
    SELECT authority, actor_id, service, sum(events) AS events FROM actor_action WHERE first_at < {today}
    GROUP BY authority, actor_id, service
), main AS (
    SELECT authority, actor_id, string_agg(service, ',' ORDER BY service) AS services FROM (
        SELECT *, sum(events) OVER (PARTITION BY authority, actor_id) AS every FROM served)
    WHERE events >= {_MAIN_SERVICE} * every GROUP BY authority, actor_id
), alike AS (
    SELECT o.authority, o.actor_id, coalesce(o.actor_kind, 'unknown') || ':' || substr(md5(m.services), 1, 12) AS peers
    FROM one AS o JOIN main AS m USING (authority, actor_id) WHERE o.mature
), crowd AS (
    SELECT peers, count(*) AS members FROM alike GROUP BY peers HAVING count(*) >= {_LEAST_PEERS}
), done AS (
    SELECT DISTINCT authority, actor_id, service, operation FROM actor_action WHERE first_at < {today}
), typical AS (
    SELECT peers, members, service, operation FROM alike JOIN crowd USING (peers) JOIN done USING (authority, actor_id)
    GROUP BY peers, members, service, operation HAVING count(*) >= 0.5 * members
), single AS (
    SELECT authority, actor_id FROM one
    WHERE (authority, actor_id) NOT IN (SELECT (authority, actor_id) FROM alike JOIN crowd USING (peers))
), nearest AS (
    SELECT authority, actor_id, arg_max(peers, (shared, members, peers)) AS peers, max(shared) AS shared FROM (
        SELECT d.authority, d.actor_id, t.peers, t.members, count(*) AS shared FROM single JOIN done AS d
        USING (authority, actor_id) JOIN typical AS t USING (service, operation) GROUP BY ALL)
    GROUP BY authority, actor_id
), member AS (
    SELECT authority, actor_id, peers FROM alike JOIN crowd USING (peers)
    UNION ALL SELECT n.authority, n.actor_id, n.peers FROM nearest AS n JOIN action AS a USING (authority, actor_id)
    WHERE n.shared >= 0.5 * a.actions
), peer AS (
    SELECT authority, actor_id, peers, count(*) OVER (PARTITION BY peers) AS peer_actors FROM member
)"""


def peer_action(as_of: datetime) -> str:
    """SELECT of PEER_ACTION from `actor_baseline` and the state: what the mature actors of each group do."""
    return _cast(
        PEER_ACTION,
        f"""
WITH member AS (SELECT authority, actor_id, peers FROM actor_baseline WHERE mature AND peers IS NOT NULL),
crowd AS (SELECT peers, count(*) AS members FROM member GROUP BY peers),
done AS (SELECT DISTINCT authority, actor_id, service, operation FROM actor_action WHERE first_at < {_day(as_of)})
SELECT peers, service, operation, count(*) AS actors, count(*) / members AS share
FROM member JOIN crowd USING (peers) JOIN done USING (authority, actor_id) GROUP BY peers, members, service, operation
""",
    )


# ------------------------------------------------------------------ what is not


def score(events: str = "event") -> str:
    """SELECT of SCORE: each actor's day in `events` (columns of ACTIVITY) beside its baseline, its peers and the state.

    The tables are `actor_baseline`, `peer_action` and those of STATE. What was first seen on the day itself is new,
    whether the state has been told of the events already or not; hours have no date, so these are judged best before.
    """
    new = {
        "new_services": ("actor_action", "service"),
        "new_networks": ("actor_network", "src_network"),
        "new_asns": ("actor_network", "src_asn"),
        "new_countries": ("actor_network", "src_country"),
        "new_agents": ("actor_agent", "agent"),
    }
    counted = ", ".join(
        f"""{name} AS (
    SELECT authority, actor_id, day, count(*) AS n FROM (
        SELECT authority, actor_id, {column}, min(day) AS day FROM seen WHERE {column} IS NOT NULL
        GROUP BY authority, actor_id, {column}) AS s
    WHERE NOT EXISTS (SELECT 1 FROM {table} AS k WHERE k.authority = s.authority AND k.actor_id = s.actor_id
        AND k.{column} = s.{column} AND k.first_at < s.day) GROUP BY authority, actor_id, day
)"""
        for name, (table, column) in new.items()
    )
    told = ", ".join(f"CASE WHEN b.mature AND NOT b.capped THEN coalesce({name}.n, 0) END AS {name}" for name in new)
    joined = " ".join(f"LEFT JOIN {name} USING (authority, actor_id, day)" for name in new)
    return _cast(
        SCORE,
        f"""
WITH seen AS (
    SELECT authority, actor_id, day, hour_of_week, service, operation, src_network, src_asn, src_country,
        {agent_of("user_agent")} AS agent, sum(events) AS events, sum(failures) AS failures
    FROM (
        SELECT {AUTHORITY} AS authority, {ACTOR_ID} AS actor_id, CAST(time AS DATE) AS day,
            {HOUR_OF_WEEK} AS hour_of_week, service, operation, src_network, src_asn, src_country, user_agent,
            count(*) AS events, count(*) FILTER (WHERE outcome = 'failure') AS failures
        FROM {events} WHERE {_NAMED} GROUP BY ALL)
    GROUP BY ALL
), of_day AS (
    SELECT s.authority, s.actor_id, s.day, sum(s.events) AS events, sum(s.failures) AS failures,
        sum(s.events) FILTER (WHERE substr(b.hours, CAST(s.hour_of_week AS INTEGER) + 1, 1) = '0') AS off_hours
    FROM seen AS s LEFT JOIN actor_baseline AS b USING (authority, actor_id) GROUP BY ALL
), {counted}, act AS (
    SELECT authority, actor_id, service, operation, min(day) AS day FROM seen GROUP BY ALL
), new_act AS (
    SELECT * FROM act AS s WHERE NOT EXISTS (SELECT 1 FROM actor_action AS k WHERE k.authority = s.authority
        AND k.actor_id = s.actor_id AND k.service = s.service AND k.operation = s.operation AND k.first_at < s.day)
), new_actions AS (
    SELECT a.authority, a.actor_id, a.day, count(*) AS n, count(*) FILTER (WHERE b.peers IS NOT NULL
        AND coalesce(p.share, 0) < {FEW_PEERS}) AS unlike
    FROM new_act AS a LEFT JOIN actor_baseline AS b USING (authority, actor_id)
    LEFT JOIN peer_action AS p ON p.peers = b.peers AND p.service = a.service AND p.operation = a.operation
    GROUP BY a.authority, a.actor_id, a.day
), expected AS (
    SELECT d.*, coalesce(b.mature, FALSE) AS mature, greatest(
            CASE WHEN {_weekend("d.day")} THEN coalesce(b.weekend_events, b.median_events) ELSE b.median_events END,
            CASE WHEN {_month_end("d.day")} THEN b.month_end_events END, b.year_ago_events) AS usual_events,
        coalesce(d.day - lag(d.day) OVER (PARTITION BY d.authority, d.actor_id ORDER BY d.day),
            d.day - CAST(b.last_at AS DATE)) AS idle_days
    FROM of_day AS d LEFT JOIN actor_baseline AS b USING (authority, actor_id)
)
SELECT e.*, CASE WHEN b.mature THEN coalesce(e.off_hours, 0) END AS off_hours_events,
    CASE WHEN b.mature
        THEN (e.events - e.usual_events) / greatest(1.4826 * b.mad_events, sqrt(e.usual_events), 1) END AS volume_z,
    CASE WHEN b.mature THEN (e.failures - e.events * b.failure_rate)
        / sqrt(e.events * b.failure_rate * (1 - b.failure_rate) + 1) END AS failure_z,
    CASE WHEN b.mature AND NOT b.capped THEN coalesce(a.n, 0) END AS new_actions,
    CASE WHEN b.peers IS NOT NULL AND NOT b.capped THEN coalesce(a.unlike, 0) END AS new_actions_unlike_peers, {told}
FROM expected AS e LEFT JOIN actor_baseline AS b USING (authority, actor_id)
LEFT JOIN new_actions AS a USING (authority, actor_id, day) {joined}
""",
    )


def _day(as_of: datetime) -> str:
    return f"DATE '{as_of.astimezone(UTC).date().isoformat()}'"


def _weekend(day: str) -> str:
    return f"isodow({day}) > 5"


def _month_end(day: str) -> str:
    """The last two and the first two days of a month."""
    return f"(day({day}) <= 2 OR day({day} + 2) <= 2)"


def _cast(columns: Mapping[str, str], rows: str) -> str:
    typed = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in columns.items())
    return f"SELECT {typed} FROM ({rows}) AS answer"


def _grouped(table: str, rows: str) -> str:
    """One row a key."""
    key = ", ".join(keys(table))
    merged = ", ".join(f"{MERGED[name]}({name}) AS {name}" for name in STATE[table] if name in MERGED)
    return f"SELECT {_typed(table)} FROM (SELECT {key}, {merged} FROM ({rows}) AS parts GROUP BY {key}) AS merged"


def _typed(table: str) -> str:
    """The columns with their types; instants have theirs already, and ClickHouse would cut them to seconds."""
    return ", ".join(
        name if kind == "TIMESTAMP" else f"CAST({name} AS {kind}) AS {name}" for name, kind in STATE[table].items()
    )
