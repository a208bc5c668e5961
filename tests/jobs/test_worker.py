"""The worker: results, retries, and what signals, kill -9 and a long sleep do to it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import ROOT
from tests.jobs.conftest import Clock
from wardship.jobs import queue, schedule
from wardship.jobs.schedule import Periodic
from wardship.jobs.worker import JobContext, Worker
from wardship.model.errors import Conflict, Unavailable
from wardship.store import tables
from wardship.store.db import Database

Args = Mapping[str, Any]


def add(db: Database) -> str:
    with db.bookkeep() as conn:
        return queue.enqueue(conn, "test", {"n": 1}, at=db.clock())


def row(db: Database, id_: str) -> sa.Row:
    with db.read() as conn:
        return conn.execute(sa.select(tables.job).where(tables.job.c.id == id_)).one()


def results(db: Database) -> list[str]:
    """Who wrote a result, in order."""
    with db.read() as conn:
        bodies = [json.loads(body) for body in conn.execute(sa.select(tables.audit.c.body)).scalars()]
    return [body["details"]["by"] for body in bodies if body["action"] == "job.result"]


def write_result(_args: Args, context: JobContext) -> None:
    with context.write("parent") as writing:
        writing.audit("job.result", f"job:{context.job.id}", {"by": "parent"})


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


# ------------------------------------------------------------------ in this process


def test_due_jobs_run_with_their_arguments_and_end_done(db: Database) -> None:
    seen: list[Args] = []
    ids = [add(db), add(db)]
    assert Worker(db, {"test": lambda args, _context: seen.append(args)}).run_due() == 2
    assert seen == [{"n": 1}, {"n": 1}]
    assert {row(db, id_).state for id_ in ids} == {"done"}


def test_schedules_become_jobs(db: Database, clock: Clock) -> None:
    schedule.put(db, [Periodic(name="p", kind="test", every_s=60)])
    worker = Worker(db, {"test": write_result})
    assert worker.run_due() == 1
    clock.forward(60)
    assert worker.run_due() == 1
    assert results(db) == ["parent", "parent"]


def test_a_failing_job_is_tried_again_and_the_worker_lives_on(db: Database, clock: Clock) -> None:
    calls: list[int] = []

    def handle(_args: Args, context: JobContext) -> None:
        calls.append(context.job.attempt)
        if context.job.attempt < 3:
            raise Unavailable("not yet")

    id_ = add(db)
    worker = Worker(db, {"test": handle}, chance=lambda: 1.0)
    while row(db, id_).state != "done":
        worker.run_due()
        clock.forward(60)
    assert calls == [1, 2, 3]


def test_a_bug_in_a_handler_is_the_jobs_failure(db: Database) -> None:
    def handle(_args: Args, _context: JobContext) -> None:
        raise KeyError("hunter2")

    id_ = add(db)
    Worker(db, {"test": handle}).run_due()
    assert row(db, id_).state == "due"
    assert row(db, id_).error.startswith("KeyError at test_worker.py:")


def test_a_write_under_a_lost_job_is_refused_whole(db: Database, clock: Clock) -> None:
    def sleepy(_args: Args, context: JobContext) -> None:
        clock.forward(3600)  # the process was stopped for an hour
        assert Worker(db, {"test": write_result}).run_due() == 1
        with pytest.raises(Conflict):
            context.check()
        with context.write("zombie") as writing:
            writing.audit("job.result", "job", {"by": "zombie"})

    id_ = add(db)
    Worker(db, {"test": sleepy}).run_due()
    assert results(db) == ["parent"]
    assert (row(db, id_).state, row(db, id_).attempts) == ("done", 2)


def test_a_handlers_own_conflict_is_a_failure_not_a_lost_job(db: Database) -> None:
    def handle(_args: Args, _context: JobContext) -> None:
        raise Conflict("somebody scans this scope")

    id_ = add(db)
    Worker(db, {"test": handle}).run_due()
    assert (row(db, id_).state, row(db, id_).error) == ("due", "Conflict: somebody scans this scope")


def test_the_lease_is_renewed_while_a_handler_runs_and_not_for_ever(database_url: str) -> None:
    db = Database(database_url, clock=lambda: datetime.now(UTC))
    with db.bookkeep() as conn:
        tables.metadata.create_all(conn)
    ended = threading.Event()
    id_ = add(db)

    def handle(_args: Args, context: JobContext) -> None:
        first = row(db, id_).leased_until
        until(lambda: row(db, id_).leased_until > first)
        until(context.lost)  # max_run_s is over
        ended.set()

    Worker(db, {"test": handle}, lease_s=0.3, max_run_s=0.6).run_due()
    assert ended.is_set()
    db.close()


def test_a_told_worker_takes_no_more_jobs(db: Database) -> None:
    def handle(_args: Args, context: JobContext) -> None:
        worker.stop()
        assert context.stopping()

    ids = [add(db), add(db)]
    worker = Worker(db, {"test": handle})
    worker.run()
    assert sorted(row(db, id_).state for id_ in ids) == ["done", "due"]


# ------------------------------------------------------------------ a process of its own


@pytest.fixture
def real_db(database_url: str) -> Iterator[Database]:
    db = Database(database_url, clock=lambda: datetime.now(UTC))
    with db.bookkeep() as conn:
        tables.metadata.create_all(conn)
    yield db
    db.close()


@pytest.fixture
def child(database_url: str, tmp_path: Path) -> Iterator[Callable[[float], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(lease_s: float) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.jobs.child_worker", database_url, str(tmp_path), str(lease_s)]
        started.append(subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL))
        until((tmp_path / "started").exists)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


Start = Callable[[float], "subprocess.Popen[bytes]"]


def test_sigterm_lets_the_job_finish(real_db: Database, child: Start, tmp_path: Path) -> None:
    id_ = add(real_db)
    process = child(30)
    process.send_signal(signal.SIGTERM)
    (tmp_path / "go").touch()
    assert process.wait(20) == 0
    assert row(real_db, id_).state == "done"
    assert results(real_db) == ["child"]


def test_a_second_ctrl_c_gives_the_job_back_at_once(real_db: Database, child: Start, tmp_path: Path) -> None:
    id_ = add(real_db)
    process = child(30)
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)  # two signals sent at once may be delivered as one
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert (row(real_db, id_).state, row(real_db, id_).attempts) == ("due", 0)
    assert Worker(real_db, {"test": write_result}).run_due() == 1
    assert results(real_db) == ["parent"]


def test_after_kill_9_another_worker_takes_the_job_when_its_lease_has_run_out(real_db: Database, child: Start) -> None:
    id_ = add(real_db)
    process = child(1.0)
    process.kill()
    process.wait()
    other = Worker(real_db, {"test": write_result})
    until(other.run_one)
    assert results(real_db) == ["parent"]
    assert (row(real_db, id_).state, row(real_db, id_).attempts) == ("done", 2)


def test_a_zombie_stopped_beyond_its_lease_cannot_commit_its_result(
    real_db: Database, child: Start, tmp_path: Path
) -> None:
    id_ = add(real_db)
    process = child(0.6)
    process.send_signal(signal.SIGSTOP)
    other = Worker(real_db, {"test": write_result})
    until(other.run_one)
    (tmp_path / "go").touch()
    process.send_signal(signal.SIGCONT)
    until((tmp_path / "lost").exists)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert results(real_db) == ["parent"]
    assert (row(real_db, id_).state, row(real_db, id_).token) == ("done", 2)
