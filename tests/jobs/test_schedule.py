"""The schedule table: one job a turn, no pile-up, no turn lost for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from tests.jobs.conftest import Clock
from wardship.jobs import queue, schedule
from wardship.jobs.schedule import Periodic
from wardship.model.errors import ConfigError
from wardship.store import tables
from wardship.store.db import Database

HOURLY = Periodic(name="hourly", kind="test", every_s=3600, jitter_s=600, args={"a": 1})


def finish(db: Database) -> None:
    job = queue.claim(db, ("test",), "w", 30)
    assert job is not None
    queue.finish(db, job)


def test_a_new_schedule_is_due_within_its_jitter_and_then_every_interval(db: Database, clock: Clock) -> None:
    schedule.put(db, [HOURLY], lambda: 0.5)
    assert schedule.tick(db, lambda: 0.5) == []
    clock.forward(300)
    assert len(schedule.tick(db, lambda: 0.5)) == 1
    assert schedule.tick(db, lambda: 0.5) == []
    finish(db)
    clock.forward(3600)
    assert schedule.tick(db, lambda: 0.5) == []
    clock.forward(300)
    assert len(schedule.tick(db, lambda: 0.5)) == 1


def test_a_long_sleep_makes_one_job_not_a_hundred(db: Database, clock: Clock) -> None:
    schedule.put(db, [HOURLY], lambda: 0.0)
    clock.forward(100 * 3600)
    assert len(schedule.tick(db, lambda: 0.0)) == 1
    assert schedule.tick(db, lambda: 0.0) == []


def test_an_unfinished_job_is_not_joined_by_a_second(db: Database, clock: Clock) -> None:
    schedule.put(db, [HOURLY], lambda: 0.0)
    assert len(schedule.tick(db, lambda: 0.0)) == 1
    clock.forward(3600)
    assert schedule.tick(db, lambda: 0.0) == []
    finish(db)
    clock.forward(3600)
    assert len(schedule.tick(db, lambda: 0.0)) == 1


def test_putting_again_keeps_the_next_time_and_what_somebody_disabled(db: Database, clock: Clock) -> None:
    schedule.put(db, [HOURLY], lambda: 0.0)
    with db.bookkeep() as conn:
        conn.execute(tables.schedule.update().values(enabled=False))
    clock.forward(50)
    schedule.put(db, [Periodic(name="hourly", kind="test", every_s=60)], lambda: 0.0)
    with db.read() as conn:
        row = conn.execute(sa.select(tables.schedule)).one()
    assert (row.enabled, row.next_at, row.every_s) == (False, NOW, 60)
    assert schedule.tick(db) == []


def test_two_processes_make_one_job(db: Database) -> None:
    schedule.put(db, [HOURLY], lambda: 0.0)
    second = Database(db.url, clock=db.clock)
    assert len(schedule.tick(db, lambda: 0.0) + schedule.tick(second, lambda: 0.0)) == 1
    second.close()


def test_the_clock_may_jump_back_without_a_second_run(db: Database, clock: Clock) -> None:
    schedule.put(db, [HOURLY], lambda: 0.0)
    assert len(schedule.tick(db, lambda: 0.0)) == 1
    finish(db)
    clock.now -= timedelta(hours=1)
    assert schedule.tick(db, lambda: 0.0) == []


def test_an_impossible_interval_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 seconds"):
        Periodic(name="x", kind="y", every_s=0)
