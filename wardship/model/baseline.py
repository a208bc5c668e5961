"""What is remembered of the use of each actor, small enough to be kept for ever: the state that events are merged into.

Every table is a mergeable sum: rows of two disjoint sets of events are merged by adding `events`, `failures`, ... and
taking the earliest `first_at` and the latest `last_at` and `used_at`, so the order in which days and late files arrive does not
matter, and a day that is added never reads history again. Types are DuckDB's; instants are UTC.

An actor is counted under (authority, actor_id): those of the activity, or (source ":" account, actor name) where a log
gives no exact id. `analysis.baseline` makes the state and asks it; `store.telemetry` keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping

_ACTOR = {"authority": "VARCHAR", "actor_id": "VARCHAR"}
_SUMS = {
    "events": "BIGINT",
    "failures": "BIGINT",
    "first_at": "TIMESTAMP",
    "last_at": "TIMESTAMP",
    "used_at": "TIMESTAMP",  # the latest that did not fail: a refused attempt is no use; NULL = all failed
}

STATE: Mapping[str, Mapping[str, str]] = {
    "actor_day": {  # volume
        **_ACTOR,
        "source": "VARCHAR",
        "day": "DATE",
        "actor_kind": "VARCHAR",
        "actor_name": "VARCHAR",
        **_SUMS,
        "mutating": "BIGINT",
        "interactive": "BIGINT",
    },
    "actor_hour": {**_ACTOR, "hour_of_week": "INTEGER", "events": "BIGINT"},  # 0 = Monday 00:00-00:59 UTC
    "actor_action": {
        **_ACTOR,
        "source": "VARCHAR",
        "credential_id": "VARCHAR",
        "service": "VARCHAR",
        "operation": "VARCHAR",
        **_SUMS,
    },
    "actor_resource": {  # the container of what was acted upon: bucket, vault, repository; at most 1,000 an actor
        **_ACTOR,
        "service": "VARCHAR",
        "operation": "VARCHAR",
        "resource": "VARCHAR",
        **_SUMS,
    },
    "actor_network": {
        **_ACTOR,
        "credential_id": "VARCHAR",
        "src_network": "VARCHAR",
        "src_asn": "INTEGER",
        "src_country": "VARCHAR",
        **_SUMS,
    },
    "actor_agent": {**_ACTOR, "credential_id": "VARCHAR", "agent": "VARCHAR", **_SUMS},  # family, without versions
    "actor_session": {**_ACTOR, "credential_id": "VARCHAR", "session": "VARCHAR", **_SUMS},  # digits as #
    "log_day": {  # what each log held on each day: the coverage map
        "source": "VARCHAR",
        "account": "VARCHAR",
        "region": "VARCHAR",
        "day": "DATE",
        "events": "BIGINT",
        "reads": "BIGINT",  # events that are known to change nothing
        "first_at": "TIMESTAMP",
        "last_at": "TIMESTAMP",
    },
}
"""The tables of the state. NULL in a key column means not told; it is a value of its own."""
