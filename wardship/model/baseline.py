"""What is remembered of the use of each actor, small enough to be kept for ever: the state that events are merged into.

Every table is a mergeable sum: rows of two disjoint sets of events are merged by adding `events`, `failures`, ... and
taking the earliest `first_at` and the latest `last_at` and `used_at`, so the order in which days and late files arrive
does not matter, and a day that is added never reads history again. Types are DuckDB's; instants are UTC.

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
    "actor_hour": {
        **_ACTOR,
        "quarter": "DATE",  # its first day: habits change, and a baseline asks only about the last ones
        "hour_of_week": "INTEGER",  # 0 = Monday 00:00-00:59 UTC
        "events": "BIGINT",
    },
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
    "actor_consumer": {  # one consumer of a credential looks like this: network, agent and session together
        **_ACTOR,
        "source": "VARCHAR",
        "credential_id": "VARCHAR",
        "src_network": "VARCHAR",
        "src_country": "VARCHAR",
        "agent": "VARCHAR",  # family, without versions
        "session": "VARCHAR",  # digits as #
        **_SUMS,
    },
    "client_use": {  # applications through which people signed in: the person's use, and theirs too
        **_ACTOR,
        "source": "VARCHAR",
        **_SUMS,
    },
    "log_day": {  # what each log held on each day: the coverage map
        "source": "VARCHAR",
        "account": "VARCHAR",
        "region": "VARCHAR",
        "part": "VARCHAR",  # part of the log (sdk.source.LogPart) that these events are of; NULL: of none
        "day": "DATE",
        "events": "BIGINT",
        "reads": "BIGINT",  # events that are known to change nothing
        "data_events": "BIGINT",  # of data inside a service (OCSF Datastore Activity): AWS logs them only when asked
        "first_at": "TIMESTAMP",
        "last_at": "TIMESTAMP",
    },
}
"""The tables of the state. NULL in a key column means not told; it is a value of its own."""

MERGED: Mapping[str, str] = {
    "actor_kind": "max",
    "actor_name": "max",
    "events": "sum",
    "failures": "sum",
    "mutating": "sum",
    "interactive": "sum",
    "reads": "sum",
    "data_events": "sum",
    "first_at": "min",
    "last_at": "max",
    "used_at": "max",
}
"""How two rows of one key become one. Every column that is not here is part of the key."""

APPENDED = frozenset({"actor_day", "actor_hour", "log_day"})
"""Tables that may hold several rows of one key, to be added up: a day that is added does not touch the others. In the
rest a key stands once."""

MOST_KEYS = 1_000
"""Rows that an actor may have in a table that is not APPENDED; in `actor_action` ten times as many. Of more, those
with the least hash of their key are kept: the same ones in whatever order they came, and exact sums of each."""

MOST_ACTIONS = 10 * MOST_KEYS
"""The same for `actor_action`: who has as many may have done more, with other credentials too."""

BASELINE: Mapping[str, str] = {
    **_ACTOR,
    "actor_kind": "VARCHAR",
    "actor_name": "VARCHAR",
    "first_at": "TIMESTAMP",  # of all that is remembered before `as_of`
    "last_at": "TIMESTAMP",
    "active_days": "INTEGER",  # days with events in the last 400
    "mature": "BOOLEAN",  # at least MATURE_DAYS active days; False: too little is known to call anything unusual
    "events": "BIGINT",  # of the days that the figures below are made of: see analysis.baseline
    "failures": "BIGINT",
    "failure_rate": "DOUBLE",  # failures of events, 0 to 1
    "mutating_share": "DOUBLE",
    "interactive_share": "DOUBLE",
    "median_events": "DOUBLE",  # of an active day
    "mad_events": "DOUBLE",  # median absolute deviation from it
    "most_events": "BIGINT",  # of its busiest day
    "weekend_events": "DOUBLE",  # median of its active Saturdays and Sundays; NULL: fewer than 4
    "month_end_events": "DOUBLE",  # of its active days among the last two and first two of a month; NULL: fewer than 4
    "year_ago_events": "DOUBLE",  # most in a day, within a week of the same date a year before; NULL: not remembered
    "hours": "VARCHAR",  # 168 characters, Monday 00 UTC first: "0" not a usual hour, "1" to "9" how much of its use
    "off_hours_share": "DOUBLE",  # of its events, those in hours that are not usual
    "weekend_share": "DOUBLE",
    "longest_gap_days": "INTEGER",  # most days from one active day to the next
    "usual_gap_days": "DOUBLE",  # median of them; NULL: one active day
    "rhythm": "VARCHAR",  # daily | weekdays | weekly | monthly | bursty; NULL: not mature
    "services": "INTEGER",  # different ones known, as in the next five
    "actions": "INTEGER",
    "networks": "INTEGER",
    "asns": "INTEGER",
    "countries": "INTEGER",
    "agents": "INTEGER",
    "capped": "BOOLEAN",  # it has more different keys than are kept: what is new cannot be told
    "peers": "VARCHAR",  # group of like actors: kind and services; NULL: none alike
    "peer_actors": "INTEGER",  # actors in it, this one too
}
"""The table `actor_baseline`: one row an actor, as it looked at one instant (`as_of`)."""

PEER_ACTION: Mapping[str, str] = {
    "peers": "VARCHAR",
    "service": "VARCHAR",
    "operation": "VARCHAR",
    "actors": "INTEGER",  # of the group, those that ever did it
    "share": "DOUBLE",  # of the group's mature actors
}
"""The table `peer_action`: what is usual in a group of peers."""

MATURE_DAYS = 14

SCORE: Mapping[str, str] = {
    **_ACTOR,
    "day": "DATE",
    "mature": "BOOLEAN",  # not mature: what follows is NULL where it would compare with too little
    "events": "BIGINT",
    "usual_events": "DOUBLE",  # of such a day: weekend, turn of the month and the season of last year considered
    "volume_z": "DOUBLE",  # (events - usual) / greatest(1.4826 * mad, sqrt(usual), 1)
    "off_hours_events": "BIGINT",
    "failures": "BIGINT",
    "failure_z": "DOUBLE",  # more failures than its failure rate lets expect, in standard deviations
    "idle_days": "INTEGER",  # since it was last active; NULL: never seen before
    "new_services": "BIGINT",  # not known before this day, as in the rest
    "new_actions": "BIGINT",
    "new_actions_unlike_peers": "BIGINT",  # of them (of a young actor: of all), those that few of its peers do
    "new_networks": "BIGINT",
    "new_asns": "BIGINT",
    "new_countries": "BIGINT",
    "new_agents": "BIGINT",
}
"""What `analysis.baseline.score` tells of an actor's day. NULL in new_*: too young, or it has more than is kept."""
