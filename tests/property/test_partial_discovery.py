"""Absence is not deletion: under every schedule of faults, nothing that still exists is ever said to be gone.

A schedule is eight scans of four accounts, each scope with its own fault in each scan, while objects come and go.
The same harness counts what the naive rule ("not seen in this scan = gone") would have buried, and is run with the
guards taken away, so that a harness which cannot fail is noticed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.ingest.provider import Provider, thing
from wardship.ingest.scan import ScanPolicy, run_scan
from wardship.model.errors import MissingScope, RateLimited, Unavailable, UnexpectedResponse
from wardship.store import tables
from wardship.store.db import Database

ACCOUNTS, SCANS, OBJECTS, PAGE = 4, 8, 12, 3
IDENTITY = tables.CURRENT["identity"]
Fault = Callable[[int], Exception | str | None]


def _at(page: int, wrong: Exception | str) -> Fault:
    return lambda number: wrong if number == page else None


def _once(page: int, wrong: Exception) -> Fault:
    left = [wrong]
    return lambda number: left.pop() if number == page and left else None


def _faults(rng: random.Random) -> list[Fault | None]:
    """One fault, or none, for each of the scans of one scope. A lost page stays lost in the next scan too."""
    schedule: list[Fault | None] = []
    while len(schedule) < SCANS:
        page = rng.randrange(OBJECTS // PAGE)
        kind = rng.choice(["none", "none", "403", "429", "cut", "reset", "expired", "short", "empty", "lost twice"])
        faults: dict[str, list[Fault | None]] = {
            "none": [None],
            "403": [_at(page, MissingScope("refused", scope="sim:List"))],
            "429": [_at(page, RateLimited("slow down"))],
            "cut": [_at(page, "cut")],
            "reset": [_at(page, Unavailable("connection reset"))],
            "expired": [_once(page, UnexpectedResponse("expired", operation="token"))],
            "short": [_at(page, "short")],
            "empty": [_at(0, "empty")],
            "lost twice": [_at(page, "lose"), _at(page, "lose")],
        }
        schedule += faults[kind]
    return schedule[:SCANS]


class Tally:
    def __init__(self) -> None:
        self.false_gone = self.naive = self.gone = self.really_gone = self.partial = 0


def run_schedule(db: Database, seed: int, policy: ScanPolicy, tally: Tally) -> None:
    """Eight scans under the schedule `seed`; every account is new to the database."""
    rng = random.Random(seed)
    provider = Provider(page_size=PAGE, point_reads=policy.point_reads > 0)
    scopes = [provider.scope(f"{seed}-{number}") for number in range(ACCOUNTS)]
    for scope in scopes:
        provider.put(scope, *(thing(f"{scope.authority}.{n}", keys=0, grants=()) for n in range(OBJECTS)))
    schedules = [_faults(rng) for _ in scopes]
    dead: set[str] = set()
    for number in range(SCANS):
        for scope, schedule in zip(scopes, schedules, strict=True):
            fault = schedule[number] if number else None
            provider.faults.pop(scope.key, None)
            if fault is not None:
                provider.faults[scope.key] = fault
        report = run_scan(db, provider.connector(), connection_name=f"s{seed}", actor="test", policy=policy)
        tally.partial += report.status != "done"
        with db.read() as conn:
            rows = conn.execute(
                sa.select(IDENTITY.c.native_id, IDENTITY.c.presence, IDENTITY.c.scan_seq).where(
                    IDENTITY.c.scope_key.in_([scope.key for scope in scopes])
                )
            ).all()
        for row in rows:
            exists = row.native_id not in dead
            tally.false_gone += exists and row.presence == "gone"
            tally.naive += exists and row.scan_seq < report.seq
        if number == SCANS - 1:
            tally.gone += sum(row.presence == "gone" for row in rows)
            tally.really_gone += len(dead)
        for scope in scopes:
            if rng.random() < 0.3:
                name = rng.choice(list(provider.objects[scope.key]))
                del provider.objects[scope.key][name]
                dead.add(name)
            if rng.random() < 0.3:
                provider.put(scope, thing(f"{scope.authority}.new-{number}", keys=0, grants=()))


@pytest.fixture
def fast_db(tmp_path: Path) -> Iterator[Database]:
    """One SQLite file, in memory where the system has such a folder: what is tested are rules, not the disk."""
    memory = Path("/dev/shm")
    path = (memory if memory.is_dir() else tmp_path) / f"wardship-{tmp_path.name}-{time.monotonic_ns()}.db"
    now = [datetime(2026, 1, 1, tzinfo=UTC)]

    def clock() -> datetime:
        now[0] += timedelta(seconds=1)
        return now[0]

    db = Database(f"sqlite:///{path}", clock=clock)
    with db.bookkeep() as conn:
        tables.metadata.create_all(conn)
    yield db
    db.close()
    for file in path.parent.glob(path.name + "*"):
        file.unlink()


def _run(db: Database, schedules: range, policy: ScanPolicy | None = None) -> Tally:
    tally = Tally()
    began = time.process_time()
    for seed in schedules:
        run_schedule(db, seed, policy or ScanPolicy(), tally)
    print(
        f"{len(schedules)} schedules x {SCANS} scans x {ACCOUNTS} scopes: {tally.false_gone} falsely gone "
        f"(naive rule: {tally.naive}); {tally.gone} of {tally.really_gone} really gone are known; "
        f"{tally.partial} scans said to be incomplete; {time.process_time() - began:.1f} CPU s"
    )
    return tally


def _assert_sound(tally: Tally, schedules: int, known: float = 0.5) -> None:
    """`known`: the share of what is really gone that the rule must have found out."""
    assert tally.false_gone == 0
    assert tally.naive > 10 * schedules, "the harness must bite: the naive rule has to fail here"
    assert tally.gone > tally.really_gone * known, "a rule that never says gone is no rule"
    assert tally.partial > schedules


def test_nothing_alive_is_gone_under_faults(fast_db: Database) -> None:
    _assert_sound(_run(fast_db, range(60)), 60)


@pytest.mark.chaos
@pytest.mark.parametrize("first", range(10_000, 13_000, 100))
def test_nothing_alive_is_gone_under_3000_schedules(fast_db: Database, first: int) -> None:
    """In thirty parts: they run side by side, and one can be run again alone."""
    _assert_sound(_run(fast_db, range(first, first + 100)), 100, known=0.45)  # 0.48 to 0.58 a part, 0.53 over all


def test_without_its_guards_the_rule_fails_here(fast_db: Database) -> None:
    """The same schedules bury the living when nothing is asked by id and no drop is too large."""
    careless = ScanPolicy(point_reads=0, drop_guard_percent=100)
    assert _run(fast_db, range(20), careless).false_gone > 0
