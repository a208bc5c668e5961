"""Leases: at most one process works on a thing at a time, and one that lost its lease can no longer write.

Every taking gets a higher *fencing token*. Whoever works under a lease calls `hold` first in each of its
transactions: that proves the token is still the newest and renews the lease; a process that slept past its lease
and was replaced gets Conflict and writes nothing. Rows are never deleted, so tokens never start again.

A holder that was killed is replaced when its lease runs out, or at once where this machine knows that it is dead. A
lease that ends later than any can was taken by a clock that has been set back since: it does not keep anybody waiting.
"""

from __future__ import annotations

import os
import platform
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wardship.model.errors import Conflict
from wardship.sdk.i18n import _
from wardship.store import sql, tables

TTL = timedelta(seconds=60)
LONGEST = timedelta(days=1)
"""No lease is taken for longer."""
_MINE = sa.and_(
    tables.lease.c.name == sa.bindparam("lease"),
    tables.lease.c.token == sa.bindparam("fence"),
    tables.lease.c.holder == sa.bindparam("worker"),
)
_RENEW = sa.update(tables.lease).where(_MINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A taken lease. `token` is its fencing token."""

    name: str
    holder: str
    token: int


def new_holder() -> str:
    """A name for one worker of this process: machine, process namespace, process id and something unique."""
    return f"{_machine()}/{os.getpid()}/{uuid.uuid4().hex[:12]}"


def take(conn: Connection, name: str, holder: str, at: datetime, ttl: timedelta = TTL) -> Lease | None:
    """Takes the lease `name` until `at` + `ttl`; None when another living holder has it.

    `conn` is that of a write transaction: there is one writer, so nobody takes it in between.
    """
    table = tables.lease
    row = conn.execute(sa.select(table).where(table.c.name == name)).first()
    if row is not None and row.holder != holder and at < row.expires_at <= at + LONGEST and not _is_dead(row.holder):
        return None
    token = row.token + 1 if row is not None else 1
    values = {"name": name, "holder": holder, "token": token, "expires_at": at + ttl}
    conn.execute(
        sql.insert(conn.dialect.name, table).values(values).on_conflict_do_update(index_elements=["name"], set_=values)
    )
    return Lease(name=name, holder=holder, token=token)


def hold(conn: Connection, lease: Lease, at: datetime, ttl: timedelta = TTL) -> None:
    """Renews the lease within the caller's transaction. Raises Conflict when somebody else has taken it."""
    if not _set_expiry(conn, lease, at + ttl):
        raise Conflict(
            _("%(name)s was taken over by another process") % {"name": lease.name},
            advice=_("let the other process finish, or run this again"),
        )


def release(conn: Connection, lease: Lease, at: datetime) -> None:
    """Gives the lease back; does nothing when it is no longer ours."""
    _set_expiry(conn, lease, at)


def _set_expiry(conn: Connection, lease: Lease, expires_at: datetime) -> bool:
    """Moves the end of a lease that is still ours; False when it is not."""
    values = {"lease": lease.name, "fence": lease.token, "worker": lease.holder, "expires_at": expires_at}
    return conn.execute(_RENEW, values).rowcount == 1


def _machine() -> str:
    """This machine and, on Linux, its process namespace: process ids are comparable only within one."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - not a path: "pid:[4026531836]"
    except OSError:
        namespace = "-"
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = "-"
    return f"{platform.node()}/{boot}/{namespace}"


def _is_dead(holder: str) -> bool:
    """True when the holder was a process of this machine that is no more. False when it lives, or cannot be known."""
    machine, _slash, rest = holder.rpartition("/")[0].rpartition("/")
    if machine != _machine() or not rest.isdigit():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
