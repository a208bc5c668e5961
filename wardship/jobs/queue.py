"""The job queue: a table, claims with a lease and a fencing token, retries, and failed jobs that stay to be read.

    due --claim--> running --finish--> done
     ^               |--fail, attempts left: due again, after full jitter
     |               |--fail for good, or attempts used up: failed (kept, with a redacted error)
     +--lease ran out (the worker died): the next claim takes it, with a higher token

Whoever holds an old token can no longer finish, fail or write under the job: `guard` and every change here compare the
token in the transaction that writes. It cannot stop a call that is already under way to a system: handlers call
`JobContext.check` just before one.
"""

from __future__ import annotations

import json
import random
import traceback
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wardship.model.errors import ConfigError, Conflict, Error, FatalError, PolicyError, RateLimited
from wardship.sdk.i18n import _
from wardship.store import tables
from wardship.store.db import Database

MAX_ATTEMPTS = 5
BACKOFF_BASE_S = 5.0
BACKOFF_CAP_S = 3600.0
_HOPELESS = (ConfigError, PolicyError, FatalError)  # trying again changes nothing: a person must act

_job = tables.job
Random = Callable[[], float]
"""A number in [0, 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A claimed job. `token` is its fencing token, `attempt` counts from 1."""

    id: str
    kind: str
    args: Mapping[str, Any]
    attempt: int
    max_attempts: int
    token: int
    holder: str


def enqueue(
    conn: Connection,
    kind: str,
    args: Mapping[str, Any] | None = None,
    *,
    at: datetime,
    due_at: datetime | None = None,
    key: str | None = None,
    max_attempts: int = MAX_ATTEMPTS,
    schedule: str | None = None,
) -> str:
    """Adds a job within the caller's transaction and returns its id. With a `key` asking twice makes one job, for ever.

    `args` hold ids and references; never a secret. `due_at` None: at once.
    """
    if key is not None:
        known = conn.execute(sa.select(_job.c.id).where(_job.c.key == key)).scalar()
        if known is not None:
            return str(known)
    id_ = uuid.uuid4().hex
    conn.execute(
        _job.insert().values(
            id=id_,
            key=key,
            kind=kind,
            args=json.dumps(args or {}, sort_keys=True),
            state="due",
            due_at=due_at or at,
            attempts=0,
            max_attempts=max_attempts,
            token=0,
            schedule=schedule,
            created_at=at,
        )
    )
    return id_


def claim(db: Database, kinds: Collection[str], holder: str, lease_s: float) -> Job | None:
    """Takes the job that is due longest, or one whose worker died; None when there is none.

    A job that killed its worker `max_attempts` times is failed instead of taken once more.
    """
    with db.bookkeep() as conn:
        now = db.clock()
        takeable = sa.or_(
            sa.and_(_job.c.state == "due", _job.c.due_at <= now),
            sa.and_(_job.c.state == "running", _job.c.leased_until <= now),
        )
        query = sa.select(_job).where(_job.c.kind.in_(kinds), takeable).order_by(_job.c.due_at, _job.c.id).limit(1)
        while (row := conn.execute(query).first()) is not None:
            if row.attempts >= row.max_attempts:
                lost = _("its worker died in each of %(n)d attempts") % {"n": row.attempts}
                _update(conn, row.id, row.token, state="failed", error=lost, finished_at=now, holder=None)
                continue
            _update(
                conn,
                row.id,
                row.token,
                state="running",
                token=row.token + 1,
                attempts=row.attempts + 1,
                holder=holder,
                leased_until=now + timedelta(seconds=lease_s),
            )
            return Job(
                id=row.id,
                kind=row.kind,
                args=json.loads(row.args),
                attempt=row.attempts + 1,
                max_attempts=row.max_attempts,
                token=row.token + 1,
                holder=holder,
            )
    return None


def guard(conn: Connection, job: Job) -> None:
    """Raises Conflict unless `job` is still ours: called first in every transaction that writes under it."""
    held = sa.select(_job.c.id).where(_job.c.id == job.id, _job.c.token == job.token, _job.c.state == "running")
    if conn.execute(held).first() is None:
        raise _lost(job)


def renew(db: Database, job: Job, lease_s: float) -> None:
    """Keeps the job for `lease_s` seconds from now. Raises Conflict when another worker has it."""
    with db.bookkeep() as conn:
        _must(conn, job, leased_until=db.clock() + timedelta(seconds=lease_s))


def finish(db: Database, job: Job) -> None:
    """Marks the job done. Raises Conflict when another worker has it: its result counts, not ours."""
    with db.bookkeep() as conn:
        _must(conn, job, state="done", finished_at=db.clock(), leased_until=None, holder=None, error=None)


def release(db: Database, job: Job) -> None:
    """Gives the job back as if it had not been taken (the worker is told to stop). No error when it is lost already."""
    with db.bookkeep() as conn:
        values = {"state": "due", "attempts": job.attempt - 1, "leased_until": None, "holder": None}
        _update(conn, job.id, job.token, **values)


def fail(db: Database, job: Job, error: BaseException, chance: Random = random.random) -> datetime | None:
    """Records that an attempt failed; returns when it is tried again, or None: it has failed for good.

    The wait is drawn from 0 to min(1 h, 5 s x 2^(attempt-1)), and is at least what the system asked for (Retry-After).
    Raises Conflict when another worker has the job.
    """
    with db.bookkeep() as conn:
        now = db.clock()
        if isinstance(error, _HOPELESS) or job.attempt >= job.max_attempts:
            _must(conn, job, state="failed", error=redacted(error), finished_at=now, leased_until=None, holder=None)
            return None
        again = now + timedelta(seconds=backoff_s(job.attempt, error, chance))
        _must(conn, job, state="due", due_at=again, error=redacted(error), leased_until=None, holder=None)
        return again


def backoff_s(attempt: int, error: BaseException | None, chance: Random) -> float:
    """Seconds to wait after the failed `attempt` (1, 2, ...)."""
    wait = chance() * min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(attempt - 1, 30))
    if isinstance(error, RateLimited) and error.retry_after_s is not None:
        return error.retry_after_s + wait
    return wait


def redacted(error: BaseException) -> str:
    """What may be kept of an error. Our own messages name ids only; a foreign one may hold anything: its class and
    the place where it was raised."""
    if isinstance(error, Error):
        return f"{type(error).__name__}: {error.message}" + (f" ({error.advice})" if error.advice else "")
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + place


def prune(db: Database, older_than: timedelta) -> int:
    """Forgets jobs that were done longer ago than `older_than`; failed ones stay. Returns how many."""
    with db.bookkeep() as conn:
        done = sa.delete(_job).where(_job.c.state == "done", _job.c.finished_at < db.clock() - older_than)
        return conn.execute(done).rowcount


def _must(conn: Connection, job: Job, **values: Any) -> None:
    if not _update(conn, job.id, job.token, **values):
        raise _lost(job)


def _update(conn: Connection, id_: str, held: int, /, **values: Any) -> bool:
    """One compare-and-set on the job and the token that is `held`, never on a job that has ended."""
    row = sa.update(_job).where(_job.c.id == id_, _job.c.token == held, _job.c.state.in_(("due", "running")))
    return conn.execute(row.values(**values)).rowcount == 1


def _lost(job: Job) -> Conflict:
    return Conflict(
        _("job %(id)s was taken over by another worker") % {"id": job.id},
        advice=_("nothing to do: the other worker's result counts"),
    )
