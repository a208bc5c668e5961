"""One scan: every scope of a connection is read, published and settled; killed anywhere, the next run goes on.

Absence is not deletion (docs/trust.md, ADR 0002): what a scope did not show counts only when it read completely.
Each scope is worked on under a lease; one that another process holds is reported as busy and left to it.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from wardship.ingest.publish import publish, settle
from wardship.ingest.read import read_scope
from wardship.ingest.work import Progress, Reader, ScanPolicy, Work, silent
from wardship.model.errors import (
    AuthenticationFailed,
    ConfigError,
    Conflict,
    ConnectorError,
    DataError,
    Error,
    TransitionRefused,
    Unavailable,
)
from wardship.model.scan import Coverage, Problem, Scope, ScopeStatus
from wardship.sdk.i18n import _
from wardship.store import leases, resolution, scans
from wardship.store.db import Database
from wardship.store.scans import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """What a scan read and what it changed.

    `status` is "done" (every scope COMPLETE), "incomplete", or "failed" (nothing usable; `error` says why).
    `changes` counts versions by family and change. `busy` scopes are being read by another process. `held` says of
    a scope key why its missing rows wait for a person.
    """

    scan_id: str
    seq: int
    status: str
    resumed: bool
    started_at: datetime
    finished_at: datetime
    coverage: tuple[Coverage, ...]
    changes: Mapping[str, Mapping[str, int]]
    duplicates: int
    busy: tuple[Scope, ...] = ()
    held: Mapping[str, str]
    error: Error | None = None


def run_scan(
    db: Database,
    connector: Reader,
    *,
    connection_name: str,
    actor: str,
    progress: Callable[[Progress], None] = silent,
    policy: ScanPolicy | None = None,
) -> ScanReport:
    """Scans everything that `connector` offers, or goes on with the unfinished scan of this connection.

    A refused credential is no exception here: the report says "failed" and holds the error. Raises Unavailable when
    the database does not answer; the scan then stays unfinished.
    """
    policy = policy or ScanPolicy()
    _finish_left_over(db, connection_name, actor, policy)
    scan = scans.begin(
        db,
        connection=connection_name,
        connector=connector.manifest.name,
        actor=actor,
        resume_within=policy.resume_within,
    )
    work = Work(db=db, reader=connector, scan=scan, actor=actor, policy=policy, tell=progress)
    busy: list[Scope] = []
    error: Error | None = None
    try:
        work.scopes = tuple(connector.scopes())
    except (ConnectorError, ConfigError) as refused:
        error = refused
    else:
        try:
            _run_scopes(work, busy)
            _end_vanished(work)
        except AuthenticationFailed as refused:
            error = refused
    return _finish(work, busy, error)


def accept_held(db: Database, scope_key: str, *, actor: str, reason: str) -> None:
    """A person's word that the missing rows of a held scope are to be treated as any others.

    They become unconfirmed (gone, if they were missed before), and no longer count against the guard.
    Raises DataError without a reason, TransitionRefused when the scope is not held or is being scanned.
    """
    if not reason.strip():
        raise DataError(_("a reason is needed"))
    holder = leases.new_holder()
    with db.write(actor) as write:
        reading = scans.newest_reading(write.conn, scope_key)
        if reading is None or reading.held is None:
            raise TransitionRefused(_("%(scope)s is not held") % {"scope": scope_key})
        lease = leases.take(write.conn, f"scope:{scope_key}", holder, write.at)
        if lease is None:
            raise TransitionRefused(_("%(scope)s is being scanned") % {"scope": scope_key})
        write.audit("scan.held_accepted", scope_key, {"scan": reading.scan_id, "held": reading.held, "reason": reason})
        reading.held = None
        reading.phase = "settling"
        reading.settled = {"decided": "accepted"}
        scans.save(write.conn, reading)
        scan = scans.get(write.conn, reading.scan_id)
    _run_scope(Work(db=db, reader=None, scan=scan, actor=actor, policy=ScanPolicy()), reading, lease, db.clock())


def _run_scopes(work: Work, busy: list[Scope]) -> None:
    began = work.db.clock()
    holder = leases.new_holder()
    for number, scope in enumerate(work.scopes, start=1):
        work.number = number
        with work.db.bookkeep() as conn:
            lease = leases.take(conn, f"scope:{scope.key}", holder, work.db.clock())
            reading = None if lease is None else scans.open_reading(conn, work.scan, scope, work.db.clock())
        if lease is None or reading is None or not _run_scope(work, reading, lease, began):
            busy.append(scope)


def _run_scope(work: Work, reading: Reading, lease: leases.Lease, began: datetime) -> bool:
    """Brings the reading to its end; False when another process took it over meanwhile."""
    try:
        if reading.phase == "reading":
            deadline = _deadline(began, work.db.clock(), work.policy)
            if deadline is not None and work.db.clock() >= deadline:
                _leave_unread(work, reading, lease, "deadline", _("the time allowed for the scan was over"))
            else:
                read_scope(work, reading, lease, deadline)
        if reading.phase == "publishing":
            publish(work, reading, lease)
            reading.phase = "settling"
        if reading.phase == "settling":
            settle(work, reading, lease)
    except Conflict:
        return False
    finally:
        with contextlib.suppress(Unavailable), work.db.bookkeep() as conn:  # without the database it will run out
            leases.release(conn, lease, work.db.clock())
    work.progress(reading, "done")
    return True


def _leave_unread(work: Work, reading: Reading, lease: leases.Lease, reason: str, detail: str) -> None:
    reading.status = ScopeStatus.PARTIAL
    reading.phase = "publishing"
    reading.add_problem(Problem(reason=reason, detail=detail))
    with work.db.bookkeep() as conn:
        leases.hold(conn, lease, work.db.clock())
        scans.save(conn, reading)


def _end_vanished(work: Work) -> None:
    """Publishes what an earlier, killed run staged of scopes that the connector no longer offers."""
    offered = {scope.key for scope in work.scopes}
    with work.db.read() as conn:
        open_readings = [r for r in scans.readings(conn, work.scan) if r.phase in scans.OPEN_PHASES]
    holder = leases.new_holder()
    for reading in open_readings:
        if reading.scope.key in offered:
            continue
        with work.db.bookkeep() as conn:
            lease = leases.take(conn, f"scope:{reading.scope.key}", holder, work.db.clock())
        if lease is not None:
            if reading.phase == "reading":
                detail = _("the system no longer offers this part")
                _leave_unread(work, reading, lease, "unavailable", detail)
            _run_scope(work, reading, lease, work.db.clock())


def _finish_left_over(db: Database, connection_name: str, actor: str, policy: ScanPolicy) -> None:
    """Completes what a killed replay or a killed `accept_held` had begun to publish."""
    with db.read() as conn:
        left_over = [(reading, scans.get(conn, reading.scan_id)) for reading in scans.left_over(conn, connection_name)]
    holder = leases.new_holder()
    for reading, scan in left_over:
        with db.bookkeep() as conn:
            lease = leases.take(conn, f"scope:{reading.scope.key}", holder, db.clock())
        if lease is not None:
            _run_scope(Work(db=db, reader=None, scan=scan, actor=actor, policy=policy), reading, lease, db.clock())


def _finish(work: Work, busy: list[Scope], error: Error | None) -> ScanReport:
    db = work.db
    with db.read() as conn:
        readings = scans.readings(conn, work.scan)
    if any(change != "staged" for r in readings for change in r.published.get("identity", ())):
        resolution.resolve(db, actor=work.actor)
    status = _status(readings, busy, error)
    with db.write(work.actor) as write:
        readings = scans.readings(write.conn, work.scan)
        if error is None and any(reading.phase in scans.OPEN_PHASES for reading in readings):
            write.audit("scan.left_running", work.scan.id, {"busy": len(busy)})  # its other process will finish it
        else:
            skew_s: float | None = getattr(work.source, "clock_skew_s", None)
            scans.finish(write, work.scan, status, work.source.drift.counts, skew_s)
        finished_at = write.at
    scans.sweep(db, work.policy.chunk_rows)
    if error is not None:
        with db.read() as conn:
            readings = scans.readings(conn, work.scan)
    changes: dict[str, Counter[str]] = {}
    for reading in readings:
        for family, counts in reading.published.items():
            told = {change: rows for change, rows in counts.items() if change != "staged"}
            changes.setdefault(family, Counter()).update(told)
    return ScanReport(
        scan_id=work.scan.id,
        seq=work.scan.seq,
        status=status,
        resumed=work.scan.resumed,
        started_at=work.scan.started_at,
        finished_at=finished_at,
        coverage=tuple(reading.coverage for reading in readings),
        changes={family: dict(counts) for family, counts in changes.items() if counts},
        duplicates=sum(reading.duplicates for reading in readings),
        busy=tuple(busy),
        held={reading.scope.key: reading.held for reading in readings if reading.held},
        error=error,
    )


def _status(readings: list[Reading], busy: list[Scope], error: Error | None) -> str:
    statuses = {reading.status for reading in readings}
    if error is not None or (statuses == {ScopeStatus.FAILED} and not busy):
        return "failed"
    return "done" if statuses <= {ScopeStatus.COMPLETE} and not busy else "incomplete"


def _deadline(began: datetime, now: datetime, policy: ScanPolicy) -> datetime | None:
    limits: list[datetime] = []
    if policy.scan_deadline is not None:
        limits.append(began + policy.scan_deadline)
    if policy.scope_deadline is not None:
        limits.append(now + policy.scope_deadline)
    return min(limits, default=None)


__all__ = ["Progress", "ScanPolicy", "ScanReport", "accept_held", "run_scan"]
