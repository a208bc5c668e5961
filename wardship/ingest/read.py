"""Reads one scope: fetch, parse each item apart, stage. Every page is one transaction with its checkpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator
from contextlib import closing
from datetime import datetime
from typing import Any

from wardship.ingest.quarantine import parse_item
from wardship.ingest.work import Work
from wardship.model.errors import (
    AuthenticationFailed,
    Error,
    FatalError,
    LimitReached,
    MissingScope,
    RateLimited,
    RetryableError,
    SkippableError,
)
from wardship.model.scan import Problem, RawPage, ScopeStatus
from wardship.sdk.i18n import _
from wardship.store import leases, presence, scans
from wardship.store.leases import Lease
from wardship.store.scans import BadItem, Reading


def read_scope(work: Work, reading: Reading, lease: Lease, deadline: datetime | None) -> None:
    """Stages what `fetch` yields, from the checkpoint on, and closes the reading phase with an honest status.

    Raises AuthenticationFailed: the scan cannot go on. Everything else that goes wrong is a status and a Problem.
    """
    status = _fetch_all(work, reading, lease, deadline)
    work.count_calls(reading)
    with work.db.read() as conn:
        reading.duplicates = scans.duplicates(conn, reading)
        had_rows = reading.items == 0 and (
            scans.known_items(conn, reading.scope.key) > 0 or presence.has_rows(conn, reading.scope.key)
        )
    if status is ScopeStatus.COMPLETE:
        status = _judge(reading, had_rows=had_rows)
    reading.status = status
    reading.phase = "publishing"
    if status is ScopeStatus.FAILED:
        reading.phase = "discarded"
    with work.db.bookkeep() as conn:
        leases.hold(conn, lease, work.db.clock())
        if reading.phase == "discarded":
            reading.finished_at = work.db.clock()
            scans.conclude(conn, work.scan, reading)
        scans.save(conn, reading)


def _judge(reading: Reading, *, had_rows: bool) -> ScopeStatus:
    """COMPLETE, or PARTIAL with the reason why the pages cannot be all there is."""
    if reading.items == 0 and had_rows and reading.expected_total != 0:
        detail = _("the system showed nothing where it showed something before")
        reading.add_problem(Problem(reason="empty_after_history", detail=detail))
    if reading.expected_total is not None and reading.items < reading.expected_total:
        detail = _("%(items)d of the %(total)d objects that the system counts were shown") % {
            "items": reading.items,
            "total": reading.expected_total,
        }
        reading.add_problem(Problem(reason="fewer_than_expected", detail=detail))
    if reading.quarantined:
        detail = _("%(n)d objects could not be understood and are in quarantine") % {"n": reading.quarantined}
        reading.add_problem(Problem(reason="quarantined", detail=detail))
    return ScopeStatus.PARTIAL if reading.problems else ScopeStatus.COMPLETE


def _fetch_all(work: Work, reading: Reading, lease: Lease, deadline: datetime | None) -> ScopeStatus:
    """Reads to the last page or to what stopped it; COMPLETE means that the last page was staged."""
    while True:
        if reading.pages > 0 and reading.checkpoint is None:
            return ScopeStatus.COMPLETE  # the last page was staged before this process began
        try:
            return _fetch(work, reading, lease, deadline)
        except _StoppedError as stopped:
            error = stopped.error
        if not (isinstance(error, FatalError) and error.operation == "token" and reading.pages > 0):
            return _status_of(reading, error)
        if reading.restarts >= work.policy.max_restarts:
            reading.add_problem(Problem(reason="expired_token", detail=error.message))
            return ScopeStatus.PARTIAL
        _restart(work, reading, lease)


class _StoppedError(Exception):
    """Carries what stopped the connector past the errors of our own database, which stop the scan."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


def _status_of(reading: Reading, error: Error) -> ScopeStatus:
    """What an error of the connector makes of its scope; notes the problem."""
    permission: str | None = None
    reason, status = "unexpected", ScopeStatus.FAILED
    if isinstance(error, SkippableError):
        reason, status = "not_visible", ScopeStatus.SKIPPED
        if isinstance(error, MissingScope):
            reason, permission = "missing_permission", error.scope
        if reading.pages > 0:
            status = ScopeStatus.PARTIAL
    elif isinstance(error, RetryableError):
        reason = "throttled" if isinstance(error, RateLimited) else "unavailable"
        if isinstance(error, LimitReached):
            reason = error.limit
        status = ScopeStatus.PARTIAL
    reading.add_problem(Problem(reason=reason, detail=error.message, permission=permission))
    return status


def _fetch(work: Work, reading: Reading, lease: Lease, deadline: datetime | None) -> ScopeStatus:
    last = False
    pages = _pages(work, reading)
    with closing(pages):
        for page in pages:
            if last:
                detail = _("a page came after the one that was said to be the last")
                reading.add_problem(Problem(reason="unexpected", detail=detail))
            last = page.next_token is None
            _stage(work, reading, lease, page)
            work.progress(reading, "reading")
            if not last and deadline is not None and work.db.clock() >= deadline:
                detail = _("the time allowed for reading was over")
                reading.add_problem(Problem(reason="deadline", detail=detail))
                return ScopeStatus.PARTIAL
    if last:
        return ScopeStatus.COMPLETE
    detail = _("the pages ended before the last one")
    reading.add_problem(Problem(reason="cut_short", detail=detail))
    return ScopeStatus.PARTIAL


def _pages(work: Work, reading: Reading) -> Generator[RawPage]:
    """The connector's pages. What is no error of ours is a fault of the connector, and costs this scope only."""
    try:
        yield from work.source.fetch(reading.scope, reading.checkpoint)
    except AuthenticationFailed:
        raise
    except Error as error:
        raise _StoppedError(error) from error
    except Exception as error:
        fault = _("the connector failed with %(error)s") % {"error": type(error).__name__}
        raise _StoppedError(FatalError(fault, system=reading.scope.connector)) from error


def _stage(work: Work, reading: Reading, lease: Lease, page: RawPage) -> None:
    """One page: its rows in transactions of at most `chunk_rows`, the last of which moves the checkpoint.

    Killed in between, the page is read again and its rows replace themselves.
    """
    limit = work.policy.chunk_rows
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    bad: list[BadItem] = []
    waiting = 0
    for item in page.items:
        parsed = parse_item(work.source, reading.scope, item)
        if isinstance(parsed, BadItem):
            bad.append(parsed)
            waiting += 1
        else:
            for family, row in parsed:
                rows[family].append(row)
            waiting += len(parsed)
        if waiting >= limit:
            with work.db.bookkeep() as conn:
                leases.hold(conn, lease, work.db.clock())
                scans.stage(conn, reading, rows)
                scans.refuse(conn, reading, bad, work.db.clock())
            rows.clear()
            bad.clear()
            waiting = 0
    reading.pages += 1
    reading.items += len(page.items)
    reading.checkpoint = page.next_token
    if page.expected_total is not None:
        reading.expected_total = page.expected_total
    for problem in page.problems:
        reading.add_problem(problem)
    work.count_calls(reading)
    with work.db.bookkeep() as conn:
        leases.hold(conn, lease, work.db.clock())
        scans.stage(conn, reading, rows)
        scans.refuse(conn, reading, bad, work.db.clock())
        scans.save(conn, reading)


def _restart(work: Work, reading: Reading, lease: Lease) -> None:
    """From the first page again, under the same scan. What was staged was seen, and stays."""
    reading.restarts += 1
    reading.checkpoint = None
    reading.pages = reading.items = reading.quarantined = 0
    for counts in reading.published.values():
        counts["staged"] = 0
    with work.db.bookkeep() as conn:
        leases.hold(conn, lease, work.db.clock())
        scans.save(conn, reading)
