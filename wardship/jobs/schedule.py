"""What happens every so often: the schedule table, and the jobs that it makes.

`next_at` moves on from now, not from its old value: a machine that slept for a week runs each periodic job once.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from wardship.jobs.queue import Random, enqueue
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _
from wardship.store import tables
from wardship.store.db import Database

_schedule = tables.schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Periodic:
    """One periodic job: every `every_s` seconds, plus up to `jitter_s` so that many workspaces do not act at once."""

    name: str
    kind: str
    every_s: int
    jitter_s: int = 0
    args: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.every_s < 1 or self.jitter_s < 0:
            raise ConfigError(
                _("schedule %(name)s: an interval of %(n)d seconds makes no sense")
                % {"name": self.name, "n": self.every_s},
                advice=_("give at least one second, and no negative jitter"),
            )


def put(db: Database, wanted: Iterable[Periodic], chance: Random = random.random) -> None:
    """Makes the schedules what `wanted` says, by name. New ones are first due within their jitter; the others keep
    their next time, also when their interval changes, and stay disabled if somebody disabled them."""
    with db.bookkeep() as conn:
        known = set(conn.execute(sa.select(_schedule.c.name)).scalars())
        for one in wanted:
            values = {
                "kind": one.kind,
                "args": json.dumps(one.args, sort_keys=True),
                "every_s": one.every_s,
                "jitter_s": one.jitter_s,
            }
            if one.name in known:
                conn.execute(_schedule.update().where(_schedule.c.name == one.name).values(values))
            else:
                first = db.clock() + timedelta(seconds=chance() * one.jitter_s)
                conn.execute(_schedule.insert().values(name=one.name, next_at=first, enabled=True, **values))


def tick(db: Database, chance: Random = random.random) -> list[str]:
    """Enqueues the schedules that are due, except those whose last job has not ended; returns the jobs' ids."""
    with db.read() as conn:  # the usual answer is "nothing": the write lock is not taken for it
        if conn.execute(_due(db)).first() is None:
            return []
    made: list[str] = []
    with db.bookkeep() as conn:
        now = db.clock()
        for row in conn.execute(_due(db)).all():
            open_ = sa.select(tables.job.c.id).where(
                tables.job.c.schedule == row.name, tables.job.c.state.in_(("due", "running"))
            )
            if conn.execute(open_).first() is None:
                key = f"schedule:{row.name}@{row.next_at.isoformat()}"
                made.append(enqueue(conn, row.kind, json.loads(row.args), at=now, key=key, schedule=row.name))
            after = now + timedelta(seconds=row.every_s + chance() * row.jitter_s)
            conn.execute(_schedule.update().where(_schedule.c.name == row.name).values(next_at=after))
    return made


def _due(db: Database) -> sa.Select[Any]:
    return sa.select(_schedule).where(_schedule.c.enabled, _schedule.c.next_at <= db.clock())
