"""The state of use as SQL: made from events, merged, and asked what is usual for an actor and what is not.

Everything here is text in DuckDB's dialect; who runs it, and where tables lie, is the caller's affair (`store.state`,
`services.usage`). The deltas (`delta`, `merge`) use only what every engine has, so that they run where the logs
already are: `in_dialect` carries them over. The questions to the state run in DuckDB, beside which it always lies.

The laws of the state, which `merge` keeps and tests/analysis/test_baseline.py holds it to: for any split of the events
into batches, in any order, merging their deltas gives what one delta of all events gives.
"""

from __future__ import annotations

from collections.abc import Mapping

from wardship.model.baseline import APPENDED, MERGED, MOST_KEYS, STATE

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
    "first_at": "min(time)",
    "last_at": "max(time)",
    "used_at": "max(CASE WHEN outcome = 'failure' THEN NULL ELSE time END)",
}
_READ = "time, outcome, mutating, interactive, actor_kind, actor_name"


# ------------------------------------------------------------------ making and merging


def keys(table: str) -> list[str]:
    """The key columns of a table of the state."""
    return [name for name in STATE[table] if name not in MERGED]


def delta(table: str, *, events: str = "activity", where: str = "TRUE") -> str:
    """SELECT of the rows of `table` that events make: the columns of STATE[table], one row a key.

    `events` has the columns of ACTIVITY; `where` is SQL that says which of them.
    """
    expressions, wanted = _TABLES[table]
    if table != "log_day":
        expressions = {"authority": AUTHORITY, "actor_id": ACTOR_ID, **expressions}
    named = ", ".join(f"{expression} AS {name}" for name, expression in expressions.items())
    counted = ", ".join(f"{_COUNTED[name]} AS {name}" for name in STATE[table] if name in MERGED)
    key = ", ".join(expressions)
    # Two projections, so that no engine takes a name for the column that is made beside it.
    rows = (
        f"SELECT {key}, {counted} FROM"  # noqa: S608 - our own names, here and below
        f" (SELECT {named}, {_READ} FROM (SELECT * FROM {events} WHERE {wanted} AND ({where})) AS chosen) AS named"
        f" GROUP BY {key}"
    )
    if not _SHORTENED.keys() & expressions.keys():
        return f"SELECT {_typed(table)} FROM ({rows}) AS counted"  # noqa: S608
    short = ", ".join(f"{_SHORTENED[c](c)} AS {c}" if c in _SHORTENED else c for c in STATE[table])
    return _grouped(table, f"SELECT {short} FROM ({rows}) AS long")  # noqa: S608


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
        f"WITH merged AS ({merged}),"  # noqa: S608
        f" large AS (SELECT authority, actor_id FROM merged GROUP BY authority, actor_id HAVING count(*) > {limit}),"
        f" placed AS (SELECT {columns}, row_number() OVER (PARTITION BY m.authority, m.actor_id ORDER BY md5({key}))"
        " AS place FROM merged AS m JOIN large AS l ON m.authority = l.authority AND m.actor_id = l.actor_id)"
        f" SELECT {columns} FROM merged AS m LEFT JOIN large AS l"
        " ON m.authority = l.authority AND m.actor_id = l.actor_id WHERE l.actor_id IS NULL"
        f" UNION ALL SELECT {columns} FROM placed AS m WHERE m.place <= {limit}"
    )


def in_dialect(sql: str, dialect: str) -> str:
    """A delta or a merge as another engine writes it: spark, clickhouse, trino, snowflake, bigquery.

    Their regular expressions replace every match as they stand, and have no word for it.
    """
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(sql, read="duckdb")
    if dialect not in ("duckdb", "postgres"):
        for found in tree.find_all(exp.RegexpReplace):
            found.set("modifiers", None)
    return tree.sql(dialect=dialect)


def _grouped(table: str, rows: str) -> str:
    """One row a key."""
    key = ", ".join(keys(table))
    merged = ", ".join(f"{MERGED[name]}({name}) AS {name}" for name in STATE[table] if name in MERGED)
    return f"SELECT {_typed(table)} FROM (SELECT {key}, {merged} FROM ({rows}) AS parts GROUP BY {key}) AS merged"  # noqa: S608


def _typed(table: str) -> str:
    """The columns with their types; instants have theirs already, and ClickHouse would cut them to seconds."""
    return ", ".join(
        name if kind == "TIMESTAMP" else f"CAST({name} AS {kind}) AS {name}" for name, kind in STATE[table].items()
    )
