"""Takes one reading from staged rows to the inventory: chunk by chunk, then what is missing, then the scope's word."""

from __future__ import annotations

import time
from collections import Counter

from wardship.ingest.work import Work
from wardship.model.scan import Problem, ScopeStatus
from wardship.sdk.i18n import _
from wardship.store import leases, presence, scans, versions
from wardship.store.columns import FAMILIES
from wardship.store.db import Database, Write
from wardship.store.leases import Lease
from wardship.store.presence import Suspect, Tally
from wardship.store.scans import Reading

_ORDER = (*FAMILIES, "usage")
_DISPROVING = ("identity", "credential")  # what a scope lists; people and suppliers are often only mentioned


class _Turn:
    """Lets other writers in between chunks.

    PostgreSQL's writers stand in a queue. SQLite's look again every 0.1 s at most, and would meet the next chunk each
    time: a pause just longer than that, after a quarter of a second of writing, is where everyone waiting gets in.
    """

    _WRITING_S, _PAUSE_S = 0.25, 0.11

    def __init__(self, db: Database) -> None:
        self._pauses = db.is_sqlite
        self._began = time.monotonic()

    def give(self) -> None:
        if self._pauses and time.monotonic() - self._began > self._WRITING_S:
            time.sleep(self._PAUSE_S)
            self._began = time.monotonic()


def publish(work: Work, reading: Reading, lease: Lease) -> None:
    """Publishes every staged row of the reading."""
    turn = _Turn(work.db)
    while reading.published:
        with work.db.write(work.actor) as write:
            leases.hold(write.conn, lease, write.at)
            before = _changes(reading)
            room = work.policy.chunk_rows
            for family in [family for family in _ORDER if family in reading.published]:
                if room > 0:
                    room -= versions.publish_chunk(write.conn, work.scan, reading, family, at=write.at, limit=room)
            scans.save(write.conn, reading)
            write.audit(
                "scan.published",
                work.scan.id,
                {
                    "scope": reading.scope.key,
                    "rows": work.policy.chunk_rows - room,
                    "changes": _since(before, reading),
                },
            )
        work.progress(reading, "publishing")
        if room > 0:
            return
        turn.give()


def settle(work: Work, reading: Reading, lease: Lease) -> None:
    """Says what a COMPLETE reading did not show, and closes the reading.

    Nobody is marked when the reading contradicts itself: when too much is missing at once (held for a person), or
    when the system, asked by id, still has what the listing left out (then the listing was not complete).
    """
    if reading.status is ScopeStatus.COMPLETE and reading.held is None:
        tallies = _tally(work, reading)
        if sum(_hand_over(work, reading, lease, family) for family in tallies):
            tallies = _tally(work, reading)
        if tallies and not reading.settled:
            _decide(work, reading, lease, tallies)
        if reading.status is ScopeStatus.COMPLETE and reading.held is None:
            for family in tallies:
                _mark(work, reading, lease, family)
    with work.db.write(work.actor) as write:
        leases.hold(write.conn, lease, write.at)
        _close(work, write, reading)


def _close(work: Work, write: Write, reading: Reading) -> None:
    reading.phase = "published"
    reading.finished_at = write.at
    scans.save(write.conn, reading)
    scans.conclude(write.conn, work.scan, reading)
    write.audit(
        "scan.scope_read",
        reading.scope.key,
        {
            "scan": work.scan.id,
            "status": reading.status.value,
            "items": reading.items,
            "held": reading.held is not None,
        },
    )


def _tally(work: Work, reading: Reading) -> dict[str, Tally]:
    with work.db.read() as conn:
        return presence.tally(conn, work.scan, reading)


def _hand_over(work: Work, reading: Reading, lease: Lease, family: str) -> int:
    """Passes on what another scope still shows; returns how many rows."""
    limit = work.policy.chunk_rows
    total = 0
    while True:
        with work.db.bookkeep() as conn:
            leases.hold(conn, lease, work.db.clock())
            moved = presence.hand_over(conn, work.scan, reading, family, limit)
        total += moved
        if moved < limit:
            return total


def _decide(work: Work, reading: Reading, lease: Lease, tallies: dict[str, Tally]) -> None:
    """Asks the system for some of what is missing, then settles whether this reading may mark anything."""
    with work.db.read() as conn:
        suspects = presence.suspects(conn, work.scan, reading, work.policy.point_reads)
    answers = _ask(work, reading, lease, suspects)
    still_there = [suspect for suspect, exists in answers.items() if exists and suspect.family in _DISPROVING]
    if still_there:
        reading.status = ScopeStatus.PARTIAL
        detail = _("%(n)d objects that the listing left out still exist") % {"n": len(still_there)}
        reading.add_problem(Problem(reason="incomplete_listing", detail=detail))
        answers = {suspect: True for suspect, exists in answers.items() if exists}
    else:
        reading.held = _too_many(work, reading, tallies)
        if reading.held:
            answers = {suspect: True for suspect, exists in answers.items() if exists}
    with work.db.write(work.actor) as write:
        leases.hold(write.conn, lease, write.at)
        before = _changes(reading)
        presence.mark_answers(write.conn, work.scan, reading, answers, at=write.at)
        reading.settled = {"decided": "held" if reading.held else reading.status.value}
        scans.save(write.conn, reading)
        write.audit(
            "scan.missing",
            reading.scope.key,
            {
                "scan": work.scan.id,
                "missing": {family: tally.missing for family, tally in tallies.items()},
                "asked": len(suspects),
                "changes": _since(before, reading),
                "held": reading.held is not None,
            },
        )


def _too_many(work: Work, reading: Reading, tallies: dict[str, Tally]) -> str | None:
    """Why the missing rows wait for a person; None when they are few enough."""
    for family, tally in tallies.items():
        known = tally.live - reading.published.get(family, {}).get("appeared", 0)
        if known >= work.policy.drop_guard_minimum and tally.newly * 100 > known * work.policy.drop_guard_percent:
            return _("%(newly)d of %(known)d %(family)s rows are missing at once") % {
                "newly": tally.newly,
                "known": known,
                "family": family,
            }
    return None


def _ask(work: Work, reading: Reading, lease: Lease, suspects: list[Suspect]) -> dict[Suspect, bool]:
    """What the system says of each suspect; one that it cannot tell of is left out."""
    confirm = getattr(work.reader, "confirm", None)
    answers: dict[Suspect, bool] = {}
    if confirm is None:
        return answers
    for suspect in suspects:
        try:
            exists = confirm(reading.scope, suspect.family, suspect.native_id)
        except Exception:  # noqa: BLE001, S112 - a point read that fails, however it does, tells nothing
            continue
        if exists is not None:
            answers[suspect] = exists
        with work.db.bookkeep() as conn:
            leases.hold(conn, lease, work.db.clock())
    return answers


def _mark(work: Work, reading: Reading, lease: Lease, family: str) -> None:
    limit = work.policy.chunk_rows
    rows = limit
    turn = _Turn(work.db)
    while rows == limit:
        with work.db.write(work.actor) as write:
            leases.hold(write.conn, lease, write.at)
            before = _changes(reading)
            rows = presence.mark_missing(write.conn, work.scan, reading, family, at=write.at, limit=limit)
            scans.save(write.conn, reading)
            write.audit(
                "scan.missed",
                reading.scope.key,
                {"scan": work.scan.id, "rows": rows, "changes": _since(before, reading)},
            )
        turn.give()


def _changes(reading: Reading) -> Counter[str]:
    return Counter(
        {
            f"{family}.{change}": rows
            for family, counts in reading.published.items()
            for change, rows in counts.items()
            if change != "staged"
        }
    )


def _since(before: Counter[str], reading: Reading) -> dict[str, int]:
    return dict(sorted((_changes(reading) - before).items()))
